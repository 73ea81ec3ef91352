"""Deinterlacing of frames whose fields were filmed one after the other."""

from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from rtmag.realtime.media.deinterlace import Deinterlacer

SPEED = 3.0
"""Pixels per field."""


def grating(field: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Vertical stripes at the time of a field, as (H, W) grey levels."""
    width, height = size
    row = 128 + 90 * np.sin((np.arange(width) - SPEED * field) / 4)
    return np.tile(np.rint(row), (height, 1)).astype(np.uint8)


def interlaced(index: int, size: tuple[int, int] = (64, 48), *, marked: bool = True) -> VideoFrame:
    """A frame whose even rows are earlier by a field than its odd ones."""
    image = grating(2 * index, size)
    image[1::2] = grating(2 * index + 1, size)[1::2]
    chroma = np.full((size[1] // 2, size[0]), 128, np.uint8)
    frame = VideoFrame.from_ndarray(np.concatenate([image, chroma]), "yuv420p")
    frame.pts, frame.time_base = 40 * index, Fraction(1, 1000)
    frame.colorspace = 1
    return marked_as(frame) if marked else frame


def marked_as(frame: VideoFrame) -> VideoFrame:
    """Pass a frame through FFmpeg's filter that marks frames as interlaced."""
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )
    mark = graph.add("setfield", "tff")
    graph.link_nodes(source, mark, graph.add("buffersink")).configure()
    graph.vpush(frame)
    return graph.vpull()


def combed(frame: VideoFrame) -> float:
    """Mean difference between the even and the odd rows, in grey levels."""
    luma = frame.to_ndarray()[: frame.height].astype(float)
    return float(np.abs(luma[:-1:2] - luma[1::2]).mean())


def through(frames: list[VideoFrame]) -> list[VideoFrame]:
    deinterlacer = Deinterlacer()
    out = [ready for frame in frames for ready in deinterlacer.add(frame)]
    return out + list(deinterlacer.flush())


def test_frames_show_the_first_field_at_its_time() -> None:
    frames = [interlaced(index) for index in range(12)]
    assert combed(frames[5]) > 20
    out = through(frames)
    assert [frame.pts for frame in out] == [40 * index for index in range(12)]
    assert {frame.time_base for frame in out} == {Fraction(1, 1000)}
    assert {frame.colorspace for frame in out} == {1}
    for index, frame in enumerate(out[1:-1], 1):
        assert combed(frame) < 2
        luma = frame.to_ndarray()[:48].astype(float)
        assert np.abs(luma - grating(2 * index, (64, 48))).mean() < 2


def test_other_frames_are_returned_at_once_and_unchanged() -> None:
    frames = [interlaced(index, marked=False) for index in range(3)]
    deinterlacer = Deinterlacer()
    assert [list(deinterlacer.add(frame)) for frame in frames] == [[frame] for frame in frames]
    assert not deinterlacer.active
    assert list(deinterlacer.flush()) == []


def test_frames_without_a_mark_among_others_keep_their_rows() -> None:
    frames = [interlaced(index, marked=index != 4) for index in range(8)]
    kept = through(frames)[4]
    assert np.array_equal(kept.to_ndarray(), frames[4].to_ndarray())


@pytest.mark.parametrize("count", [1, 2])
def test_streams_of_few_frames_keep_them(count: int) -> None:
    assert len(through([interlaced(index) for index in range(count)])) == count


def test_a_change_of_size_loses_no_frame() -> None:
    sizes = [(64, 48)] * 4 + [(32, 48)] * 4
    out = through([interlaced(index, size) for index, size in enumerate(sizes)])
    assert [(frame.width, frame.height) for frame in out] == sizes
    assert [frame.pts for frame in out] == [40 * index for index in range(8)]
