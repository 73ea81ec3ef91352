"""Rates per minute: read if the motion repeats, else not."""

import numpy as np
import pytest
from numpy.typing import NDArray

from rtmag.realtime.analysis.per_minute import rate_per_minute
from rtmag.realtime.presets import PRESETS

BREATH = PRESETS["breath"].filter.band
PULSE = PRESETS["pulse"].filter.band


def motion(
    hz: float, px: float, noise: float, seconds: float = 20.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    times = np.arange(round(30 * seconds)) / 30
    moved = px * np.sin(2 * np.pi * hz * times + 1)
    values = np.random.default_rng(1).normal(0, noise, (len(times), 2))
    return times, values + np.stack([0.3 * moved, moved], axis=1)


@pytest.mark.parametrize(("hz", "band"), [(0.25, BREATH), (0.5, BREATH), (1.2, PULSE)])
def test_a_rate(hz: float, band: tuple[float, float]) -> None:
    rate = rate_per_minute(*motion(hz, 0.2, 0.05), band)
    assert rate is not None
    assert rate.value == pytest.approx(60 * hz, abs=0.5)
    assert 0.8 < rate.confidence <= 1


@pytest.mark.parametrize("band", [BREATH, PULSE])
def test_noise_has_no_reading(band: tuple[float, float]) -> None:
    assert rate_per_minute(*motion(1.0, 0.0, 0.05), band) is None


def test_a_drift_has_no_reading() -> None:
    times, values = motion(0.5, 0.0, 0.01)
    assert rate_per_minute(times, values + np.square(times)[:, None] / 100, BREATH) is None


def test_a_short_motion_has_no_reading() -> None:
    assert rate_per_minute(*motion(0.5, 0.2, 0.01, seconds=3), BREATH) is None
    assert rate_per_minute(np.zeros(0), np.zeros((0, 2)), BREATH) is None


def test_breathing_that_varies_is_read() -> None:
    times, values = motion(0.4, 0.0, 0.02, seconds=30)
    phase = 2 * np.pi * np.cumsum(0.4 + 0.02 * np.sin(times / 3)) / 30
    rate = rate_per_minute(times, values + 0.3 * np.sin(phase)[:, None], BREATH)
    assert rate is not None
    assert rate.value == pytest.approx(24, abs=1)
