"""Rate of a breathing chest or a pulse, per minute, with a confidence or no reading.

The spectrum of the motion along its main direction is searched within a band. A rate is read only
if the motion repeats at one frequency: the confidence is the share of the power in the band that is
at the peak and at twice its frequency. Noise spreads its power over the band.
"""

import math
from dataclasses import dataclass

import numpy as np

from rtmag.realtime.analysis.spectra import MIN_SAMPLES, Samples, regular
from rtmag.realtime.filters import Band

LEAST_CONFIDENCE = 0.5
"""Confidence below which there is no reading. Noise has about 0.3."""

LEAST_PERIODS = 3.0
"""Periods of the slowest motion of the band without which there is no reading."""

_LONGEST = 60.0  # seconds, the last ones, that a rate is read from: it changes

_LOBE = 1.5  # half the width of a peak, in units of 1 / duration

_PADDING = 8  # points of the spectrum per 1 / duration


@dataclass(frozen=True, slots=True)
class RatePerMinute:
    """A rate that was read."""

    value: float
    """Per minute."""
    confidence: float
    """Share of the power in the band that belongs to this rate, `LEAST_CONFIDENCE` to 1."""


def rate_per_minute(times: Samples, displacement: Samples, band: Band) -> RatePerMinute | None:
    """Read the rate of a motion that repeats; None: no reading.

    Args:
        times: (T,) increasing seconds.
        displacement: (T, 2) px, such as `RegionMotion.displacement`.
        band: edges in Hz between which the rate is, such as those of the presets breath and pulse.
    """
    recent = times > times[-1] - _LONGEST if len(times) else np.zeros(0, bool)
    if recent.sum() < MIN_SAMPLES:
        return None
    signal = regular(times[recent], displacement[recent])
    duration = len(signal.values) * signal.step
    if duration * band[0] < LEAST_PERIODS and duration * band[1] < 2 * LEAST_PERIODS:
        return None
    hz, power = _spectrum(signal.values, signal.step)
    low = max(band[0], LEAST_PERIODS / duration)
    inside = (hz >= low) & (hz <= band[1])
    if not inside.any():
        return None
    top = int(np.where(inside, power, 0).argmax())
    if not 0 < top < len(power) - 1 or power[top] < max(power[top - 1], power[top + 1]):
        return None  # the edge of something slower or faster
    near = np.abs(hz - hz[top]) < _LOBE / duration
    near |= np.abs(hz - 2 * hz[top]) < _LOBE / duration
    within = (hz >= low - _LOBE / duration) & (hz <= max(band[1], 2 * hz[top] + _LOBE / duration))
    confidence = float(power[near & within].sum() / max(power[within].sum(), 1e-30))
    if confidence < LEAST_CONFIDENCE:
        return None
    return RatePerMinute(60 * _refined(hz, power, top), confidence)


def _spectrum(values: Samples, step: float) -> tuple[Samples, Samples]:
    """Return frequencies in Hz and powers of the motion along its main direction."""
    from scipy.signal import detrend

    centred = detrend(values, axis=0)
    along = centred @ np.linalg.eigh(centred.T @ centred)[1][:, -1]
    points = _PADDING * len(along)
    spectrum = np.fft.rfft(along * np.hanning(len(along)), points)
    hz = np.asarray(np.fft.rfftfreq(points, step), np.float64)
    return hz, np.asarray(np.abs(spectrum) ** 2, np.float64)


def _refined(hz: Samples, power: Samples, top: int) -> float:
    """Return the frequency of a peak, by a parabola through the logarithms of three points."""
    before, middle, after = (math.log(max(float(power[top + k]), 1e-30)) for k in (-1, 0, 1))
    curvature = before - 2 * middle + after
    offset = 0.5 * (before - after) / curvature if curvature < 0 else 0.0
    return float(hz[top] + offset * (hz[1] - hz[0]))
