"""Pace: when the machine becomes slower, the motion scale shrinks and no frames are dropped."""

import time
from collections.abc import Iterator

import numpy as np
import pytest

from rtmag.realtime.controls import Controls
from rtmag.realtime.engines.loading import EngineSpec
from rtmag.realtime.frame import Frame
from rtmag.realtime.magnifier import Magnifier
from rtmag.realtime.run.adaptive import FAST_SECONDS, SLOW_SHARE, Pace, choose
from rtmag.realtime.run.loop import Pipeline, run
from rtmag.realtime.run.report import Report
from tests.support.fakes import Burdened, FakeSource, blank

DT = 1 / 30


class Watched:
    """A Pace, with its controls and messages."""

    def __init__(self, scale: float | None = 1.0) -> None:
        self.controls = Controls(motion_scale=scale)
        self.pace = Pace(self.controls)
        self.messages: list[str] = []
        self.index = 0

    def see(self, count: int, share: float, every: int = 1) -> None:
        """Process frames that each take a share of the frame interval of the source."""
        for _ in range(count):
            self.index += every
            frame = Frame(blank(), self.index * DT, self.index)
            message = self.pace.update(frame, share * DT)
            self.messages += [message] if message is not None else []


def test_scale_is_halved_before_frames_are_dropped() -> None:
    watched = Watched()
    for share in np.linspace(0.3, 0.99, 60):  # below 1, so no frame is late yet
        watched.see(1, share)
        if watched.controls.motion_scale != 1:
            break
    assert watched.controls.motion_scale == 0.5
    assert watched.messages == ["measuring motion at 1/2 size to keep up"]
    watched.see(40, SLOW_SHARE + 0.1)
    assert watched.controls.motion_scale == 0.25
    watched.see(100, 3)
    assert watched.controls.motion_scale == 0.25
    assert len(watched.messages) == 2


def test_dropped_frames_count_in_the_rate_of_the_source() -> None:
    watched = Watched()
    watched.see(16, 1.9, every=2)  # every other frame is dropped
    assert watched.controls.motion_scale == 0.5


def test_short_slowdowns_do_not_change_the_scale() -> None:
    watched = Watched()
    for _ in range(9):
        watched.see(20, 0.5)
        watched.see(5, 3)
    assert watched.messages == []


def test_scale_is_doubled_after_ten_fast_seconds() -> None:
    watched = Watched(0.5)
    watched.see(16, 1)
    assert watched.controls.motion_scale == 0.25
    frames = round(FAST_SECONDS / DT)
    watched.see(5 * frames, 0.2)  # at twice the scale it would be four times as much
    assert watched.controls.motion_scale == 0.25
    watched.see(frames - 10, 0.1)
    assert watched.controls.motion_scale == 0.25
    watched.see(40, 0.1)
    assert watched.controls.motion_scale == 0.5
    watched.see(frames + 40, 0.01)
    assert watched.controls.motion_scale == 1
    watched.see(2 * frames, 0.01)
    assert watched.messages[1:] == [
        f"measuring motion at {size} size as the machine is fast enough" for size in ("1/2", "full")
    ]


@pytest.mark.parametrize("again", [False, True])
def test_scale_selected_by_the_user_is_kept(again: bool) -> None:
    watched = Watched()
    watched.see(20, 0.5)
    watched.controls.motion_scale = 0.5
    watched.see(1, 0.5)
    if again:
        watched.controls.motion_scale = 1.0
    watched.see(100, 2)
    assert watched.controls.motion_scale == (1.0 if again else 0.5)


def test_model_with_one_scale_is_left_unchanged() -> None:
    watched = Watched(None)
    watched.see(100, 2)
    assert watched.controls.motion_scale is None


class Ticking(FakeSource):
    """A live source at 25 frames per second."""

    def __iter__(self) -> Iterator[Frame]:
        start = time.monotonic()
        for index in range(self.frames or 0):
            due = start + index / 25
            time.sleep(max(due - time.monotonic(), 0))
            yield Frame(blank(), due, index)


def burdened(*, follow: bool) -> tuple[Report, Controls]:
    """Run live for six seconds; after 1.5 s each step takes seven times as long."""
    controls = Controls(motion_scale=1.0)
    began = time.monotonic()
    engine = Burdened(lambda: 0.014 if time.monotonic() - began < 1.5 else 0.1)
    pace = Pace(controls) if follow else None
    source = Ticking(150, live=True)
    return run(Pipeline(source, Magnifier(engine), controls, pace=pace)), controls


def test_live_loop_drops_fewer_frames_with_pace() -> None:
    left, _ = burdened(follow=False)
    assert left.dropped > 40
    followed, controls = burdened(follow=True)
    assert controls.motion_scale is not None
    assert controls.motion_scale < 1
    assert followed.dropped < left.dropped / 2


def test_slow_engine_starts_at_a_smaller_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        EngineSpec, "load", lambda spec: Burdened(lambda: 0.06, spec.motion_scale or 1.0)
    )
    engine = choose(EngineSpec(model="slow", motion_scale=None), (64, 48), 30)
    assert engine.motion_scale == 0.5
