"""The command line as a process of its own: signals, lost terminals, and what is imported."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import av
import numpy as np
import psutil
import pytest

from tests.support.disk import NoDisk, small_disk
from tests.support.fakes import ENVIRONMENT, identity_model, run_python

MakeClip = Callable[..., Path]
MAIN = "import sys; from rtmag.realtime.cli.main import main; main()"


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from rtmag.realtime.cli.main import execute; execute(['--help']); "
        "heavy = ('torch', 'onnxruntime', 'av', 'scipy', 'cv2', 'numpy'); "
        "print([m for m in heavy if m in sys.modules])"
    )
    assert run_python(code).splitlines()[-1] == "[]"


def start(*args: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, *args],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def noisy(index: int, size: tuple[int, int]) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    rng = np.random.default_rng(index % 7)
    return rng.integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to send")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_file_keeps_a_playable_part(
    number: int,
    code: int,
    clip: MakeClip,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """F13: within three seconds."""
    monkeypatch.chdir(tmp_path)
    model = str(identity_model(tmp_path / "identity.onnx"))
    clip("in.mp4", frames=500, size=(160, 120), picture=noisy)
    with start("file", "in.mp4", "out.mp4", "--model", model) as process:
        part = Path("out.part.mp4")
        deadline = time.monotonic() + 30
        while not (part.exists() and part.stat().st_size > 30_000):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(number)
        began = time.monotonic()
        said = process.communicate(timeout=20)[1]
        assert time.monotonic() - began < 3
    assert process.returncode == code
    assert "out.part.mp4" in said
    assert "Traceback" not in said
    assert not Path("out.mp4").exists()
    with av.open(str(part)) as container:
        frames = sum(1 for _ in container.decode(video=0))
    assert 5 < frames < 500
    assert f"after {frames} frames" in said


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to send")
def test_an_interrupted_recording_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = str(identity_model(tmp_path / "identity.onnx"))
    shown = ["--view", "none", "--size", "64x48", "--record", "out.mp4"]
    with start("camera", "test", *shown, "--model", model) as process:
        deadline = time.monotonic() + 30
        while not list(tmp_path.glob("*.part.mp4")):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        told, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert " frames in " in told
    with av.open("out.mp4") as container:
        assert sum(1 for _ in container.decode(video=0)) == int(told.split()[0])
    assert not list(tmp_path.glob("*.part.mp4"))


POSIX = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals and terminals")


def seconds_of(path: Path) -> list[float]:
    """Times in s of the frames that play; the last write before a kill may be incomplete."""
    seconds: list[float] = []
    with av.open(str(path)) as container, suppress(av.FFmpegError):
        seconds.extend(float(frame.time or 0) for frame in container.decode(video=0))
    return seconds


def recorded(path: Path) -> int:
    """Number of frames of a file that play."""
    return len(seconds_of(path))


def await_recording(process: "subprocess.Popen[str]", folder: Path, size: int = 20_000) -> Path:
    """Wait until the temporary file of a recording exceeds `size` bytes; return its path."""
    deadline = time.monotonic() + 60
    while not any(p.stat().st_size > size for p in folder.glob("*.part.mp4")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return next(folder.glob("*.part.mp4"))


def camera(model: str, *more: str) -> list[str]:
    size = ["--size", "160x120", "--view", "none"]
    return ["camera", "test", *size, "--record", "out.mp4", "--model", model, *more]


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    return str(identity_model(tmp_path / "identity.onnx"))


_PACED = """
import sys, time
import numpy as np
from rtmag.realtime.frame import Frame
from rtmag.realtime.sinks.video_file import VideoSink
from rtmag.realtime.sinks.background import BackgroundSink

rng = np.random.default_rng(0)
pictures = [rng.integers(0, 256, (96, 128, 3), np.uint8) for _ in range(7)]
recording, began = BackgroundSink(VideoSink(sys.argv[1])), time.monotonic()
for index in range(100_000):
    time.sleep(max(began + index / 30 - time.monotonic(), 0))
    recording.write(Frame(pictures[index % 7], time.monotonic(), index))
    print(time.monotonic(), flush=True)
