"""Motion of regions as numbers: displacement, velocity, spectrum, peaks, orbit, phase, coherence.

A region's displacement is the mean motion of its texture: each pixel counts by the square of its
contrast in that direction. Still texture inside the region makes the number smaller.

Displacements are positive to the right and down, in pixels of the picture, relative to the first
frame. `Measurement.scale` converts them to another unit; all other numbers here are in pixels.
"""

import cmath
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from rtmag.realtime.analysis.sinusoids import Sinusoid, find_sinusoids
from rtmag.realtime.analysis.spectra import (
    MIN_SAMPLES,
    Regular,
    Samples,
    Spectrum,
    band_gain,
    derivative,
    pieces,
    regular,
    usual_step,
    welch,
)
from rtmag.realtime.errors import OptionError
from rtmag.realtime.filters import Band
from rtmag.realtime.frame import Region

RELATION_SEGMENTS = 8
"""Least number of averages of a phase and a coherence; one average has coherence 1 always."""


GAIN_DEVIATION = 0.002
"""Relative standard deviation of an amplitude by the registration itself."""

LEAST_REPEATED = 0.001
"""Share of repeated texture from which pictures count as compressed."""

CODEC_FACTOR = 5.5
"""Deviation of amplitudes in compressed pictures, relative to that by the noise around the line.

The errors of a codec follow the motion: it repeats what changed little, so that the amplitude is
too small. With this factor, 95 % of the true amplitudes are within two deviations on the compressed
scenes of benchmarks/measure.py.
"""

LEAST_RATIO = 2.0
"""Smallest amplitude of a peak, in deviations."""


@dataclass(frozen=True, slots=True)
class Ellipse:
    """The path of a region at one frequency."""

    major: float
    """Half of the longer axis in px."""
    minor: float
    """Half of the shorter axis in px; 0 for motion along a line."""
    angle: float
    """Direction of the longer axis in degrees, above -90 to 90: from the right towards down."""
    clockwise: bool
    """True if the motion is clockwise as seen in the picture."""

    @classmethod
    def of(cls, x: complex, y: complex) -> "Ellipse":
        """Return the ellipse of two complex amplitudes."""
        # The sum of two circles in opposite directions, with x + i y as one number.
        one, other = (x + 1j * y) / 2, (x - 1j * y).conjugate() / 2
        turn = math.degrees(cmath.phase(one * other) / 2) if one and other else 0.0
        angle = 90 - (90 - turn) % 180
        return cls(abs(one) + abs(other), abs(abs(one) - abs(other)), angle, abs(one) > abs(other))


@dataclass(frozen=True, slots=True)
class Peak:
    """A sinusoid that stands above the noise of a displacement."""

    hz: float
    """Frequency in Hz."""
    px: float
    """Amplitude in px: the root of the summed squares of both axes, which is half of the full swing
    of motion along a line. The noise's share is subtracted."""
    hz_deviation: float
    """Standard deviation of the frequency in Hz."""
    px_deviation: float
    """Standard deviation of the amplitude in px."""
    sinusoid: Sinusoid
    """Complex amplitudes of both axes."""

    @property
    def ellipse(self) -> Ellipse:
        """The path at this frequency."""
        return Ellipse.of(*self.sinusoid.amplitude)

    @property
    def per_second(self) -> float:
        """Amplitude of the velocity, px/s."""
        return 2 * math.pi * self.hz * self.px

    @property
    def per_second2(self) -> float:
        """Amplitude of the acceleration, px/s2."""
        return (2 * math.pi * self.hz) ** 2 * self.px


def as_peak(sinusoid: Sinusoid, *, compressed: bool = False) -> Peak:
    """Return a sinusoid as a peak.

    Args:
        sinusoid: of a displacement.
        compressed: True if a lossy codec changed the pictures.
    """
    size = np.abs(sinusoid.amplitude)
    total = float(np.hypot(*size))
    deviation = float(np.hypot(*(size * sinusoid.deviation)) / max(total, 1e-30))
    # Noise at a right angle to the amplitude makes its length too large: two such parts per axis,
    # less the one along the amplitude.
    excess = 2 * float(np.square(sinusoid.deviation).sum()) - deviation**2
    px = math.sqrt(max(total**2 - excess, 0.0))
    px_deviation = math.hypot(deviation * (CODEC_FACTOR if compressed else 1), GAIN_DEVIATION * px)
    return Peak(sinusoid.hz, px, sinusoid.hz_deviation, px_deviation, sinusoid)


@dataclass(frozen=True, slots=True)
class Level:
    """Overall values of a quantity within a band, of both axes together."""

    rms: float
    """Root of the mean square."""
    peak: float
    """Largest distance from zero."""
    peak_to_peak: float
    """Largest extent along the direction of the motion."""
    noise: float
    """The rms that the noise alone would have."""


