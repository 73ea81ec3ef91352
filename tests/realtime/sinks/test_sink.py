"""The contract of all sinks, and letterboxing."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rtmag.realtime.frame import Frame
from rtmag.realtime.sinks.background import BackgroundSink
from rtmag.realtime.sinks.sink import NullSink, Sink, letterbox
from rtmag.realtime.sinks.video_file import VideoSink

MakeFrames = Callable[..., list[Frame]]


class TestContract:
    """Properties of all sinks."""

    @pytest.fixture(params=["null", "video", "background"])
    def sink(self, request: pytest.FixtureRequest, tmp_path: Path) -> Sink:
        make: dict[str, Callable[[], Sink]] = {
            "null": NullSink,
            "video": lambda: VideoSink(tmp_path / "out.mp4"),
            "background": lambda: BackgroundSink(NullSink()),
        }
        return make[request.param]()

    @pytest.mark.parametrize("finished", [True, False])
    def test_takes_frames_and_closes_twice(
        self, sink: Sink, frames: MakeFrames, finished: bool
    ) -> None:
        for frame in frames(3):
            sink.write(frame)
        sink.close(finished=finished)
        sink.close(finished=finished)

    def test_closes_without_frames(self, sink: Sink) -> None:
        sink.close()

    def test_name_and_dropped_frames(self, sink: Sink) -> None:
        assert sink.name in ("", "out.mp4")
        assert sink.dropped == 0
        sink.close()


@pytest.mark.parametrize(
    ("size", "bars"),
    [((64, 48), (0, 0)), ((32, 24), (0, 0)), ((128, 48), (32, 0)), ((64, 96), (0, 24))],
)
def test_letterboxed_images_keep_their_aspect_ratio(
    size: tuple[int, int], bars: tuple[int, int]
) -> None:
    boxed = letterbox(np.full((48, 64, 3), 200, np.uint8), size)
    assert boxed.shape == (size[1], size[0], 3)
    left, top = bars
    assert (boxed[top : size[1] - top, left : size[0] - left] == 200).all()
    assert boxed.sum() == 200 * 3 * (size[0] - 2 * left) * (size[1] - 2 * top)