"""


@POSIX
def test_a_killed_recording_lost_at_most_a_second_ten_times_of_ten(tmp_path: Path) -> None:
    """F12: SIGKILL between any two instructions."""
    for batch in range(2):
        paths = [tmp_path / f"{batch}{number}.mp4" for number in range(5)]
        for number, lost in enumerate(_losses(paths)):
            assert lost <= 1.0, (batch, number, lost)


def _losses(paths: list[Path]) -> list[float]:
    """Seconds lost by recordings that run in parallel and are killed one after the other."""
    with ExitStack() as stack:
        running = []
        for path in paths:
            log = stack.enter_context(path.with_suffix(".log").open("w"))
            run = [sys.executable, "-c", _PACED, str(path)]
            process = subprocess.Popen(run, env=ENVIRONMENT, stdout=log)
            stack.callback(process.wait)
            running.append(process)
            stack.callback(process.kill)
        time.sleep(5)
        for process in running:
            time.sleep(0.13)
            process.kill()
    losses = []
    for path in paths:
        moments = path.with_suffix(".log").read_text().split()
        seconds = float(moments[-1]) - float(moments[0])
        losses.append(seconds - seconds_of(path.with_suffix(".part.mp4"))[-1])
    print("lost:", *(f"{lost:.2f} s" for lost in losses))
    return losses


@POSIX
def test_a_killed_camera_leaves_a_recording_that_plays(model: str, tmp_path: Path) -> None:
    """F12, the whole program."""
    with start(*camera(model)) as process:
        part = await_recording(process, tmp_path)
        process.kill()
        process.communicate(timeout=20)
    assert recorded(part) > 5


@POSIX
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_sigterm_and_sighup_finish_a_recording(number: int, model: str, tmp_path: Path) -> None:
    """F13: the exit code is 143 or 129, within seconds, and no temporary file is left."""
    with start(*camera(model)) as process:
        await_recording(process, tmp_path)
        process.send_signal(number)
        began = time.monotonic()
        _, said = process.communicate(timeout=20)
        assert time.monotonic() - began < 3
    assert process.returncode == 128 + number
    assert "Traceback" not in said
    assert recorded(tmp_path / "out.mp4") > 5
    assert not list(tmp_path.glob("*.part.mp4"))


def on_terminal(*args: str, code: str = MAIN) -> tuple[int, int]:
    """Start the program on its own terminal; return the process id and the other end."""
    import pty

    pid, terminal = pty.fork()
    if not pid:
        os.execve(sys.executable, [sys.executable, "-c", code, *args], ENVIRONMENT)
    return pid, terminal


@contextmanager
def at_terminal(*args: str, code: str = MAIN) -> Iterator[tuple[int, int]]:
    """Start the program as `on_terminal` does; close the terminal at the end."""
    pid, terminal = on_terminal(*args, code=code)
    try:
        yield pid, terminal
    finally:
        os.close(terminal)


def end_of(pid: int, terminal: int, seconds: float) -> tuple[int, str]:
    """Wait for the end; return the exit code and the output."""
    said, deadline = b"", time.monotonic() + seconds
    while time.monotonic() < deadline:
        ready, _, _ = select.select([terminal], [], [], 0.05)
        with suppress(OSError):
            said += os.read(terminal, 65536) if ready else b""
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status), said.decode()
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise AssertionError(f"still running after {seconds} s: {said.decode()}")


def _await_part(folder: Path) -> None:
    deadline = time.monotonic() + 60
    while not any(p.stat().st_size > 20_000 for p in folder.glob("*.part.mp4")):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@POSIX
def test_ctrl_c_on_a_terminal_finishes_the_recording(model: str, tmp_path: Path) -> None:
    """F13: the terminal turns the key into a signal to the whole process group."""
    with at_terminal(*camera(model)) as (pid, terminal):
        _await_part(tmp_path)
        os.write(terminal, b"\x03")
        code, said = end_of(pid, terminal, 3)
    assert code == 130
    assert "Traceback" not in said
    assert recorded(tmp_path / "out.mp4") > 5
    assert not [each.pid for each in psutil.process_iter() if session_of(each.pid) == pid]


def session_of(pid: int) -> int | None:
    """Session id of a process, which a program on a terminal shares with its children."""
    with suppress(ProcessLookupError, PermissionError):
        return os.getsid(pid)
    return None


_SLOW_END = """
import sys, time
from rtmag.realtime.sinks.video_file import VideoSink

