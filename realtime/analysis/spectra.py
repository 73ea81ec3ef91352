"""Regular samples, spectra and derivatives of a measured displacement.

Times of frames are uneven: clocks round them, frames are missing, cameras pause. Samples are
divided into pieces at pauses. Within a piece they are interpolated to a regular grid, unless they
are on one already. Spectra are scaled to amplitudes: a sinusoid of 1 px shows as 1 px.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.filters import Band
from rtmag.realtime.rate import GAP, count_intervals

Samples = NDArray[np.float64]

MIN_SAMPLES = 8
"""Smallest number of samples of a piece."""

SHORTEST_SEGMENT = 10.0
LONGEST_SEGMENT = 60.0
"""Seconds of a segment of `welch`, unless the piece is shorter."""

HIGHEST = 0.8
"""Default upper edge of a derivative's band, as a share of half the rate."""

_ON_GRID = 0.15  # largest distance from a regular grid, in steps, at which samples stay as they are

_EDGE = 0.1  # width of the edges of a derivative's band, relative to their frequency


class Regular(NamedTuple):
    """Samples at equal steps."""

    start: float
    """Time of the first one in seconds."""
    step: float
    """Seconds."""
    values: Samples
    """(N, 2)."""

    @property
    def times(self) -> Samples:
        """(N,) seconds."""
        return np.asarray(self.start + self.step * np.arange(len(self.values)), np.float64)


def pieces(times: Samples) -> list[slice]:
    """Divide samples at pauses of more than half a second (three steps, if that is longer).

    Args:
        times: (T,) increasing seconds.
    """
    if len(times) < 2:
        return [slice(0, len(times))]
    steps = np.diff(times)
    pause = max(GAP, 3 * float(np.median(steps)))
    cuts = [0, *(np.flatnonzero(steps > pause) + 1).tolist(), len(times)]
    return [slice(a, b) for a, b in itertools.pairwise(cuts)]


def usual_step(times: Samples) -> float:
    """Return the usual seconds from sample to sample; 0 if there are fewer than two."""
    steps = np.diff(times)
    if not len(steps):
        return 0.0
    seconds, intervals = count_intervals(steps, 0.0)
    return seconds / intervals


def regular(times: Samples, values: Samples) -> Regular:
    """Interpolate one piece to a regular grid; samples that are about on one stay as they are.

    Interpolation is Akima's. At three quarters of half the rate it loses a quarter of the amplitude
    between two samples, so fits use the samples themselves.

    Args:
        times: (T,) increasing seconds, T at least 2.
        values: (T, 2).
    """
    step = usual_step(times)
    numbers = np.rint((times - times[0]) / step)
    slope, start = np.polyfit(numbers, times, 1) if len(set(numbers)) > 1 else (step, times[0])
    numbers = np.rint((times - start) / slope)
    off = np.abs((times - start) / slope - numbers)
    if off.max() <= _ON_GRID and (np.diff(numbers) >= 1).all():
        start, step = start + numbers[0] * slope, slope
        times = start + step * (numbers - numbers[0])
        if len(times) == numbers[-1] - numbers[0] + 1:
            return Regular(float(start), float(step), values)
    from scipy.interpolate import Akima1DInterpolator

    start = float(times[0])
    grid = start + step * np.arange(math.floor((times[-1] - start) / step + 1e-6) + 1)
    inside = np.clip(grid, times[0], times[-1])
    return Regular(start, float(step), np.asarray(Akima1DInterpolator(times, values)(inside)))


class Spectrum(NamedTuple):
    """Amplitudes per frequency."""

    hz: Samples
    """(F,) frequencies in Hz, from 0 in equal steps; empty if there are too few samples."""
    px: Samples
    """(F, 2): amplitude of a sinusoid, to the right and down, in px (px/s, px/s2 if derived)."""
    averages: int
    """Number of segments that were averaged; they overlap by half."""

    def derived(self, order: int) -> "Spectrum":
        """Return the spectrum of the velocity (order 1) or acceleration (2)."""
        return self._replace(px=self.px * ((2 * np.pi * self.hz) ** order)[:, None])


def segment_seconds(duration: float) -> float:
    """Return the length of `welch`'s segments: a quarter of the samples, 10 s to 60 s."""
    return min(duration, min(max(duration / 4, SHORTEST_SEGMENT), LONGEST_SEGMENT))


def welch(parts: list[Regular], seconds: float | None = None) -> Spectrum:
    """Return Welch's spectrum of all pieces: Hann windows that overlap by half, without trend.

    Args:
        parts: regular pieces of the same rate.
        seconds: length of a segment; None: `segment_seconds`. Shorter pieces are left out.
    """
    from scipy import signal

    longest = max((len(part.values) for part in parts), default=0)
    if longest < MIN_SAMPLES:
        return Spectrum(np.zeros(0), np.zeros((0, 2)), 0)
    step = next(part.step for part in parts if len(part.values) == longest)
    length = round((seconds or segment_seconds(longest * step)) / step)
    length = min(max(length, MIN_SAMPLES), longest)
    power, averages, hz = np.zeros((length // 2 + 1, 2)), 0, np.zeros(0)
    for part in parts:
        if len(part.values) < length:
            continue
        count = (len(part.values) - length) // (length - length // 2) + 1
        hz, each = signal.welch(
            part.values, 1 / step, "hann", length, detrend="linear", scaling="spectrum", axis=0
        )
        power, averages = power + count * each, averages + count
    return Spectrum(hz, np.sqrt(2 * power / averages), averages)


def derivative(part: Regular, order: int, band: Band | None = None) -> Samples:
    """Return (N, 2): a piece within a band, derived `order` times, without its trend.

    It is computed per frequency: multiplied by (2 pi i f)^order inside the band, by 0 outside, with
    edges of a tenth of their frequency. Both ends are first continued by their point reflection.

    Args:
        part: samples in px.
        order: 0 for displacement, 1 for velocity in px/s, 2 for acceleration in px/s2.
        band: edges in Hz; None: from one period in the piece to 0.8 times half the rate.
    """
    from scipy.signal import detrend

    count = len(part.values)
    if count < MIN_SAMPLES:
        return np.zeros_like(part.values)
    low, high = band or (1 / (count * part.step), HIGHEST / 2 / part.step)
    values = detrend(part.values, axis=0)
    margin = count - 1
    before = 2 * values[0] - values[margin:0:-1]
    after = 2 * values[-1] - values[-2 : -margin - 2 : -1]
    longer = np.concatenate([before, values, after])
    taper = np.ones(len(longer))
    taper[:margin] = 0.5 - 0.5 * np.cos(np.pi * np.arange(margin) / margin)
    taper[-margin:] = taper[:margin][::-1]
    spectrum = np.fft.rfft(longer * taper[:, None], axis=0)
    hz = np.asarray(np.fft.rfftfreq(len(longer), part.step), np.float64)
    gain = band_gain(hz, (low, high)) * (2j * np.pi * hz) ** order
    result = np.fft.irfft(spectrum * gain[:, None], len(longer), axis=0)
    return np.asarray(result[margin : margin + count])


def band_gain(hz: Samples, band: Band) -> Samples:
    """Return the gain of `derivative`'s band, 0 to 1, at these frequencies in Hz."""
    low, high = band
    rise = np.clip((hz - low * (1 - _EDGE)) / max(low * _EDGE, 1e-12), 0, 1)
    fall = np.clip((high * (1 + _EDGE) - hz) / (high * _EDGE), 0, 1)
    return np.asarray(np.sin(np.pi / 2 * np.minimum(rise, fall)) ** 2)