@dataclass(frozen=True, slots=True, eq=False)
class Relation:
    """Phase and coherence of two regions per frequency, each along the direction of its motion."""

    hz: Samples
    """(F,) Hz."""
    phase: Samples
    """(F,) degrees from -180 to 180: positive where the second region is ahead of the first."""
    coherence: Samples
    """(F,) 0 to 1: the share of the second one's power that follows from the first."""
    averages: int
    """Number of segments; with few of them, noise has a coherence of about 1 / averages."""
    signals: Regular
    """Displacement of both regions (N, 2), each along its own direction."""

    def at(self, hz: float) -> tuple[float, float, float]:
        """Return phase, its standard deviation (both in degrees) and coherence at any frequency.

        A sinusoid is fitted to both regions in each segment, so that the frequency need not be one
        of the spectrum, and a segment need not contain whole periods. All are NaN if there is no
        segment.
        """
        if not self.averages:
            return math.nan, math.nan, math.nan
        length = _relation_length(len(self.signals.values))
        angle = 2 * np.pi * hz * self.signals.step * np.arange(length)
        basis = np.stack([np.ones(length), np.cos(angle), np.sin(angle)], axis=1)
        window = np.sqrt(np.hanning(length + 2)[1:-1, None])
        starts = range(0, len(self.signals.values) - length + 1, length - length // 2)
        parts = [self.signals.values[start : start + length] for start in starts]
        right = np.concatenate(parts, axis=1) * window
        fitted = np.linalg.lstsq(basis * window, right, rcond=None)[0]
        a, b = (fitted[1] - 1j * fitted[2]).reshape(-1, 2).T
        cross, powers = np.vdot(a, b), np.vdot(a, a).real * np.vdot(b, b).real
        coherence = float(abs(cross) ** 2 / max(powers, 1e-300))
        doubt = math.sqrt(max(1 - coherence, 0) / (2 * len(parts) * max(coherence, 1e-12)))
        return math.degrees(cmath.phase(cross)), math.degrees(doubt), coherence


@dataclass(frozen=True, eq=False)
class RegionMotion:
    """Displacement of one region over time."""

    name: str
    box: Region
    """x, y, width, height in pixels."""
    times: Samples
    """(T,) seconds, increasing; uneven as the frames were. Frames without a result are left out."""
    displacement: Samples
    """(T, 2) px to the right and down, since the first frame."""
    deviation: Samples
    """(T, 2) px: standard deviation by white noise of the pixels. Noise of compression is more."""
    band: Band | None = None
    """Edges in Hz of peaks and levels; None: all that the times can hold."""
    repeated: float = 0.0
    """Share of the texture, 0 to 1, that repeats the last frame exactly: `Follower.repeated`."""

    @property
    def duration(self) -> float:
        """Seconds from the first to the last sample."""
        return float(self.times[-1] - self.times[0]) if len(self.times) else 0.0

    @cached_property
    def fps(self) -> float:
        """Usual number of samples per second; 0 if there are fewer than two."""
        step = usual_step(self.times)
        return 1 / step if step else 0.0

    @cached_property
    def pieces(self) -> list[Regular]:
        """Samples on regular grids: one between two pauses."""
        parts = [part for part in pieces(self.times) if part.stop - part.start >= MIN_SAMPLES]
        return [regular(self.times[part], self.displacement[part]) for part in parts]

    @cached_property
    def peaks(self) -> list[Peak]:
        """Sinusoids within `band`, largest first; empty if nothing stands above the noise."""
        found = find_sinusoids(self.times, self.displacement, self.band)
        peaks = [as_peak(each, compressed=self.repeated > LEAST_REPEATED) for each in found]
        clear = [peak for peak in peaks if peak.px > LEAST_RATIO * peak.px_deviation]
        return sorted(clear, key=lambda peak: -peak.px)

    def spectrum(self, order: int = 0, seconds: float | None = None) -> Spectrum:
        """Return Welch's spectrum.

        Args:
            order: 0 for displacement, 1 for velocity in px/s, 2 for acceleration in px/s2.
            seconds: length of a segment; None: a quarter of the displacement, 10 s to 60 s.
        """
        return welch(self.pieces, seconds).derived(order)

    def waveform(self, order: int = 0) -> tuple[Samples, Samples]:
        """Return times (N,) and values (N, 2) within `band`, without trend.

        Without a band, displacement is unfiltered; derivatives end at 0.8 times half the rate.

        Args:
            order: 0 for displacement, 1 for velocity in px/s, 2 for acceleration in px/s2.
        """
        if order == 0 and self.band is None:
            return self.times, self.displacement - self.displacement.mean(axis=0)
        if not self.pieces:
            return np.zeros(0), np.zeros((0, 2))
        values = [derivative(part, order, self.band) for part in self.pieces]
        return np.concatenate([part.times for part in self.pieces]), np.concatenate(values)

    def level(self, order: int = 0) -> Level:
        """Return rms, peak and peak-to-peak of the waveform.

        Args:
            order: 0 for displacement, 1 for velocity in px/s, 2 for acceleration in px/s2.
        """
        values = self.waveform(order)[1]
        if not len(values):
            return Level(math.nan, math.nan, math.nan, math.nan)
        values = values - values.mean(axis=0)
        along = values @ principal_direction(values)
        return Level(
            rms=float(np.sqrt(np.square(values).sum(axis=1).mean())),
            peak=float(np.hypot(*values.T).max()),
            peak_to_peak=float(along.max() - along.min()),
            noise=self._noise(order),
        )

    def _noise(self, order: int) -> float:
        """Rms of the noise within the band: its density is the median of the spectrum around."""
        spectrum = self.spectrum()
        if not spectrum.averages:
            return math.nan
        hz, power = spectrum.hz, np.square(spectrum.px) / 2
        high = (self.band or (0.0, 0.8 * self.fps / 2))[1]
        low = self.band[0] if self.band else 1 / self.duration
        # Hann's noise bandwidth is 1.5 bins; ln 2 turns the median of one segment into the mean.
        width = max(9, len(hz) // 16 * 2 + 1)
        median = np.stack([_running_median(power[:, axis], width) for axis in (0, 1)], axis=1)
        median /= math.log(2) if spectrum.averages == 1 else 1.0
        gain = band_gain(hz, (low, high)) * (2 * np.pi * hz) ** order
        return float(np.sqrt((median.sum(axis=1) * gain**2).sum() / 1.5))

    def orbit(self) -> Ellipse | None:
        """Return the path at the largest peak; None without a peak."""
        return self.peaks[0].ellipse if self.peaks else None


def _running_median(values: Samples, width: int) -> Samples:
    """(F,) medians over `width` neighbours."""
    padded = np.pad(values, width // 2, mode="reflect" if len(values) > width else "edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, width)
    return np.asarray(np.median(windows, axis=1)[: len(values)])


def principal_direction(values: Samples) -> Samples:
    """Return the unit vector (2,) of the largest motion.

    It points to the right, or down if it is steeper than 45 degrees.
    """
    centred = values - values.mean(axis=0)
    direction = np.linalg.eigh(centred.T @ centred)[1][:, 1]
    return np.asarray(direction * np.sign(direction[np.abs(direction).argmax()]))


def relation(a: RegionMotion, b: RegionMotion) -> Relation:
    """Return phase and coherence of two regions of one measurement (SciPy's csd and coherence).

    Each is taken along the direction of its own largest motion within the band. That of the first
    points to the right, or down if it is steep; that of the second within 90 degrees of it.
    """
    from scipy import signal

    common, at_a, at_b = np.intersect1d(a.times, b.times, return_indices=True)
    both = np.concatenate([a.displacement[at_a], b.displacement[at_b]], axis=1)
    parts = [part for part in pieces(common) if part.stop - part.start >= 4 * MIN_SAMPLES]
    if not parts:
        nothing = np.zeros(0)
        return Relation(nothing, nothing, nothing, 0, Regular(0.0, 1.0, np.zeros((0, 2))))
    longest = max(parts, key=lambda part: part.stop - part.start)
    first = regular(common[longest], both[longest, :2])
    second = regular(common[longest], both[longest, 2:])
    one, other = (principal_direction(derivative(part, 0, a.band)) for part in (first, second))
    other = other if one @ other >= 0 else -other
    along = np.stack([first.values @ one, second.values @ other], axis=1)
    signals = first._replace(values=signal.detrend(along, axis=0))
    length = _relation_length(len(signals.values))
    x, y = signals.values.T
    hz, cross = signal.csd(x, y, 1 / first.step, nperseg=length, detrend=False)
    coherence = signal.coherence(x, y, 1 / first.step, nperseg=length, detrend=False)[1]
    count = (len(x) - length) // (length - length // 2) + 1
    phase = np.degrees(np.angle(cross))
    return Relation(hz, phase, np.nan_to_num(coherence), count, signals)


def _relation_length(count: int) -> int:
    """Samples of a segment, of which `RELATION_SEGMENTS` overlap by half."""
    return 2 * count // (RELATION_SEGMENTS + 1)


@dataclass(frozen=True, eq=False)
class Measurement:
    """Motion of the regions of one recording."""

    regions: Sequence[RegionMotion]
    size: tuple[int, int]
    """(width, height) of the picture in pixels."""
    fps: float
    """Usual number of frames per second; 0 if there are fewer than two."""
    scale: float = 1.0
    """Units per pixel."""
    unit: str = "px"
    """Unit of `scale` times pixels, such as mm."""
    band: Band | None = None
    """Edges in Hz of peaks and levels; None: all that the rate can hold."""
    settings: Mapping[str, object] = field(default_factory=dict)
    """Further settings of the run, for reports."""
    notes: Sequence[str] = ()
    """Reasons to doubt the numbers, one sentence each."""

    def region(self, name: str) -> RegionMotion:
        """Return a region by its name.

        Raises:
            OptionError: there is no such region.
        """
        for region in self.regions:
            if region.name == name:
                return region
        names = ", ".join(region.name for region in self.regions)
        raise OptionError(f"no region is called {name!r}; there are: {names}")

    def relation(self, a: str, b: str) -> Relation:
        """Return phase and coherence of two regions, by their names."""
        return relation(self.region(a), self.region(b))
