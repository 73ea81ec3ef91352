"""Lines in the spectra of many cells: frequencies at which something moves.

Spectra of displacement have no common noise floor: it depends on texture, falls with the frequency,
and a lossy codec adds to it. Each spectrum is therefore divided by its own running median, and by
the median of all cells at the same frequency. The largest value over the cells then has a
distribution of the Gumbel family at every frequency without a line. Its lower half over the
frequencies gives the value that noise exceeds in one of 100 000 clips. Noise of real
clips has heavier tails, and exceeds it in a few of a hundred.

Motion of several cells in phase rises above the noise when they are averaged. The cells are
therefore searched at several sizes, and so is the motion that most of the picture has in common.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

FALSE_ALARM = 1e-5
"""Share of the clips without motion in which noise alone is taken for a line."""

LEAST_PERIODS = 2.7
"""Periods of a motion that a segment must have."""

LEAST_FRAMES = 32
"""Frames of a segment without which nothing can be said."""

_LEVELS = 4
"""Sizes of cells: each is twice the last one."""

_BLOCK = 512
"""Number of spectra that are computed at once, which bounds the memory."""

_NARROWEST = 30
"""Smallest number of frequencies over which a floor is taken."""

_GROWTH = 0.5
"""Width of that range relative to its lowest frequency, at higher frequencies."""

_QUANTILE = 0.3
"""Quantile of the powers over that range which is the floor."""

_USUAL = 0.4
"""Quantile over the cells of the score at one frequency to which the cells are compared."""


_NARROW = 9.0
"""Power of a line above those of the frequencies next to it, in their median, in one segment. Less
is enough for a strong one, unless all of the picture has it: shake by hand has all frequencies."""

_SLOW = 6
"""Bin up to which a line must also be stronger than what is slower."""


class Standout(NamedTuple):
    """A line above the noise."""

    bin: int
    """Its frequency in units of the spectrum."""
    strength: float
    """Level in the units of the threshold, which is 1."""
    level: int
    """Size of the cells that show it best; `COMMON` for the common motion."""
    cell: int
    """Number of the cell of that level that shows it best."""


COMMON = -1
"""Level of the motion that the whole picture has in common."""


class Cells:
    """Cells of several sizes, made from those of the finest grid.

    Args:
        weights: (h, w, 2), 1 / deviation^2 of each cell; 0 without texture.
    """

    def __init__(self, weights: Floats) -> None:
        self.shapes: list[tuple[int, int]] = []
        """Cells down and across at each level."""
        self._weights = [weights]
        h, w = weights.shape[:2]
        for level in range(_LEVELS):
            if level:
                h, w = math.ceil(h / 2), math.ceil(w / 2)
                self._weights.append(_halved(self._weights[-1]))
            self.shapes.append((h, w))
        self.weights = np.concatenate([each.reshape(-1, 2) for each in self._weights])
        """(N, 2): weights of the cells of all levels."""
        self.levels = np.repeat(np.arange(_LEVELS), [h * w for h, w in self.shapes])
        """(N,): level of each cell."""
        self.sure = self.weights.max(axis=1) > 0
        """(N,): cells that have texture."""
        best = weights.sum(axis=2).ravel()
        self.textured = best > float(np.median(best)) / 4
        """(h w,): cells of the finest level whose motion is measured best."""

    def common(self, field: Floats) -> Floats:
        """Return the displacement that most cells share at each time, (T, 2), a median."""
        flat = field.reshape(len(field), -1, 2)
        return np.asarray(np.median(flat[:, self.textured], axis=1))

    def series(self, field: Floats, candidate: Standout) -> Floats:
        """Return the displacement (T, 2) of the cell that shows a candidate best."""
        row, column, side = self.place(candidate)
        part = np.s_[row : row + side, column : column + side]
        weights = self._weights[0][part]
        sums = (field[:, *part] * weights).sum(axis=(1, 2))
        return np.asarray(sums / np.maximum(weights.sum(axis=(0, 1)), 1e-12))

    def place(self, candidate: Standout) -> tuple[int, int, int]:
        """Return the first row and column of a candidate's cell, and its side, in fine cells."""
        before = int((self.levels < candidate.level).sum())
        row, column = divmod(candidate.cell - before, self.shapes[candidate.level][1])
        side = 2**candidate.level
        return row * side, column * side, side

    def all_levels(self, field: Floats) -> Floats:
        """Return the displacement (T, h, w, 2) averaged over the cells of all levels, (T, N, 2)."""
        parts = [field]
        for weights, coarse in zip(self._weights, self._weights[1:], strict=False):
            sums = _halved(parts[-1] * weights)
            parts.append(np.asarray(sums / np.maximum(coarse, 1e-12), np.float32))
        return np.concatenate([each.reshape(len(field), -1, 2) for each in parts], axis=1)


