"""The command line as a process of its own: signals, and what is imported."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from fakes import ENVIRONMENT, identity_model, run_python

MakeClip = Callable[..., Path]
MAIN = "import sys; from rtmag.realtime.cli import main; main()"


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from rtmag.realtime.cli import execute; execute(['--help']); "
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
        said = process.communicate(timeout=20)[1]
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
