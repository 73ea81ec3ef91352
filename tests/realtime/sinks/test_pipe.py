"""Y4M on stdout, read by another process."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from rtmag.realtime.sources.video_file import VideoSource
from tests.support.clips import STEP
from tests.support.fakes import ENVIRONMENT, identity_model

MakeClip = Callable[..., Path]
MAIN = "from rtmag.realtime.cli.main import main; main()"
READER = """
import sys, av
with av.open(sys.stdin.buffer, format="yuv4mpegpipe") as container:
    rate = container.streams.video[0].average_rate
    for number, frame in enumerate(container.decode(video=0)):
        picture = frame.to_ndarray(format="bgr24")
        print(picture.shape[1], picture.shape[0], rate, round(float(picture.mean())))
        if number + 1 == int(sys.argv[1]):
            sys.exit()
"""


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    return str(identity_model(tmp_path / "identity.onnx"))


def piped(*args: str, take: int = 0) -> tuple[int, list[str], str]:
    """Exit code, output of the reader, and stderr."""
    reading, writing = os.pipe()
    run = [sys.executable, "-c", MAIN, *args]
    with subprocess.Popen(
        run, env=ENVIRONMENT, stdout=writing, stderr=subprocess.PIPE, text=True
    ) as process:
        os.close(writing)
        saw = subprocess.run(
            [sys.executable, "-c", READER, str(take)],
            stdin=reading, capture_output=True, text=True, timeout=60, check=True,
        ).stdout  # fmt: skip
        os.close(reading)
        said = process.communicate(timeout=30)[1]
    return process.returncode, saw.splitlines(), said


@pytest.mark.parametrize("size", [(64, 48), (63, 47)])
def test_a_file_is_written_frame_by_frame(
    size: tuple[int, int], clip: MakeClip, model: str, tmp_path: Path
) -> None:
    clip("in.mp4", frames=12, size=size, pixel_format="yuv444p", audio=["aac"])
    code, saw, said = piped("file", "in.mp4", "-o", "-", "--model", model)
    assert (code, said) == (0, "")
    assert [line.split()[:3] for line in saw] == [[str(size[0]), str(size[1]), "30"]] * 12
    for index, line in enumerate(saw):
        assert abs(int(line.split()[3]) - (20 + STEP * index)) <= 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["identity.onnx", "in.mp4"]


def test_colours_and_aspect_are_those_that_readers_expect(
    model: str, clip: MakeClip, tmp_path: Path
) -> None:
    """Readers assume BT.601; Y4M cannot state another matrix."""
    colour = (200, 60, 30)

    def picture(index: int, size: tuple[int, int]) -> np.ndarray:
        return np.full((size[1], size[0], 3), colour, np.uint8)

    for name, tags in (("in.mp4", (1, 1, 1, 1)), ("601.mp4", (1, 6, 6, 6))):
        look = {"tags": tags, "picture": picture, "sample_aspect": Fraction(64, 45)}
        clip(name, frames=2, options={"crf": "4"}, **look)
        with (tmp_path / "out.y4m").open("wb") as out:
            run = [sys.executable, "-c", MAIN, "file", name, "-o", "-", "--model", model]
            subprocess.run(run, env=ENVIRONMENT, stdout=out, check=True)
        with VideoSource(tmp_path / "out.y4m") as video:
            assert video.sample_aspect == Fraction(64, 45)
            assert next(iter(video)).image[24, 32].astype(int) == pytest.approx(colour, abs=4)


def test_frames_are_repeated_until_the_next_one_is_due(clip: MakeClip, model: str) -> None:
    """Y4M has no times: a pause must last as long as in the file."""
    clip("in.mp4", ticks=[0, 1, 2, 12, 13])
    code, saw, said = piped("file", "in.mp4", "-o", "-", "--model", model)
    assert (code, said) == (0, "")
    levels = [int(line.split()[3]) for line in saw]
    expected = [20 + STEP * index for index in (0, 1, *[2] * 10, 3, 4)]
    assert levels == pytest.approx(expected, abs=5)


def test_a_rate_that_rises_is_kept_in_time(clip: MakeClip, model: str) -> None:
    clip("in.mp4", ticks=[*range(0, 320, 8), *range(320, 340)], time_base=Fraction(1, 240))
    code, saw, _ = piped("file", "in.mp4", "-o", "-", "--model", model)
    assert code == 0
    assert len(saw) / float(Fraction(saw[0].split()[2])) == pytest.approx(340 / 240, abs=0.07)


def test_a_reader_that_exits_ends_a_file_without_an_error(clip: MakeClip, model: str) -> None:
    """F14."""
    clip("in.mp4", frames=400, size=(320, 240))
    code, saw, said = piped("file", "in.mp4", "-o", "-", "--model", model, take=3)
    assert (code, len(saw), said) == (141, 3, "")


def test_a_live_source_is_written(model: str) -> None:
    shown = ["--size", "64x48", "--view", "none", "--layout", "side"]
    code, saw, said = piped("camera", "test", *shown, "--model", model, "-o", "-", "--frames", "6")
    assert code == 0
    assert [line.split()[:2] for line in saw] == [["128", "48"]] * 6
    assert "6 frames in" in said


def test_a_reader_that_exits_ends_a_live_run(model: str) -> None:
    shown = ["--size", "64x48", "--view", "none", "--model", model]
    code, saw, said = piped("camera", "test", *shown, "-o", "-", take=3)
    assert (code, len(saw)) == (141, 3)
    assert "Traceback" not in said


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to send")
@pytest.mark.parametrize(
    ("command", "signals", "code"),
    [("camera", [signal.SIGTERM], 143), ("file", [signal.SIGINT, signal.SIGINT], 130)],
)
def test_a_run_can_be_ended_while_the_reader_hangs(
    command: str, signals: list[int], code: int, clip: MakeClip, model: str
) -> None:
    """F13: a live source drops frames and ends at the first signal, a file at the second."""
    clip("in.mp4", frames=60, size=(320, 240))
    args = {
        "camera": ["camera", "test", "--size", "320x240", "--view", "none"],
        "file": ["file", "in.mp4"],
    }
    reading, writing = os.pipe()
    run = [sys.executable, "-c", MAIN, *args[command], "-o", "-", "--model", model]
    with subprocess.Popen(run, env=ENVIRONMENT, stdout=writing, stderr=subprocess.PIPE) as process:
        os.close(writing)
        assert os.read(reading, 9) == b"YUV4MPEG2"
        time.sleep(1.5)
        for each in signals:
            assert process.poll() is None
            process.send_signal(each)
            time.sleep(0.3)
        assert process.wait(5) == code
    os.close(reading)


def test_a_pipe_takes_one_video(clip: MakeClip, model: str) -> None:
    clip("a.mp4", frames=2)
    run = [sys.executable, "-c", MAIN, "file", "a.mp4", "a.mp4", "-o", "-", "--model", model]
    done = subprocess.run(run, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "got 2 inputs" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such terminals")
def test_a_terminal_is_refused(clip: MakeClip, model: str) -> None:
    clip("in.mp4", frames=2)
    shown, terminal = os.openpty()
    run = [sys.executable, "-c", MAIN, "file", "in.mp4", "-o", "-", "--model", model]
    done = subprocess.run(
        run, env=ENVIRONMENT, stdout=terminal, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(terminal)
    os.close(shown)
    assert done.returncode == 2
    assert done.stderr.endswith("pipe it to a program or > FILE.y4m\n")


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg")
def test_ffmpeg_reads_the_stream_without_options(
    clip: MakeClip, model: str, tmp_path: Path
) -> None:
    clip("in.mp4", frames=12, size=(63, 47), pixel_format="yuv444p")
    rtmag = [sys.executable, "-c", MAIN, "file", "in.mp4", "-o", "-", "--model", model]
    raw = ["-f", "rawvideo", "-pix_fmt", "bgr24", "-"]
    with subprocess.Popen(rtmag, env=ENVIRONMENT, stdout=subprocess.PIPE) as process:
        read = subprocess.run(
            ["ffmpeg", "-v", "warning", "-i", "-", *raw],
            stdin=process.stdout, capture_output=True, timeout=60, check=True,
        )  # fmt: skip
    assert process.returncode == 0
    assert read.stderr == b""
    assert len(read.stdout) == 12 * 63 * 47 * 3