VideoSink._finish = lambda *_: time.sleep(60)
from rtmag.realtime.cli.main import main
main()
"""


@POSIX
def test_a_second_ctrl_c_ends_immediately(model: str, tmp_path: Path) -> None:
    """F13: during a slow end of the file; the written part plays."""
    run = [sys.executable, "-c", _SLOW_END, *camera(model)]
    with subprocess.Popen(run, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as process:
        part = await_recording(process, tmp_path)
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        process.send_signal(signal.SIGINT)
        process.wait(0.5)
    assert process.returncode == 130
    assert recorded(part) > 5


@POSIX
def test_a_second_ctrl_c_on_a_terminal_ends_immediately(model: str, tmp_path: Path) -> None:
    """F13: the key is pressed twice, during a slow end of the file."""
    with at_terminal(*camera(model), code=_SLOW_END) as (pid, terminal):
        _await_part(tmp_path)
        os.write(terminal, b"\x03")
        time.sleep(1)
        assert os.waitpid(pid, os.WNOHANG) == (0, 0)
        os.write(terminal, b"\x03")
        code, said = end_of(pid, terminal, 0.5)
    assert code == 130
    assert "Traceback" not in said
    assert recorded(next(tmp_path.glob("*.part.mp4"))) > 5


@POSIX
def test_a_closed_terminal_leaves_a_recording_that_plays(model: str, tmp_path: Path) -> None:
    """F14: SIGHUP arrives, and stderr can no longer be written."""
    pid, terminal = on_terminal(*camera(model))
    _await_part(tmp_path)
    os.close(terminal)
    deadline = time.monotonic() + 5
    while not (ended := os.waitpid(pid, os.WNOHANG))[0]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert os.waitstatus_to_exitcode(ended[1]) == 129
    assert recorded(tmp_path / "out.mp4") > 5


@POSIX
@pytest.mark.parametrize("more", [[], ["--progress", "json"]])
def test_a_closed_stdout_ends_the_run_without_a_message(
    more: list[str], clip: MakeClip, model: str, tmp_path: Path
) -> None:
    """F14: stdout is a pipe whose other end is closed."""
    clip("in.mp4", frames=40)
    reading, writing = os.pipe()
    os.close(reading)
    run = [sys.executable, "-c", MAIN, "file", "in.mp4", "out.mp4", "--model", model, *more]
    done = subprocess.run(
        run, env=ENVIRONMENT, stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert done.returncode == 141
    assert "Traceback" not in done.stderr
    assert "Broken" not in done.stderr
    assert any(recorded(path) == 40 for path in tmp_path.glob("out*.mp4"))


def test_without_a_terminal_no_progress_bar_is_shown(clip: MakeClip, model: str) -> None:
    """F14: only the path on stdout, no control characters on stderr."""
    clip("in.mp4", frames=10)
    with start("file", "in.mp4", "out.mp4", "--model", model) as process:
        told, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert told == "out.mp4\n"
    assert "\x1b" not in said
    assert "\r" not in said


_LIMITED = """
import resource, signal
resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))
from rtmag.realtime.cli.main import main
main()
"""


@POSIX
def test_a_full_disk_fails_in_one_line_and_keeps_the_written_part(
    clip: MakeClip, model: str, tmp_path: Path
) -> None:
    """F11, file mode: exit 1; the part plays to within a second of the end."""
    clip("in.mkv", frames=300, size=(160, 120), picture=noisy, options={"crf": "17"})
    run = [sys.executable, "-c", _LIMITED, "file", "in.mkv", "out.mp4", "--model", model]
    done = subprocess.run(run, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("error: ") == 1
    assert "out.part.mp4" in done.stderr
    assert not Path("out.mp4").exists()
    assert recorded(tmp_path / "out.part.mp4") > 0


_TOLD = """
import sys
from rtmag.realtime.sinks.video_file import VideoSink
write = VideoSink.write
def write_and_print(self, frame):
    write(self, frame)
    print(frame.time)
VideoSink.write = write_and_print
from rtmag.realtime.cli.main import main
main()
"""


@POSIX
def test_a_real_disk_that_is_full(clip: MakeClip, model: str, tmp_path: Path) -> None:
    """F11, file mode, on a file system of 4 MB: the part plays to within a second of the stop."""
    clip("in.mkv", frames=600, size=(160, 120), picture=noisy, options={"crf": "17"})
    with ExitStack() as stack:
        try:
            disk = stack.enter_context(small_disk(tmp_path / "disk", 4096))
        except NoDisk as error:
            pytest.skip(str(error))
        run = [sys.executable, "-c", _TOLD, "file", "in.mkv", str(disk / "out.mp4")]
        done = subprocess.run(
            [*run, "--model", model], env=ENVIRONMENT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert done.stderr.count("error: ") == 1
        assert "the disk is full" in done.stderr
        assert not (disk / "out.mp4").exists()
        stopped = float(done.stdout.splitlines()[-1])
        assert 1 < stopped < 599 / 30
        assert seconds_of(disk / "out.part.mp4")[-1] >= stopped - 1.0


INTERRUPTED_IMPORT = """
import os, signal, sys
from rtmag.__main__ import main

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to send")
def test_ctrl_c_during_the_imports_prints_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_IMPORT, "demo"],
        capture_output=True, text=True, env=ENVIRONMENT, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs sched_setaffinity")
def test_one_core_and_an_empty_environment_are_enough(clip: MakeClip, tmp_path: Path) -> None:
    """Runtimes complain if they cannot pin their threads; containers have no home and no locale."""
    clip("a.mp4", frames=3)
    one_core = min(os.sched_getaffinity(0))
    program = f"import os; os.sched_setaffinity(0, [{one_core}]); "
    program += "from rtmag.realtime.cli.main import main; main()"
    needed = {k: v for k, v in ENVIRONMENT.items() if k in ("PYTHONPATH", "SYSTEMROOT", "PATH")}
    done = subprocess.run(
        [sys.executable, "-c", program, "file", "a.mp4", "b.mp4", "--progress", "none"],
        env=needed, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "b.mp4").exists()
