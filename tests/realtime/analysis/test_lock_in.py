"""Amplitude and phase per cell at one frequency, from fields with known motion."""

import numpy as np
import pytest

from rtmag.realtime.analysis.lock_in import LockIn
from rtmag.realtime.frame import MotionField

HZ = 5.0


def field(time: float, noise: float, rng: np.random.Generator, hz: float = HZ) -> MotionField:
    """Cells that move by 0.2 px to the right, and others in opposite phase; half stand still."""
    moved = rng.normal(size=(12, 16, 2)).astype(np.float32) * np.float32(noise) + 1.5
    moved[:6, :8, 0] += 0.2 * np.cos(2 * np.pi * hz * time + 0.7)
    moved[6:, :8, 0] -= 0.2 * np.cos(2 * np.pi * hz * time + 0.7)
    return MotionField(moved, np.full_like(moved, noise), 4.0)


@pytest.mark.parametrize("uneven", [False, True])
def test_amplitude_and_phase_are_those_of_the_motion(uneven: bool) -> None:
    rng = np.random.default_rng(1)
    lock_in = LockIn(HZ)
    times = 7 + np.arange(300) / 60 + uneven * rng.uniform(-0.006, 0.006, 300)
    for time in times:
        lock_in.add(field(time, 0.02, rng), time)
    assert lock_in.ready
    size, phase, share = lock_in.cells()
    assert size[:, 2:6].mean() == pytest.approx(0.2, rel=0.05)
    assert np.angle(np.exp(1j * (phase[1:5, 2:6] - 0.7))).mean() == pytest.approx(0, abs=0.1)
    assert np.cos(phase[8:11, 2:6] - phase[1:5, 2:6].mean()).max() < -0.9
    assert (share[1:-1, 1:7] > 0).all() and not share[:, 10:].any()


def test_motion_at_another_frequency_is_not_drawn() -> None:
    rng = np.random.default_rng(2)
    lock_in = LockIn(HZ)
    for time in np.arange(300) / 60:
        lock_in.add(field(time, 0.02, rng, hz=8.0), time)
    assert not lock_in.cells()[2].any()


def test_cells_of_infinite_deviation_are_unknown() -> None:
    rng = np.random.default_rng(3)
    lock_in = LockIn(HZ)
    for time in np.arange(200) / 60:
        each = field(time, 0.02, rng)
        each.deviation[:, :4] = np.inf
        lock_in.add(each, time)
    share = lock_in.cells()[2]
    assert not share[:, :3].any() and (share[2:5, 6] > 0).all()


def test_another_size_or_an_earlier_time_begins_again() -> None:
    rng = np.random.default_rng(4)
    lock_in = LockIn(HZ)
    for time in np.arange(60) / 60:
        lock_in.add(field(time, 0.02, rng), time)
    assert lock_in.ready
    lock_in.add(field(0.1, 0.02, rng), 0.1)
    assert not lock_in.ready
