"""Reading of video files from any time on: every kind, exact frames, damage."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtmag.realtime.errors import SourceLost, SourceUnavailable
from rtmag.realtime.frame import Frame, Image
from rtmag.realtime.sources.source import StoredFrame
from rtmag.realtime.sources.video_file import VideoSource
from tests.support.clips import Clip

MakeClip = Callable[..., Path]


def noise(index: int, size: tuple[int, int]) -> Any:
    """Coarse noise that differs in every frame."""
    coarse = np.random.default_rng(index).integers(0, 255, (size[1] // 8, size[0] // 8, 3))
    return coarse.repeat(8, 0).repeat(8, 1).astype(np.uint8)


def read(source: VideoSource, time: float, count: int) -> list[StoredFrame]:
    """The first frames from a time on."""
    frames = []
    with_none = source.read_from(time)
    for frame in with_none:
        if frame is not None:
            frames.append(frame)
        if len(frames) == count:
            break
    with_none.close()
    return frames


def assert_same(frame: StoredFrame, expected: Frame) -> None:
    image: Image | None = frame.image()
    assert image is not None
    assert np.array_equal(image, expected.image)
    assert frame.time == expected.time
    assert frame.tick == expected.tick


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("b.mp4", {"options": {"g": "12", "bf": "3"}}),
        ("open.ts", {"options": {"g": "12", "x264-params": "open-gop=1:scenecut=0:bframes=3"}}),
        ("refresh.mkv", {"options": {"g": "12", "x264-params": "intra-refresh=1:bframes=0"}}),
        ("b.mpg", {"codec": "mpeg2video", "options": {"g": "8", "bf": "2"}}),
        ("b.avi", {"codec": "mpeg4", "options": {"g": "12", "bf": "2"}}),
        ("fields.mp4", {"options": {"g": "12", "x264-params": "interlaced=1"}}),
        ("late.mov", {"ticks": range(50, 90), "options": {"g": "12", "bf": "2"}}),
        ("one.webm", {"codec": "libvpx", "options": {"deadline": "realtime", "cpu-used": "8"}}),
        (
            "uneven.mp4",
            {"ticks": np.cumsum(np.resize([1, 1, 8], 40)).tolist(), "time_base": Fraction(1, 240)},
        ),
    ],
)
def test_reading_from_a_time_gives_the_frame_shown_then_and_all_later_ones(
    name: str, options: dict[str, Any], clip: MakeClip
) -> None:
    with VideoSource(clip(name, frames=40, picture=noise, **options)) as source:
        frames = list(source)
        assert source.start == frames[0].time
        for index in (39, 25, 24, 23, 12, 5, 0):
            expected = frames[index : index + 3]
            later = frames[index + 1].time if index < 39 else frames[index].time + 0.03
            for time in (frames[index].time, (frames[index].time + later) / 2):
                found = read(source, time, 3)
                assert len(found) == len(expected)
                for pair in zip(found, expected, strict=True):
                    assert_same(*pair)
        assert_same(read(source, frames[0].time - 5, 1)[0], frames[0])
        assert_same(read(source, frames[39].time + 500, 1)[0], frames[39])


@pytest.mark.parametrize("kind", ["bare", "jump"])
def test_files_without_a_clock_are_read_from_their_beginning(
    kind: str, clip: MakeClip, tmp_path: Path
) -> None:
    """Bare streams have no times; joined transport streams have the same ones twice."""
    if kind == "bare":
        path = clip("a.h264", frames=20, picture=noise, options={"bf": "0"})
    else:
        path = tmp_path / "joined.ts"
        parts = [
            Clip(frames=10, fps=Fraction(5), picture=picture).write(tmp_path / f"{number}.ts")
            for number, picture in enumerate((noise, lambda i, size: noise(10 + i, size)))
        ]
        path.write_bytes(b"".join(part.read_bytes() for part in parts[::-1] + parts[:1]))
    with VideoSource(path) as source:
        frames = list(source)
        assert len(frames) >= 20
        assert not source.seekable
        for index in (17, 9, 0):
            assert_same(read(source, frames[index].time, 1)[0], frames[index])


def test_most_of_a_long_file_is_not_decoded_for_a_jump(clip: MakeClip) -> None:
    path = clip(frames=120, options={"g": "10", "bf": "0"})
    with VideoSource(path) as source:
        assert source.seekable
        passed = 0
        for frame in source.read_from(source.start + 3.0):
            if frame is not None:
                break
            passed += 1
        assert passed < 10


def test_a_damaged_end_is_shown_up_to_the_last_good_frame(clip: MakeClip) -> None:
    path = clip(frames=60, picture=noise, options={"g": "10"}, container={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with VideoSource(path) as source:
        frames: list[Frame] = []
        with pytest.raises(SourceLost, match="damaged after frame"):
            for frame in source:
                frames.append(frame)
        reader = source.read_from(source.start + 1.9)  # in the missing part
        (found,) = [next(frame for frame in reader if frame is not None)]
        assert_same(found, frames[-1])
        with pytest.raises(SourceLost, match="damaged"):
            next(reader)


def test_a_file_that_has_gone_says_so(clip: MakeClip) -> None:
    path = clip(frames=20)
    with VideoSource(path) as source:
        path.unlink()
        with pytest.raises(SourceUnavailable, match="no such file"):
            read(source, source.start, 1)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="lists open files by /proc")
def test_a_jump_that_is_given_up_closes_the_file(clip: MakeClip) -> None:
    path = clip(frames=20)
    with VideoSource(path) as source:
        reader = source.read_from(source.start + 0.3)
        next(reader)
        assert str(path) in open_files()
        reader.close()
        assert str(path) not in open_files()


def open_files() -> set[str]:
    return {str(file.readlink()) for file in Path("/proc/self/fd").iterdir() if file.is_symlink()}
