"""The measured frame rate, from times as cameras and files have them."""

import numpy as np
import pytest
from numpy.typing import NDArray

from rtmag.realtime.rate import RATE_TOLERANCE, RateMeter

Times = NDArray[np.float64]


def even(fps: float, count: int = 200, clock: float | None = None) -> Times:
    """Times of an even rate, rounded to a clock of this many ticks per second."""
    times = np.arange(count) / fps
    return times if clock is None else np.rint(times * clock) / clock


def rates(meter: RateMeter, times: Times, tick: float = 0.0) -> list[float | None]:
    found = []
    for time in times:
        meter.add(time, tick=tick)
        found.append(meter.fps)
    return found


def test_rate_is_known_after_ten_intervals() -> None:
    found = rates(RateMeter(), even(25))
    assert found[:10] == [None] * 10
    assert found[10:] == pytest.approx([25] * 190)


def test_rate_ignores_late_and_dropped_frames() -> None:
    rate = RateMeter(5, least=3)
    for index in (0, 2, 4, 6):
        rate.add(index / 25, 2)
    assert rate.fps == pytest.approx(25)
    rate.add(1000.0)
    rate.restart()
    rate.add(5000.0)
    assert rate.fps == pytest.approx(25)


@pytest.mark.parametrize(
    ("fps", "clock"),
    [
        (240, 600), (120, 600), (120, 1000), (144, 1000), (240, 1000), (300, 1000), (400, 1000),
        (480, 1000), (600, 1000), (700, 1000), (800, 1000), (960, 1000), (1000, 1000), (30, 1000),
    ],
)  # fmt: skip
def test_a_rounding_clock_does_not_change_the_rate(fps: float, clock: float) -> None:
    meter = RateMeter(expected=fps)
    for time in even(fps, clock=clock):
        meter.add(time, tick=1 / clock)
        assert abs((meter.fps or fps) / fps - 1) < meter.tolerance
    assert meter.tolerance < 2 * RATE_TOLERANCE


@pytest.mark.parametrize(
    ("steps", "fps"),
    [
        ([0.02, 0.0467], 29.985),
        ([0.05, 1 / 30], 24.0),
        ([1 / 300, 0.005, 1 / 300, 0.005, 0.005, 1 / 300], 240.0),
        ([0.04, 0.027, 0.031], 30.6),
    ],
)
def test_alternating_steps_have_the_rate_of_their_mean(steps: list[float], fps: float) -> None:
    found = rates(RateMeter(), np.cumsum(np.resize(steps, 300)))
    assert found[40:] == pytest.approx([fps] * 260, rel=0.03)


@pytest.mark.parametrize("share", [0.1, 0.25, 0.4, 0.6])
def test_missing_frames_do_not_change_the_rate(share: float) -> None:
    kept = np.random.default_rng(3).random(400) > share
    found = rates(RateMeter(expected=30), even(30, 400)[kept])
    assert found[40:] == pytest.approx([30] * len(found[40:]))


def test_every_fifth_frame_missing_in_a_clock_that_counts_frames() -> None:
    times = even(30, 400)[np.arange(400) % 5 != 4]
    found = rates(RateMeter(), times, tick=0.0)
    assert found[40:] == pytest.approx([30] * len(found[40:]))


@pytest.mark.parametrize("clock", [None, 600, 1000])
def test_another_rate_is_found_within_nine_frames(clock: float | None) -> None:
    meter = RateMeter(expected=30)
    slow, fast = even(30, 60, clock), even(240, 60, clock)
    times = np.concatenate([slow, 2 + fast, 2.25 + slow])
    found = rates(meter, times, 0.0 if clock is None else 1 / clock)
    assert found[10:60] == pytest.approx([30] * 50, rel=0.02)
    assert found[69:120] == pytest.approx([240] * 51, rel=0.08)
    assert found[130:] == pytest.approx([30] * 50, rel=0.02)


def test_jitter_does_not_look_like_another_rate() -> None:
    rng = np.random.default_rng(0)
    times = even(30, 1000) + rng.uniform(-0.008, 0.008, 1000)
    found = rates(RateMeter(expected=30), times)
    assert found[10:] == pytest.approx([30] * 990, rel=RATE_TOLERANCE)


def test_times_that_do_not_increase_are_left_out() -> None:
    meter = RateMeter()
    times = [*even(30, 50), 0.5, 0.5, *(0.6 + even(30, 50))]
    assert rates(meter, np.array(times))[-1] == pytest.approx(30)
