"""Frames from standard input: Y4M and raw pictures."""

import io
import re
import shutil
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from rtmag.realtime.errors import OptionError, SourceLost, SourceUnavailable
from rtmag.realtime.media.colour import Matrix
from rtmag.realtime.sources.pipe import RawPipe, Y4mPipe
from rtmag.realtime.sources.video_file import VideoSource
from tests.support.clips import BLUE, Clip, coloured_y4m, flat, number, smooth
from tests.support.fakes import ENVIRONMENT

MAIN = "import sys; from rtmag.realtime.cli.main import main; main()"


def await_handler(process: int, number: signal.Signals) -> None:
    """Wait until a process handles a signal, according to the mask that Linux shows."""
    end = time.monotonic() + 20
    while True:
        status = Path(f"/proc/{process}/status").read_text()
        caught = int(re.findall(r"SigCgt:\s*(\w+)", status)[0], 16)
        if caught >> (number - 1) & 1:
            return
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def y4m(tmp_path: Path) -> bytes:
    options = {"codec": "wrapped_avframe", "fps": Fraction(25)}
    return Clip(frames=12, **options).write(tmp_path / "a.y4m").read_bytes()  # type: ignore[arg-type]


def test_y4m_states_size_and_rate(y4m: bytes) -> None:
    with Y4mPipe(io.BytesIO(y4m)) as source:
        assert (source.size, source.fps, source.live) == ((64, 48), 25, False)
        frames = list(source)
    assert [number(frame.image) for frame in frames] == list(range(12))
    assert [frame.time for frame in frames] == pytest.approx(np.arange(12) / 25)


@pytest.mark.parametrize(("matrix", "tag"), [("bt601", 6), ("bt709", 1), ("bt2020", 9)])
def test_the_matrix_of_y4m_can_be_given(matrix: Matrix, tag: int) -> None:
    """Y4M cannot state it, and FFmpeg passes on that of its input."""
    with Y4mPipe(io.BytesIO(coloured_y4m(tag)), matrix=matrix) as source:
        for frame in source:
            assert frame.image[24, 32].astype(int) == pytest.approx(BLUE, abs=3)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
@pytest.mark.parametrize(
    "kind", ["gray", "gray10", "yuv411p", "yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv420p10"]
)
def test_every_kind_of_y4m(kind: str, tmp_path: Path) -> None:
    picture = smooth(3, (160, 120))
    if "gray" in kind:
        picture = picture[..., [1, 1, 1]]
    (tmp_path / "raw").write_bytes(2 * picture.tobytes())
    read = ["ffmpeg", "-v", "error", "-f", "rawvideo", "-pix_fmt", "bgr24", "-s", "160x120"]
    read += ["-i", str(tmp_path / "raw"), "-sws_flags", "bilinear+accurate_rnd+full_chroma_int"]
    made = subprocess.run(
        [*read, "-pix_fmt", kind, "-strict", "-1", "-f", "yuv4mpegpipe", "-"],
        capture_output=True, check=True,
    )  # fmt: skip
    (tmp_path / "a.y4m").write_bytes(made.stdout)
    with Y4mPipe(io.BytesIO(made.stdout)) as pipe, VideoSource(tmp_path / "a.y4m") as file:
        for source in (pipe, file):
            (first, _) = source
            assert np.abs(first.image.astype(int) - picture).mean() < 2


