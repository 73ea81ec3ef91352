"""Record of displacement fields over time, on a coarse grid and of bounded length.

A record also keeps the facts about each frame that explain false motion: the light of the picture,
frames that repeat the last one, and the kinds of pictures that the codec alternates between.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.analysis.spectra import regular
from rtmag.realtime.duplicates import DuplicateDetector
from rtmag.realtime.filters import Static
from rtmag.realtime.frame import Frame, MotionField
from rtmag.realtime.thumbnail import Thumbnail

Floats = NDArray[np.float32]

GRID = 64, 48
"""Largest number of cells of the grid across and down."""

SEGMENT = 2048
"""Largest number of frames of a record; with a full grid it takes 50 MB."""

_BORDER = 8.0
"""Width in px of the border of a picture where content enters and leaves; it has no weight."""

_BEST = 0.75
"""Quantile of the weights that stands for the well measured cells."""

_LEAST_SURE = 3.0
"""Deviation relative to that of well measured cells above which a cell has no weight. Codecs leave
little texture there, and what remains moves with their blocks."""

_BLOCK = 512
"""Number of values that are interpolated at once, which bounds the memory."""

_CODINGS = "I", "B"
"""Kinds of pictures whose noise differs from that of the others."""


class EvenRecord(NamedTuple):
    """A record at equal intervals."""

    fps: float
    field: Floats
    """(T, h, w, 2): displacement in px of the frame."""
    light: Floats
    """(T, N): logarithm of the light of each part of the picture, row by row."""
    repeats: Floats
    """(T,): 1 for frames that repeat the last one, else 0."""
    codings: Floats
    """(T, 2): 1 for pictures that are coded by themselves, and for those coded from both sides."""


class Grid:
    """The cells of a field, averaged over squares and weighted by their confidence.

    Args:
        field: the first field; its deviations are the weights of all later ones.
        size: (width, height) of the frame in px.
    """

    def __init__(self, field: MotionField, size: tuple[int, int]) -> None:
        h, w = field.displacement.shape[:2]
        self._factor = max(math.ceil(w / GRID[0]), math.ceil(h / GRID[1]))
        self.shape = math.ceil(h / self._factor), math.ceil(w / self._factor)
        """Cells down and across."""
        self.cell = field.cell * self._factor
        """Side of a cell of the grid in px of the frame."""
        self.origin = field.origin
        sure = np.isfinite(field.deviation) & (field.deviation > 0)
        self._weights = np.zeros(field.deviation.shape, np.float32)
        self._weights[sure] = 1 / field.deviation[sure] ** 2
        self._weights[~_inside(field, size)] = 0
        sums = self._sums(self._weights)
        best = float(np.quantile(sums[sums > 0], _BEST)) if (sums > 0).any() else math.inf
        self.weights = np.where(sums > best / _LEAST_SURE**2, sums, 0)
        """(h, w, 2): 1 / deviation^2 of each cell in 1/px^2; 0 without texture."""
        self._scale = np.where(self.weights > 0, 1 / np.maximum(sums, 1e-12), 0).astype(np.float32)

    def _sums(self, cells: Floats) -> Floats:
        """Return the sum of each square of cells, (h, w, 2)."""
        (h, w), factor = self.shape, self._factor
        down, right = h * factor - cells.shape[0], w * factor - cells.shape[1]
        padded = np.pad(cells, ((0, down), (0, right), (0, 0))) if down or right else cells
        return np.asarray(padded.reshape(h, factor, w, factor, 2).sum(axis=(1, 3)))

    def averaged(self, field: MotionField) -> Floats:
        """Return the displacement of each cell of the grid, (h, w, 2); 0 without texture."""
        return self._sums(self._weights * field.displacement) * self._scale

    def position(self, row: float, column: float) -> tuple[float, float]:
        """Return the position (x, y) of the middle of a cell in px of the frame."""
        x, y = self.origin
        return x + (column + 0.5) * self.cell, y + (row + 0.5) * self.cell

    def cell_of(self, at: tuple[float, float]) -> tuple[int, int]:
        """Return row and column of the cell at a position in px of the frame."""
        (x, y), (h, w) = self.origin, self.shape
        row, column = int((at[1] - y) // self.cell), int((at[0] - x) // self.cell)
        return min(max(row, 0), h - 1), min(max(column, 0), w - 1)


class FieldRecord:
    """The last frames with their fields.

    Args:
        drift: cut-off in Hz of the filter `Static` that the fields have passed; None: no drift.
        capture_fps: rate in 1/s at which slow motion was filmed; None: the times of the frames.
    """

    def __init__(self, drift: float | None = None, capture_fps: float | None = None) -> None:
        self._filter, self._capture_fps = Static(drift), capture_fps
        self.grid: Grid | None = None
        self._place: tuple[object, ...] = ()
        self._fields: list[Floats] = []
        self._light: list[Floats] = []
        self._codings: list[list[float]] = []
        self._times: list[float] = []
        self._repeats: list[float] = []
        self._duplicates = DuplicateDetector()

    def __len__(self) -> int:
        return len(self._fields)

    @property
    def seconds(self) -> float:
        """Seconds from the first to the last frame."""
        return self._times[-1] - self._times[0] if self._times else 0.0

    def continues(self, frame: Frame, field: MotionField) -> bool:
        """True if a frame continues this record: same size and region, later, and no cut."""
        if self.grid is None:
            return True
        return _place(frame, field) == self._place and self._time(frame) > self._times[-1]

    def _time(self, frame: Frame) -> float:
        return frame.time if self._capture_fps is None else frame.index / self._capture_fps

    def add(self, frame: Frame, field: MotionField) -> None:
        """Append a frame that continues the record."""
        if self.grid is None:
            self.grid, self._place = Grid(field, frame.size), _place(frame, field)
        self._fields.append(self.grid.averaged(field))
        self._light.append(Thumbnail.of(frame.image).cell_light().ravel())
        self._codings.append([float(frame.coding == each) for each in _CODINGS])
        self._times.append(self._time(frame))
        self._repeats.append(float(self._duplicates.is_copy(frame.image)))

    def drop(self, count: int) -> None:
        """Remove the oldest frames."""
        for each in (self._fields, self._light, self._codings, self._times, self._repeats):
            del each[:count]

    def timeline(self) -> EvenRecord:
        """Return the record at equal intervals; at least two frames are needed."""
        times = np.array(self._times)
        shape = self._fields[0].shape
        flags = np.column_stack([self._repeats, self._codings])
        grid = regular(times, flags)
        field = _unfiltered(np.stack(self._fields).reshape(len(times), -1), self._filter, grid.step)
        light = np.stack(self._light)
        if grid.values is not flags:  # it is, if the frames are at equal intervals
            nearest = np.rint((times - grid.start) / grid.step).astype(int)
            marks = np.zeros((len(grid.values), flags.shape[1]))
            marks[nearest.clip(0, len(marks) - 1)] = flags
            field, light, flags = _resampled(times, field), _resampled(times, light), marks
        flags = flags.astype(np.float32)
        return EvenRecord(
            1 / grid.step, field.reshape(-1, *shape), light, flags[:, 0], flags[:, 1:]
        )


def _inside(field: MotionField, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the cells whose middle is not near the border of the frame, (h, w)."""
    h, w = field.displacement.shape[:2]
    x, y = (
        start + (np.arange(count) + 0.5) * field.cell
        for start, count in zip(field.origin, (w, h), strict=True)
    )
    inside_x = (x > _BORDER) & (x < size[0] - _BORDER)
    inside_y = (y > _BORDER) & (y < size[1] - _BORDER)
    return np.asarray(inside_y[:, None] & inside_x)


def _unfiltered(values: Floats, filter: Static, step: float) -> Floats:
    """Undo the slow reference of `Static`: return displacement from the first frame, (T, N).

    The noise of the first frame, which was the first reference, becomes a constant.
    """
    if filter.drift is None:
        return values
    kept = np.float32(1 - filter.follow(1 / step))
    out = values.copy()
    out[1:] -= kept * values[:-1]
    return np.cumsum(out, axis=0, out=out)


def _place(frame: Frame, field: MotionField) -> tuple[object, ...]:
    """Return what must not change within a record."""
    return field.displacement.shape, field.cell, field.origin, frame.size, frame.epoch


def _resampled(times: NDArray[np.float64], values: Floats) -> Floats:
    """Interpolate values (T, N) to a regular grid."""
    starts = range(0, values.shape[1], _BLOCK)
    blocks = (np.asarray(values[:, start : start + _BLOCK], np.float64) for start in starts)
    parts = [regular(times, block).values for block in blocks]
    return np.concatenate([part.astype(np.float32) for part in parts], axis=1)
