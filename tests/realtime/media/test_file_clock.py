from fractions import Fraction

import numpy as np
import pytest

from rtmag.realtime.media.timestamps import FileClock, duration, typical_step


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([0.5, 1.0, 1.5], [0.5, 1.0, 1.5]),
        ([None, None, 3.0], [0.0, 0.1, 3.0]),
        ([1.0, 1.0, 1.1], [1.0, 1.05, 1.1]),
        ([100.0, 1.0, 1.1], [100.0, 100.1, 100.2]),
        ([1.0, 3601.0, 3601.1], [1.0, 3601.0, 3601.1]),
    ],
    ids=["good", "missing", "repeated", "back", "ahead"],
)
def test_clock(given: list[float | None], expected: list[float]) -> None:
    clock = FileClock(0.1)
    assert [clock.read(time) for time in given] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("ticks", "step"),
    [
        ([0, 33, 67, 100, 133, 167, 200], 100 / 3),
        ([0, 2, 1, 4, 3], 1.0),
        ([0, 40, 80, 5000, 5040], 40.0),
        ([0, 10, 1010], 1000.0),
        ([7, 7, 7], 0.0),
        ([5], 0.0),
        ([], 0.0),
    ],
    ids=["rounded", "reordered", "gap", "two", "repeated", "one", "none"],
)
def test_typical_step(ticks: list[int], step: float) -> None:
    assert typical_step(np.array(ticks, np.int64)) == pytest.approx(step)


def test_duration_leaves_out_a_clock_that_wrapped_around() -> None:
    ticks = np.array([0, 1000, 2000, 95_000_000, 95_001_000], np.int64)
    assert duration(ticks, Fraction(1, 1000)) == pytest.approx(3.0)