@pytest.mark.parametrize(("options", "tag"), [([], 6), (["--matrix", "bt709"], 1)])
def test_colours_and_aspect_of_y4m_are_recorded(
    options: list[str], tag: int, tmp_path: Path
) -> None:
    done = piped(coloured_y4m(tag, "64:45"), "--record", "out.mp4", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with VideoSource(tmp_path / "out.mp4") as video:
        assert video.sample_aspect == Fraction(64, 45)
        assert next(iter(video)).image[24, 32].astype(int) == pytest.approx(BLUE, abs=4)


@pytest.mark.parametrize("data", [b"", b"nonsense" * 100, b"YUV4MPEG2 W1"])
def test_other_data_are_refused(data: bytes) -> None:
    with pytest.raises(SourceUnavailable, match="yuv4mpegpipe"):
        Y4mPipe(io.BytesIO(data))


def test_large_pictures_are_refused(y4m: bytes) -> None:
    said = "64x48 is too large"
    with pytest.raises(SourceUnavailable, match=said):
        Y4mPipe(io.BytesIO(y4m), max_pixels=64 * 48 - 1)
    with pytest.raises(OptionError, match=said):
        RawPipe((64, 48), 20, max_pixels=64 * 48 - 1)


@pytest.mark.parametrize("layout", ["bgr24", "rgb24"])
def test_raw_pictures(layout: str) -> None:
    images = np.random.default_rng(0).integers(0, 255, (4, 48, 64, 3)).astype(np.uint8)
    data = (images if layout == "bgr24" else images[..., ::-1]).tobytes()
    with RawPipe((64, 48), 20, layout, io.BytesIO(data)) as source:
        frames = list(source)
    assert np.array_equal([frame.image for frame in frames], images)
    assert [frame.time for frame in frames] == pytest.approx([0, 0.05, 0.1, 0.15])
    assert all(frame.image.flags.c_contiguous for frame in frames)
    assert all(frame.image.flags.writeable for frame in frames)


def test_invalid_options_of_raw_pictures_are_refused() -> None:
    with pytest.raises(OptionError, match="0x48 is not a valid size"):
        RawPipe((0, 48), None)
    with pytest.raises(OptionError, match="yuyv"):
        RawPipe((64, 48), None, "yuyv")


def piped(data: bytes, *args: str, cwd: Path) -> "subprocess.CompletedProcess[bytes]":
    run = [sys.executable, "-c", MAIN, "stream", "-", "--model", "none", "--view", "none", *args]
    return subprocess.run(
        run, input=data, capture_output=True, env=ENVIRONMENT, cwd=cwd, check=False
    )


@pytest.mark.parametrize("rest", [b"FRAME\n" + bytes(500), b"no frame at all" * 1000])
def test_an_incomplete_end_is_an_error_after_the_frames(
    y4m: bytes, rest: bytes, tmp_path: Path
) -> None:
    with Y4mPipe(io.BytesIO(y4m + rest)) as source:
        numbers: list[int] = []
        with pytest.raises(SourceLost, match="standard input ends within a picture"):
            numbers.extend(number(frame.image) for frame in source)
        assert numbers == list(range(12))
    done = piped(y4m + rest, "--record", "out.mp4", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.count(b"standard input ends within a picture") == 1
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].frames == 12


def test_an_incomplete_raw_picture_is_an_error() -> None:
    with RawPipe((64, 48), 20, "bgr24", io.BytesIO(bytes(3 * 64 * 48 + 7))) as source:
        frames = iter(source)
        next(frames)
        with pytest.raises(SourceLost, match="standard input ends within a picture"):
            next(frames)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("begun", [0, 3])
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_run_on_a_silent_pipe_ends_on_a_signal(
    y4m: bytes, begun: int, stop: signal.Signals, tmp_path: Path
) -> None:
    """Before the header, and between two pictures."""
    run = [sys.executable, "-c", MAIN, "stream", "-", "--model", "none", "--view", "none"]
    header = y4m.index(b"\n") + 1
    with subprocess.Popen(
        run, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT, cwd=tmp_path
    ) as child:
        assert child.stdin is not None
        assert child.stderr is not None
        child.stdin.write(y4m[: begun and header + begun * (6 + 64 * 48 * 3 // 2)])
        child.stdin.flush()
        if begun:
            while b"standard input" not in child.stderr.readline():
                pass
        else:
            await_handler(child.pid, signal.SIGTERM)
        child.send_signal(stop)
        said = child.stderr.read()
        assert child.wait(20) == 128 + stop
        assert b"Traceback" not in said
        assert b"ignored" not in said


def test_from_a_pipe_to_a_file(y4m: bytes, tmp_path: Path) -> None:
    done = piped(y4m, "--record", "out.mp4", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with av.open(str(tmp_path / "out.mp4")) as container:
        shown = [
            number(np.asarray(f.to_ndarray(format="bgr24"), np.uint8))
            for f in container.decode(video=0)
        ]
    assert shown == list(range(12))


def test_raw_from_a_pipe(tmp_path: Path) -> None:
    data = b"".join(flat(index, (64, 48)).tobytes() for index in range(9))
    done = piped(data, "--size", "64x48", "--fps", "10", "--pixel-format", "rgb24", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"9 frames in")


def test_an_empty_pipe(tmp_path: Path) -> None:
    done = piped(b"", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: cannot read Y4M from standard input")
