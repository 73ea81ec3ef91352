"""Sinusoids with known frequencies, amplitudes and noise."""

import numpy as np
import pytest
from numpy.typing import NDArray

from rtmag.realtime.analysis.measurement import Ellipse, as_peak
from rtmag.realtime.analysis.sinusoids import find_sinusoids

Samples = NDArray[np.float64]

FPS = 30.0


def swing(times: Samples, hz: float, x: complex, y: complex = 0) -> Samples:
    """(T, 2): the real part of complex amplitudes that turn."""
    return np.real(np.exp(2j * np.pi * hz * times)[:, None] * np.array([x, y]))


def test_two_close_lines_and_a_weak_one_are_separated() -> None:
    times = np.arange(300) / FPS
    rng = np.random.default_rng(0)
    values = swing(times, 3.03, 1) + swing(times, 3.37, 0.2j, 0.1) + swing(times, 11.2, 0, 0.02)
    found = find_sinusoids(times, values + rng.normal(0, 0.02, (300, 2)))
    assert [line.hz for line in found] == pytest.approx([3.03, 3.37, 11.2], abs=0.01)
    assert [as_peak(line).px for line in found] == pytest.approx([1, 0.05**0.5, 0.02], abs=0.005)


@pytest.mark.parametrize("slope", [0.0, 0.5])
def test_the_stated_deviations_are_those_of_the_errors(slope: float) -> None:
    """Hold the truth within two deviations in 94 to 97 % of many draws of white and red noise."""
    times = np.arange(300) / FPS
    rng = np.random.default_rng(1)
    scale = np.maximum(np.fft.rfftfreq(1200, 1 / FPS), 0.1)[:, None] ** -slope
    hits = []
    for _ in range(250):
        hz, phase = rng.uniform(1, 12), np.exp(2j * np.pi * rng.random())
        noise = np.fft.irfft(np.fft.rfft(rng.normal(0, 0.03, (1200, 2)), axis=0) * scale, axis=0)
        found = find_sinusoids(times, swing(times, hz, 0.08 * phase, 0.06 * phase) + noise[:300])
        peak = as_peak(min(found, key=lambda line: abs(line.hz - hz)))
        hits.append(
            (
                abs(peak.hz - hz) < 2 * peak.hz_deviation,
                abs(peak.px - 0.1) < 2 * peak.px_deviation,
            )
        )
    assert np.mean(hits, axis=0) == pytest.approx(0.955, abs=0.03)


def test_noise_a_step_and_drift_have_no_line() -> None:
    times = np.arange(300) / FPS
    rng = np.random.default_rng(2)
    false = 0
    for trial in range(100):
        step = np.where(times > rng.uniform(0, 10), 1.0, 0.0)
        drift = 0.5 * np.sin(2 * np.pi * rng.uniform(0.02, 0.15) * times)
        slow = (0 * times, step, drift)[trial % 3]
        false += bool(find_sinusoids(times, slow[:, None] + rng.normal(0, 0.02, (300, 2))))
    assert false <= 2


def test_uneven_and_missing_times_do_not_change_the_amplitude() -> None:
    rng = np.random.default_rng(3)
    times = np.cumsum(rng.uniform(0.02, 0.045, 400))
    times = times[rng.random(400) > 0.1]
    values = swing(times, 11.3, 0.3, 0.4j) + rng.normal(0, 0.01, (len(times), 2))
    found = find_sinusoids(times, values)[0]
    assert found.hz == pytest.approx(11.3, abs=0.002)
    assert np.abs(found.amplitude) == pytest.approx([0.3, 0.4], rel=0.01)


def test_long_displacements_are_averaged_over_segments() -> None:
    times = np.arange(0, 400, 1 / FPS)
    rng = np.random.default_rng(4)
    found = find_sinusoids(times, swing(times, 2.2, 0.05, 0.05j) + rng.normal(0, 0.2, (12000, 2)))
    assert len(found) == 1
    assert found[0].hz == pytest.approx(2.2, abs=0.002)
    peak = as_peak(found[0])
    assert peak.px == pytest.approx(0.05 * 2**0.5, abs=3 * peak.px_deviation)
    assert peak.px_deviation < 0.005


@pytest.mark.parametrize("angle", [-60.0, 0.0, 30.0, 90.0])
@pytest.mark.parametrize("clockwise", [True, False])
def test_ellipse(angle: float, clockwise: bool) -> None:
    turn = np.exp(1j * np.radians(angle))
    phases = np.exp(2j * np.pi * np.arange(8) / 8)  # of the time
    path = turn * (2 * phases.real + 1j * phases.imag * (0.5 if clockwise else -0.5))
    x, y = (2 * (part * phases.conj()).mean() for part in (path.real, path.imag))
    ellipse = Ellipse.of(complex(x), complex(y))
    assert (ellipse.major, ellipse.minor, ellipse.angle) == pytest.approx((2, 0.5, angle))
    assert ellipse.clockwise == clockwise
