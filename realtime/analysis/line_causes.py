"""Causes of lines that are no motion of the scene, and the evidence for each.

codec       pictures of different kinds have different noise, and they alternate regularly
repeats     a recorder that repeats frames adds images of each line on both sides of its rhythm
light       mains lamps, or an exposure that is corrected again and again: all parts of a row
            of the picture become brighter together
shake       most of the picture moves as a rigid whole
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.analysis.field_record import EvenRecord, Floats
from rtmag.realtime.analysis.line_spectrum import detrended, window

Map = NDArray[np.complex64]
"""Complex amplitudes of all series at one frequency."""

_RHYTHM = 0.4
"""Strength of a rhythm relative to its mean, from which it can cause a line."""

_LONG = 4
"""Number of multiples of a rhythm below half the frame rate from which it is long."""

_LEAST_MARKS = 4
"""Number of marked frames from which they can have a rhythm."""

ALONE = 30.0
"""Power of a line relative to others of the same rhythm from which it is more than the rhythm."""

_TOGETHER = 0.7
"""Share of the light of a row that its parts have in common, from which it is light, not motion."""

_LIGHT_ABOVE_NOISE = 3.0
"""Amplitude of a beat of the light relative to the frequencies around it."""

LIGHT_PX = 40.0
"""Largest false motion by light in px per relative change of brightness."""

_MAINS = 100.0, 120.0
"""Hz of the light of lamps at mains of 50 and 60 Hz."""

_MAINS_TOLERANCE = 0.003
"""Largest relative deviation of the mains."""

EXPOSURE_HZ = 2.0
"""Highest frequency of an exposure that is corrected again and again."""

_INLIER = 0.35
"""Largest difference from the rigid motion, relative to it, of a cell that follows it."""

SHAKE_SHARE = 0.4
"""Share of the textured cells that follow one rigid motion, from which the camera moves."""

SHAKE_EXTENT = 0.4, 0.7
"""Least extent of those cells relative to the picture, in one direction and in the other."""


def amplitudes(values: Floats, turns: float) -> Map:
    """Return the complex amplitudes of series (T, ...) without trend at one frequency, (...).

    Args:
        values: the series.
        turns: frequency in periods per sample.
    """
    count = len(values)
    turn = 2 * window(count) * np.exp(-2j * np.pi * turns * np.arange(count))
    flat = values.reshape(count, -1)
    parts = turn.real.astype(np.float32) @ flat, turn.imag.astype(np.float32) @ flat
    return np.asarray(parts[0] + 1j * parts[1], np.complex64).reshape(values.shape[1:])


class Rhythm:
    """Frames that are marked, such as key pictures, and the frequencies at which they repeat."""

    def __init__(self, marks: Floats, fps: float) -> None:
        self._count = len(marks)
        self._fps = fps
        total = float(marks.sum())
        spectrum = np.abs(np.fft.rfft(marks * window(self._count)) * self._count)
        regular = _LEAST_MARKS <= total <= self._count - _LEAST_MARKS
        strong = spectrum > _RHYTHM * max(min(total, self._count - total), 1)
        padded = np.pad(spectrum, 1)
        strong &= (spectrum >= padded[:-2]) & (spectrum >= padded[2:])
        strong[:3] = False
        self.bins = np.flatnonzero(strong) if regular else np.zeros(0, np.intp)
        """Bins of the spectrum at which the marks repeat, and of the multiples."""

    @property
    def hz(self) -> float:
        """Number of marks in a second, where they repeat; 0 if they do not."""
        return float(self.bins[0] * self._fps / self._count) if len(self.bins) else 0.0

    @property
    def halves(self) -> NDArray[np.intp]:
        """Bins between them: marks of two kinds in turn have them too. None for short rhythms."""
        return self.bins - self.bins[0] // 2 if len(self.bins) >= _LONG else self.bins[:0]

    def mixes(self, place: float, base: float, tolerance: float = 0.4) -> bool:
        """True if the marks make an image of the line `base` at `place`, both in bins."""
        images = [abs(self.bins - base), self.bins + base, self._count - self.bins - base]
        return bool(len(self.bins)) and float(np.abs(np.stack(images) - place).min()) <= tolerance


class Shake(NamedTuple):
    """Rigid motion of the whole picture at one frequency."""

    motion: Map
    """(h, w, 2): complex amplitudes of the rigid motion in px."""
    share: float
    """Share of the textured cells that follow it."""
    wide: bool
    """True if these cells extend over most of the picture."""
    doubt: float
    """Usual distance of a textured cell from the rigid motion in px."""

    @property
    def is_camera(self) -> bool:
        """True if it is more likely the camera that moves than a thing."""
        return self.wide and self.share >= SHAKE_SHARE


def rigid(motion: Map, weights: Floats, textured: NDArray[np.bool_]) -> Shake:
    """Fit one rigid motion to most of the cells: each axis is a linear function of the position.

    The fit is robust (Geman and McClure): cells that differ from it lose their weight.

    Args:
        motion: (h, w, 2), complex amplitudes in px.
        weights: (h, w, 2), 1 / deviation^2.
        textured: (h w,), the cells that are used.
    """
    h, w = motion.shape[:2]
    rows, columns = np.mgrid[0:h, 0:w].reshape(2, -1)
    basis = np.stack([np.ones(h * w), columns / w - 0.5, rows / h - 0.5], axis=1)
    flat, sure = motion.reshape(-1, 2), np.sqrt(weights.reshape(-1, 2))
    used = np.flatnonzero(textured)
    trust = np.ones(len(used))
    fitted = np.zeros_like(flat)
    for _ in range(8):
        for axis in (0, 1):
            row = (sure[used, axis] * trust)[:, None]
            solved = np.linalg.lstsq(basis[used] * row, flat[used, axis] * row[:, 0], rcond=None)
            fitted[:, axis] = basis @ solved[0]
        off = np.sqrt((np.abs(flat - fitted)[used] ** 2).sum(axis=1))
        scale = max(1.5 * float(np.median(off)), 1e-9)
        trust = 1 / (1 + (off / scale) ** 2)
    size = np.sqrt((np.abs(fitted[used]) ** 2).sum(axis=1))
    follows = off < _INLIER * size
    extent = [0.0, 0.0]
    if follows.any():
        spans = [np.ptp(np.quantile(at[used][follows], (0.02, 0.98))) for at in (rows, columns)]
        extent = sorted((spans[0] / h, spans[1] / w))
    return Shake(
        fitted.reshape(motion.shape).astype(np.complex64),
        float(follows.mean()),
        extent[0] >= SHAKE_EXTENT[0] and extent[1] >= SHAKE_EXTENT[1],
        float(np.median(off)),
    )


class Beat(NamedTuple):
    """Light of the picture at one frequency."""

    amplitude: float
    """Relative to the brightness."""
    is_light: bool
    """True if all parts of most rows become brighter together, more than noise does."""


def beat(timeline: EvenRecord, hz: float) -> Beat:
    """Measure the light at a frequency, Hz."""
    near = [_row_light(timeline, hz)]
    step = timeline.fps / len(timeline.light)
    around = [hz + k * step for k in (-7, -6, -5, -4, 4, 5, 6, 7)]
    around = [each for each in around if 1.5 * step < each < timeline.fps / 2 - step]
    noise = [_row_light(timeline, each)[0] for each in around]
    amplitude, together = near[0]
    above = amplitude > _LIGHT_ABOVE_NOISE * float(np.median(noise)) if noise else False
    return Beat(amplitude, bool(above and together > _TOGETHER))


def _row_light(timeline: EvenRecord, hz: float) -> tuple[float, float]:
    """Return amplitude and coherence of the light of the rows."""
    cells = amplitudes(detrended(timeline.light), hz / timeline.fps).reshape(12, 16)
    rows = np.abs(cells.mean(axis=1)) ** 2
    together = rows / np.maximum((np.abs(cells) ** 2).mean(axis=1), 1e-20)
    return float(np.sqrt(np.median(rows))), float(np.median(together))


def folded(hz: float, fps: float) -> float:
    """Return the frequency at which a motion of any frequency appears, 0 to fps / 2."""
    return abs(hz - fps * round(hz / fps))


def mains(hz: float, fps: float, resolution: float) -> float | None:
    """Return the mains frequency (50 or 60) whose light appears at `hz`; None if neither does."""
    for light in _MAINS:
        for times in (1, 2):
            near = _MAINS_TOLERANCE * light * times + resolution
            if abs(folded(times * light, fps) - hz) <= near:
                return light / 2
    return None
