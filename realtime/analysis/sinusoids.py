"""Sinusoids in a measured displacement, with their uncertainty.

They are found one after the other: the highest line of the spectrum that stands above the noise
around it, after all lines found so far are subtracted. All are then fitted together to the samples
by least squares (Gauss-Newton), frequencies included, so they do not disturb each other.

The uncertainty is that of Cramer and Rao for the noise around the line: Rife and Boorstyn,
"Single-Tone Parameter Estimation from Discrete-Time Observations" (1974). The noise is what the fit
leaves within 20 bins on either side of the line. It need not be white.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.analysis.spectra import MIN_SAMPLES, Samples, pieces, regular, usual_step
from rtmag.realtime.filters import Band

LONGEST = 120.0
"""Seconds of a segment; of a longer displacement, the results of several segments are averaged."""

LEAST_PERIODS = 3.0
"""Smallest number of periods of a sinusoid in a segment."""

MOST = 12
"""Largest number of sinusoids."""

FALSE_ALARM = 1e-3
"""Probability that white noise has a line."""

_SIDE = 20  # bins on either side of a line that show the noise around it

_OWN = 2  # bins on either side of a line that belong to it: the main lobe of the Hann window

_ITERATIONS = 12

_SMALL = 1e-3  # bins; the step after one as small as this would be about its square

Complex = NDArray[np.complex128]


@dataclass(frozen=True, slots=True)
class Sinusoid:
    """One line: displacement = real part of amplitude * exp(2 pi i hz (t - start)), per axis."""

    hz: float
    """Frequency in Hz."""
    hz_deviation: float
    """Its standard deviation."""
    amplitude: tuple[complex, complex]
    """To the right and down, in px; the phase refers to `start`."""
    deviation: tuple[float, float]
    """Standard deviation of the real and of the imaginary part of each amplitude, in px."""
    start: float
    """Time in seconds to which the phase refers: the middle of the first segment."""


@dataclass(frozen=True, slots=True, eq=False)
class _Segment:
    """Samples of one segment, on their own times and on a regular grid."""

    times: Samples
    """(T,) seconds from the middle."""
    values: Samples
    """(T, 2) px."""
    start: float
    step: float
    count: int
    """Number of samples on the regular grid."""

    @property
    def duration(self) -> float:
        return self.count * self.step

    def on_grid(self, values: Samples) -> Samples:
        """(count, 2) of these values."""
        grid = regular(self.times, values).values[: self.count]
        return np.pad(grid, ((0, self.count - len(grid)), (0, 0)), mode="edge")


def find_sinusoids(times: Samples, values: Samples, band: Band | None = None) -> list[Sinusoid]:
    """Find the sinusoids of a displacement, largest first.

    Args:
        times: (T,) increasing seconds; they may be uneven and have pauses.
        values: (T, 2) displacement to the right and down, px.
        band: edges in Hz between which frequencies are sought; None: all.
    """
    segments = _segments(times, values)
    if not segments:
        return []
    first = segments[0]
    low, high = band or (0.0, math.inf)
    low = max(low, LEAST_PERIODS / first.duration)
    high = min(high, 0.5 / first.step - 2 / first.duration)
    found = np.zeros(0)
    fits = [_Fit(each, found) for each in segments]
    while len(found) < MOST:
        hz = _highest(segments, fits, found, (low, high))
        if hz is None:
            break
        found = np.append(found, hz)
        fits = [_Fit(each, found) for each in segments]
        found = np.mean([fit.hz for fit in fits], axis=0)
    lines = [_combined(fits, number) for number in range(len(found))]
    return sorted(lines, key=lambda line: -float(np.abs(line.amplitude).max()))


def _segments(times: Samples, values: Samples) -> list[_Segment]:
    """Equal segments of all pieces that are long enough."""
    parts = [part for part in pieces(times) if part.stop - part.start >= MIN_SAMPLES]
    if not parts:
        return []
    step = usual_step(times)
    durations = [float(times[part.stop - 1] - times[part.start]) + step for part in parts]
    longest = max(durations)
    length = longest / math.ceil(longest / LONGEST)
    count = math.floor(length / step + 1e-6)
    segments = []
    for part, duration in zip(parts, durations, strict=True):
        for number in range(math.floor(duration / length + 1e-6)):
            begin = float(times[part.start]) + number * length - step / 2
            inside = slice(*np.searchsorted(times, (begin, begin + length + 1e-6 * step)))
            if inside.stop - inside.start >= MIN_SAMPLES:
                middle = begin + length / 2
                segments.append(
                    _Segment(times[inside] - middle, values[inside], middle, step, count)
                )
    return segments


def _highest(
    segments: list[_Segment], fits: "list[_Fit]", found: Samples, band: Band
) -> float | None:
    """Frequency of the line that stands highest above the noise around it, or None."""
    from scipy.stats import gamma

    first = segments[0]
    window = np.hanning(first.count + 2)[1:-1, None]
    power = np.zeros((first.count // 2 + 1, 2))
    for each, fit in zip(segments, fits, strict=True):
        power += np.abs(np.fft.rfft(each.on_grid(fit.residual) * window, axis=0)) ** 2
    hz = np.fft.rfftfreq(first.count, first.step)
    floor = np.stack([_floor(power[:, axis]) for axis in (0, 1)], axis=1)
    height = (power / np.maximum(floor, 1e-30)).sum(axis=1) * len(segments)
    allowed = (hz >= band[0]) & (hz <= band[1])
    for each in found:
        allowed &= np.abs(hz - each) * first.duration > _OWN
    least = float(gamma.isf(FALSE_ALARM / max(int(allowed.sum()), 1), 2 * len(segments)))
    allowed[1:-1] &= (power.sum(1)[1:-1] >= power.sum(1)[:-2]) & (
        power.sum(1)[1:-1] >= power.sum(1)[2:]
    )
    allowed[[0, -1]] = False
    if not allowed.any():
        return None
    top = int(np.where(allowed, height, 0.0).argmax())
    if height[top] < least:
        return None
    before, middle, after = np.log(power[top - 1 : top + 2].sum(axis=1) + 1e-30)
    curvature = before - 2 * middle + after
    offset = 0.5 * (before - after) / curvature if curvature < 0 else 0.0
    return float((top + offset) / first.duration)


def _floor(power: Samples) -> Samples:
    """(F,) power of the noise around each bin: the higher median of both sides.

    The median of the noise is ln 2 times its mean.
    """
    padded = np.pad(power, _SIDE + _OWN, constant_values=np.nan)
    sides = np.lib.stride_tricks.sliding_window_view(padded, 2 * (_SIDE + _OWN) + 1)
    below, above = sides[:, :_SIDE], sides[:, -_SIDE:]
    return np.fmax(_nan_median(below), _nan_median(above)) / math.log(2)


def _nan_median(rows: Samples) -> Samples:
    """(F,) medians of the rows without NaN; NaN if fewer than 3 values are left."""
    ordered = np.sort(rows, axis=1)  # NaN last
    counts = (~np.isnan(rows)).sum(axis=1)
    middle = ordered[np.arange(len(rows)), np.maximum(counts - 1, 0) // 2]
    return np.asarray(np.where(counts >= 3, middle, np.nan))


class _Fit:
    """Least-squares fit of sinusoids and a straight line to one segment.

    Args:
        segment: the samples.
        hz: (K,) first values of the frequencies.
    """

    def __init__(self, segment: _Segment, hz: Samples) -> None:
        self._segment, self.hz = segment, hz.copy()
        self.middle = segment.start
        """Time of the middle of the segment in seconds."""
        first, reach = hz, 1.5 / segment.duration
        for _ in range(_ITERATIONS if len(hz) else 1):
            self._solve()
            step = self._frequency_step()
            self.hz = np.clip(self.hz + step, first - reach, first + reach)
            if not len(hz) or np.abs(step).max() < _SMALL / segment.duration:
                break
        self._solve()

    def _solve(self) -> None:
        """Fit amplitudes at the present frequencies."""
        times, values = self._segment.times, self._segment.values
        phase = 2 * np.pi * times[:, None] * self.hz
        cos, sin = np.cos(phase), np.sin(phase)
        basis = np.concatenate([np.ones((len(times), 1)), times[:, None], cos, sin], axis=1)
        self._q, self._r = np.linalg.qr(basis)
        coefficients = np.linalg.lstsq(self._r, self._q.T @ values, rcond=None)[0]
        count = len(self.hz)
        self.amplitude: Complex = coefficients[2 : 2 + count] - 1j * coefficients[2 + count :]
        """(K, 2); the phase refers to the middle of the segment."""
        self.residual: Samples = values - basis @ coefficients
        slope = 2j * np.pi * times[:, None, None] * self.amplitude
        self._slopes = np.real(slope * (cos + 1j * sin)[:, :, None])  # (T, K, 2), per Hz

    def _frequency_step(self) -> Samples:
        """(K,) step of Gauss and Newton of the frequencies."""
        if not len(self.hz):
            return self.hz
        slopes = self._independent_slopes()
        variance = self.residual.var(axis=0) + 1e-30
        matrix = sum(slopes[..., k].T @ slopes[..., k] / variance[k] for k in (0, 1))
        right = sum(slopes[..., k].T @ self.residual[:, k] / variance[k] for k in (0, 1))
        return np.asarray(np.linalg.lstsq(np.asarray(matrix), np.asarray(right), rcond=None)[0])

    def _independent_slopes(self) -> Samples:
        """(T, K, 2): the part of the slopes that amplitudes cannot express."""
        each = [self._slopes[..., k] for k in (0, 1)]
        return np.stack([slope - self._q @ (self._q.T @ slope) for slope in each], axis=-1)

    def _noise(self, number: int) -> Samples:
        """Variance of the noise around a line, as white noise of that density, (2, 2).

        The rows are for amplitudes and for the frequency, the columns for both axes. They differ
        because the frequency depends most on the samples at both ends, which lets in more of the
        noise of other frequencies.
        """
        times, duration = self._segment.times, self._segment.duration
        bins = np.concatenate([np.arange(-_SIDE, -1), np.arange(2, _SIDE + 1)])
        hz = self.hz[number] + bins / duration
        hz = hz[(hz > 0.5 / duration) & (hz < 0.5 / self._segment.step)]
        far = np.abs(hz[:, None] - self.hz).min(axis=1) * duration > 1.5
        hz = hz[far] if far.sum() >= 6 else hz
        weighted = np.concatenate([self.residual, self.residual * times[:, None]], axis=1)
        sums = np.exp(-2j * np.pi * hz[:, None] * times) @ weighted
        power = np.square(np.abs(sums)).mean(axis=0).reshape(2, 2)
        return np.asarray(power / np.array([[len(times)], [np.square(times).sum()]])) + 1e-30

    def deviations(self, number: int) -> tuple[float, Samples]:
        """Standard deviations of the frequency and, (2,), of the parts of the amplitudes."""
        even, ends = self._noise(number)
        slopes = self._independent_slopes()[:, number]
        information = float((np.square(slopes).sum(axis=0) / ends).sum())
        inverse = np.linalg.pinv(self._r)
        rows = [2 + number, 2 + len(self.hz) + number]
        share = float(np.square(inverse[rows]).sum() / 2)
        return 1 / math.sqrt(max(information, 1e-30)), np.sqrt(even * share)


def _combined(fits: "list[_Fit]", number: int) -> Sinusoid:
    """The mean of a line over segments; phases are first turned to that of the first one."""
    first = fits[0].amplitude[number]
    total = np.zeros(2, np.complex128)
    for fit in fits:
        product = np.vdot(fit.amplitude[number], first)
        turn = product / abs(product) if product else 1.0
        total += fit.amplitude[number] * turn / len(fits)
    deviations = [fit.deviations(number) for fit in fits]
    hz = np.array([fit.hz[number] for fit in fits])
    hz_deviations = np.array([each[0] for each in deviations])
    weights = 1 / hz_deviations**2
    mean = float((hz * weights).sum() / weights.sum())
    scatter = float(hz.std(ddof=1)) if len(fits) > 1 else 0.0
    spread = max(1 / math.sqrt(weights.sum()), scatter / math.sqrt(len(fits)))
    parts = np.sqrt(np.sum([each[1] ** 2 for each in deviations], axis=0)) / len(fits)
    return Sinusoid(
        hz=mean,
        hz_deviation=spread,
        amplitude=(complex(total[0]), complex(total[1])),
        deviation=(float(parts[0]), float(parts[1])),
        start=fits[0].middle,
    )
