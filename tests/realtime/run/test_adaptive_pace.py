"""Pace: on a machine that becomes slower motion is found more coarsely, and frames do not drop."""

import time
from collections.abc import Iterator

import numpy as np
import pytest

from rtmag.realtime.controls import Controls
from rtmag.realtime.engines.loading import EngineSpec
from rtmag.realtime.frame import Frame
from rtmag.realtime.magnifier import Magnifier
from rtmag.realtime.run.adaptive import MOST, ROOM, Pace, choose
from rtmag.realtime.run.loop import run
from rtmag.realtime.run.report import Report
from tests.support.fakes import Burdened, FakeSource, blank

DT = 1 / 30


class Watched:
    """A pace told of frames, and what it said."""

    def __init__(self, scale: float | None = 1.0) -> None:
        self.controls = Controls(motion_scale=scale)
        self.pace = Pace(self.controls)
        self.said: list[str] = []
        self.index = 0

    def see(self, count: int, share: float, every: int = 1) -> None:
        """So many frames that take a share of the time between two of the source's."""
        for _ in range(count):
            self.index += every
            frame = Frame(blank(), self.index * DT, self.index)
            said = self.pace.took(frame, share * DT)
            self.said += [said] if said is not None else []


def test_a_machine_that_becomes_slower_looks_more_coarsely_before_frames_drop() -> None:
    watched = Watched()
    for share in np.linspace(0.3, 0.99, 60):  # each frame is still in time
        watched.see(1, share)
        if watched.controls.motion_scale != 1:
            break
    assert watched.controls.motion_scale == 0.5
    assert watched.said == ["motion at 1/2: the machine is too slow"]
    watched.see(40, MOST + 0.1)
    assert watched.controls.motion_scale == 0.25
    watched.see(100, 3)
    assert watched.controls.motion_scale == 0.25
    assert len(watched.said) == 2


def test_the_rate_is_the_source_s_while_frames_drop() -> None:
    watched = Watched()
    watched.see(16, 1.9, every=2)  # every other one is lost, and the others seem in time
    assert watched.controls.motion_scale == 0.5


def test_a_moment_is_no_reason() -> None:
    watched = Watched()
    for _ in range(9):
        watched.see(20, 0.5)
        watched.see(5, 3)
    assert watched.said == []


def test_room_that_lasts_is_used() -> None:
    watched = Watched(0.5)
    watched.see(16, 1)
    assert watched.controls.motion_scale == 0.25
    frames = round(ROOM / DT)
    watched.see(5 * frames, 0.2)  # four times that were too much
    assert watched.controls.motion_scale == 0.25
    watched.see(frames - 10, 0.1)
    assert watched.controls.motion_scale == 0.25
    watched.see(40, 0.1)
    assert watched.controls.motion_scale == 0.5
    watched.see(frames + 40, 0.01)
    assert watched.controls.motion_scale == 1
    watched.see(2 * frames, 0.01)
    assert watched.said[1:] == [f"motion at {n}: the machine has room" for n in ("1/2", "1")]


@pytest.mark.parametrize("again", [False, True])
def test_whoever_chooses_a_scale_keeps_it(again: bool) -> None:
    watched = Watched()
    watched.see(20, 0.5)
    watched.controls.motion_scale = 0.5
    watched.see(1, 0.5)
    if again:
        watched.controls.motion_scale = 1.0
    watched.see(100, 2)
    assert watched.controls.motion_scale == (1.0 if again else 0.5)


def test_a_model_with_one_scale_is_left_alone() -> None:
    watched = Watched(None)
    watched.see(100, 2)
    assert watched.controls.motion_scale is None


class Ticking(FakeSource):
    """A live source at 25 pictures a second."""

    def __iter__(self) -> Iterator[Frame]:
        start = time.monotonic()
        for index in range(self.frames or 0):
            due = start + index / 25
            time.sleep(max(due - time.monotonic(), 0))
            yield Frame(blank(), due, index)


def burdened(*, follow: bool) -> tuple[Report, Controls]:
    """Six seconds live, in the second of which the machine becomes seven times slower."""
    controls = Controls(motion_scale=1.0)
    began = time.monotonic()
    engine = Burdened(lambda: 0.014 if time.monotonic() - began < 1.5 else 0.1)
    pace = Pace(controls) if follow else None
    source = Ticking(150, live=True)
    return run(source, Magnifier(engine), controls, pace=pace), controls


def test_a_live_loop_follows_a_machine_that_becomes_slow() -> None:
    left, _ = burdened(follow=False)
    assert left.dropped > 40
    followed, controls = burdened(follow=True)
    assert controls.motion_scale is not None
    assert controls.motion_scale < 1
    assert followed.dropped < left.dropped / 2


def test_a_slow_engine_begins_more_coarsely(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        EngineSpec, "load", lambda spec: Burdened(lambda: 0.06, spec.motion_scale or 1.0)
    )
    engine = choose(EngineSpec(model="slow", motion_scale=None), (64, 48), 30)
    assert engine.motion_scale == 0.5