def _halved(cells: Floats) -> Floats:
    """Return the sums of squares of 2 x 2 cells, (..., h, w, 2)."""
    *rest, h, w, axes = cells.shape
    if h % 2 or w % 2:
        pad = [(0, 0)] * len(rest) + [(0, h % 2), (0, w % 2), (0, 0)]
        cells = np.pad(cells, pad)
    shape = (*rest, (h + 1) // 2, 2, (w + 1) // 2, 2, axes)
    return np.asarray(cells.reshape(shape).sum(axis=(-4, -2)))


def window(count: int) -> Floats:
    """Return the Hann window of this length whose sum is 1."""
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(count) / count)
    return np.asarray(hann / hann.sum(), np.float32)


def detrended(values: Floats) -> Floats:
    """Return values (T, ...) less the straight line that fits them best."""
    time = np.linspace(-1, 1, len(values), dtype=np.float32)
    flat = values.reshape(len(values), -1)
    slope = time @ flat / (time @ time)
    flat = flat - flat.mean(axis=0) - time[:, None] * slope
    return np.asarray(flat.reshape(values.shape))


def powers(values: Floats, count: int) -> Floats:
    """Return the squared amplitudes of series (T, N) at each frequency, (F, N).

    Args:
        values: the series; their trend is removed.
        count: T, or a little more: the frequencies are those of this number of samples.
    """
    from scipy.fft import rfft

    taper = window(len(values))[:, None]
    out = np.empty((count // 2 + 1, values.shape[1]), np.float32)
    for start in range(0, values.shape[1], _BLOCK):
        block = slice(start, start + _BLOCK)
        spectrum = rfft(detrended(values[:, block]) * taper, count, axis=0)
        out[:, block] = 4 * (spectrum.real**2 + spectrum.imag**2)
    return out


def floors(power: Floats) -> Floats:
    """Return the noise floor of spectra (F, N): a low quantile over ranges that widen with f.

    Irregular motion such as breathing fills half of a range, so a median would be too high.
    """
    count = len(power)
    middles: list[float] = []
    levels = []
    start = 2
    while start < count:
        width = max(_NARROWEST, round(_GROWTH * start))
        stop = start + width if start + 1.5 * width < count else count
        middles.append(math.log((start + stop - 1) / 2))
        levels.append(np.quantile(power[start:stop], _QUANTILE, axis=0))
        start = stop
    logs = np.log(np.maximum(np.stack(levels), 1e-30)).astype(np.float32)
    at = np.log(np.maximum(np.arange(count), 1))
    upper = np.clip(np.searchsorted(middles, at), 1, max(len(middles) - 1, 1))
    if len(middles) == 1:
        return np.asarray(np.exp(np.repeat(logs, count, axis=0)))
    places = np.array(middles)
    share = (at - places[upper - 1]) / (places[upper] - places[upper - 1])
    share = np.clip(share, 0, 1).astype(np.float32)[:, None]
    return np.asarray(np.exp(logs[upper - 1] * (1 - share) + logs[upper] * share))


class LineSpectrum:
    """Average powers of segments, and the lines in them.

    Args:
        cells: of the record.
        count: frames of each segment.
    """

    def __init__(self, cells: Cells, count: int) -> None:
        self.cells, self.count = cells, count
        size = count // 2 + 1
        self._local = np.zeros((size, len(cells.levels), 2), np.float32)
        self._common = np.zeros((size, 2), np.float32)
        self._segments = 0
        self._floor: Floats | None = None

    def add(self, field: Floats) -> None:
        """Add a segment (T, h, w, 2)."""
        common = self.cells.common(field)
        flat = self.cells.all_levels(field - common[:, None, None])
        local = powers(flat.reshape(len(flat), -1), self.count)
        self._local += local.reshape(self._local.shape)
        self._common += powers(common, self.count)
        self._segments += 1
        self._floor = None

    def _floors(self) -> Floats:
        """Return the floors of the cells, (F, N, 2)."""
        if self._floor is None:
            shape = self._local.shape
            self._floor = floors(self._local.reshape(shape[0], -1)).reshape(shape)
        return self._floor

    def noise(self, bin: int) -> Floats:
        """Return the mean power of the noise of the finest cells at a frequency, (h, w, 2)."""
        shape = self.cells.shapes[0]
        floor = self._floors()[bin, : shape[0] * shape[1]].reshape(*shape, 2)
        return floor / np.float32(self._segments * -math.log(1 - _QUANTILE))

    def power(self, candidate: Standout) -> Floats:
        """Return the power of the cell that shows a candidate best, (F,), both axes together."""
        series = self._common if candidate.level == COMMON else self._local[:, candidate.cell]
        return np.asarray(series.sum(axis=1) / self._segments)

    def offset(self, candidate: Standout) -> float:
        """Return the distance of a line from its bin, -0.5 to 0.5, by a parabola."""
        around = self.power(candidate)[candidate.bin - 1 : candidate.bin + 2]
        before, top, after = np.log(np.maximum(around, 1e-30)).tolist()
        curvature = before - 2 * top + after
        return (
            float(np.clip(0.5 * (before - after) / curvature, -0.5, 0.5)) if curvature < 0 else 0.0
        )

    def _is_narrow(self, candidate: Standout) -> bool:
        """True if a line stands out from the frequencies next to it, unlike a drift."""
        bin, power = candidate.bin, self.power(candidate)
        near = [bin + k for k in (-5, -4, -3, -2, 2, 3, 4, 5) if 1 <= bin + k < len(power)]
        if bin <= _SLOW and power[bin] < 2 * power[bin - 2]:
            return False
        if bin + self.offset(candidate) < LEAST_PERIODS:
            return False
        excess = (float(power[bin] / max(np.median(power[near]), 1e-30)) - 1) * math.sqrt(
            self._segments
        )
        least = _NARROW if candidate.level == COMMON else _NARROW / max(candidate.strength, 2.5)
        return excess > least

    def _scores(self) -> Iterator[tuple[int, Floats, NDArray[np.intp]]]:
        """Yield each level with the best score at each frequency and the cell that has it."""
        common = self._common / np.maximum(floors(self._common), 1e-30)
        yield COMMON, common.sum(axis=1), np.zeros(len(common), np.intp)
        for level in range(_LEVELS):
            chosen = np.flatnonzero((self.cells.levels == level) & self.cells.sure)
            if len(chosen):
                floor = np.maximum(self._floors()[:, chosen], 1e-30)
                score = (self._local[:, chosen] / floor).sum(axis=2)
                score /= np.maximum(np.quantile(score, _USUAL, axis=1, keepdims=True), 1e-6)
                best = score.argmax(axis=1)
                yield level, score[np.arange(len(score)), best], chosen[best]

    def candidates(self) -> list[Standout]:
        """Return the lines above the noise, the strongest first."""
        first = math.ceil(LEAST_PERIODS)
        found = []
        for level, score, cells in self._scores():
            strength = score / _threshold(score[first:-1])
            strength[:first] = strength[-1:] = 0
            for bin in np.flatnonzero(strength >= 1):
                each = Standout(int(bin), float(strength[bin]), level, int(cells[bin]))
                top = strength[bin] == strength[max(bin - 2, 0) : bin + 3].max()
                if top and self._is_narrow(each):
                    found.append(each)
        kept: list[Standout] = []
        # A thing that moves apart from the rest is more than the motion that all have in common.
        for each in sorted(found, key=lambda each: (each.level == COMMON, -each.strength)):
            if all(abs(each.bin - other.bin) > 2 for other in kept):
                kept.append(each)
        return sorted(kept, key=lambda each: -each.strength)


def _threshold(score: Floats) -> float:
    """Return the score that noise exceeds at one frequency or level in `FALSE_ALARM` clips."""
    low, middle = np.quantile(score, (0.1, 0.5)).tolist()
    # A Gumbel distribution of scale 1 is below -log(-log(p)) with the probability p.
    scale = (middle - low) / (math.log(math.log(10)) - math.log(math.log(2)))
    chance = FALSE_ALARM / (len(score) * (_LEVELS + 1))
    return max(float(middle + scale * (-math.log(chance) + math.log(math.log(2)))), 1e-6)
