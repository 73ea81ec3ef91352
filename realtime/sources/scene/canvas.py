"""A canvas with anti-aliasing: shapes, text and noise, drawn with several samples per pixel.

Coordinates are scene units, 640 by 480 with y downwards; a `Viewport` maps them to a picture of any
size. Colours are BGR, 0 to 255. A shape is a function that returns signed distances in units,
negative inside the shape.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.opencv import cv2

Field = NDArray[np.float32]
"""One value per pixel, (h, w)."""

Color = tuple[float, float, float]
"""BGR, 0 to 255."""

PixelBox = tuple[int, int, int, int]
"""x, y, width, height in pixels."""

UNITS = (640, 480)
"""(width, height) of the scene in units."""

_BAND = 256
"""Rows of samples that are processed together; few, so that temporary arrays are small."""


@dataclass(frozen=True, slots=True)
class Viewport:
    """Map from scene units to pixels: the largest centred 4:3 area, extended to the edges."""

    size: tuple[int, int]
    """(width, height) in pixels."""

    @property
    def scale(self) -> float:
        """Pixels per unit."""
        return min(self.size[0] / UNITS[0], self.size[1] / UNITS[1])

    @property
    def origin(self) -> tuple[float, float]:
        """Position of unit (0, 0) in pixels."""
        width, height = self.size
        return (width - UNITS[0] * self.scale) / 2, (height - UNITS[1] * self.scale) / 2

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Convert a point from units to pixels."""
        return self.origin[0] + x * self.scale, self.origin[1] + y * self.scale

    def box(self, x: float, y: float, width: float, height: float) -> PixelBox:
        """Return the pixel box (x, y, w, h) around a box in units, clipped to the picture."""
        left, top = self.point(x, y)
        x0, y0 = max(int(np.floor(left)), 0), max(int(np.floor(top)), 0)
        x1 = min(int(np.ceil(left + width * self.scale)), self.size[0])
        y1 = min(int(np.ceil(top + height * self.scale)), self.size[1])
        return x0, y0, max(x1 - x0, 1), max(y1 - y0, 1)


@dataclass(frozen=True, slots=True)
class Shape:
    """A shape as a signed distance in units, with its bounding box."""

    x0: float
    y0: float
    x1: float
    y1: float
    distance: Callable[[Field, Field], Field]
    """Function from x (1, w) and y (h, 1) to distances (h, w)."""


def box(x: float, y: float, width: float, height: float, radius: float = 0.0) -> Shape:
    """Return a box with rounded corners, from its upper left corner and its size."""

    def distance(across: Field, down: Field) -> Field:
        dx = np.abs(across - (x + width / 2)) - (width / 2 - radius)
        dy = np.abs(down - (y + height / 2)) - (height / 2 - radius)
        outside = np.hypot(np.maximum(dx, 0), np.maximum(dy, 0))
        return np.asarray(outside + np.minimum(np.maximum(dx, dy), 0) - radius, np.float32)

    return Shape(x, y, x + width, y + height, distance)


def disc(x: float, y: float, radius: float) -> Shape:
    """Return a disc around (x, y)."""

    def distance(across: Field, down: Field) -> Field:
        return np.asarray(np.hypot(across - x, down - y) - radius, np.float32)

    return Shape(x - radius, y - radius, x + radius, y + radius, distance)


def stroke(x0: float, y0: float, x1: float, y1: float, width: float) -> Shape:
    """Return a straight line with round ends."""
    dx, dy, half = x1 - x0, y1 - y0, width / 2

    def distance(across: Field, down: Field) -> Field:
        along = ((across - x0) * dx + (down - y0) * dy) / (dx * dx + dy * dy)
        along = np.clip(along, 0, 1)
        gap = np.hypot(across - x0 - along * dx, down - y0 - along * dy)
        return np.asarray(gap - half, np.float32)

    left, right, top, bottom = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
    return Shape(left - half, top - half, right + half, bottom + half, distance)


def _resized(field: Field, width: int, height: int) -> Field:
    return np.asarray(cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


def _bands(first: int, last: int) -> Iterator[slice]:
    """Yield slices of at most `_BAND` rows that together cover `first` to `last`."""
    for top in range(first, last, _BAND):
        yield slice(top, min(top + _BAND, last))


class Canvas:
    """A part of a picture, drawn with `density` samples per pixel along each axis."""

    def __init__(
        self, viewport: Viewport, area: PixelBox, density: int, rng: np.random.Generator
    ) -> None:
        left, top, width, height = area
        across = (np.arange(width * density, dtype=np.float32) + 0.5) / density + left
        down = (np.arange(height * density, dtype=np.float32) + 0.5) / density + top
        self.x: Field = np.asarray((across - viewport.origin[0]) / viewport.scale, np.float32)[
            None, :
        ]
        self.y: Field = np.asarray((down - viewport.origin[1]) / viewport.scale, np.float32)[
            :, None
        ]
        self.size = (width, height)
        self.samples_per_unit = density * viewport.scale
        """Samples per unit."""
        self.color = np.zeros((height * density, width * density, 3), np.float32)
        """BGR of each sample."""
        self.cover = np.zeros((height * density, width * density), np.float32)
        """Coverage of each sample by shapes, 0 to 1."""
        self._rng = rng

    def bands(self) -> Iterator[slice]:
        """Yield slices of rows that are small enough to process together."""
        return _bands(0, len(self.cover))

    def paint(self, shape: Shape, color: Color, light: Field | float = 1.0) -> None:
        """Fill a shape; its colour is multiplied by `light`, one factor or one per sample."""
        paint = np.array(color, np.float32)
        for window in self._windows(shape, 1 / self.samples_per_unit):
            cover = np.clip(0.5 - self._distance(shape, window) * self.samples_per_unit, 0, 1)
            bright = paint * light if isinstance(light, float) else paint * light[window][..., None]
            self.color[window] += cover[..., None] * (bright - self.color[window])
            self.cover[window] += cover * (1 - self.cover[window])

    def shade(self, shape: Shape, reach: float, depth: float) -> None:
        """Draw a soft shadow: `depth` is its fraction of the light, `reach` its size in units."""
        for window in self._windows(shape, 5 * reach):
            far = np.maximum(self._distance(shape, window), 0)
            self.color[window] *= (1 - depth * np.exp(-far / np.float32(reach)))[..., None]

    def grain(self, wide: float, tall: float, octaves: int = 6) -> Field:
        """Return noise of deviation 1 at all scales; the coarsest grains are wide x tall units."""
        height, width = self.cover.shape
        total = np.zeros((1, 1), np.float32)
        for octave in range(octaves):
            cell = max(self.samples_per_unit * 0.5**octave, 1e-3)
            columns = max(2, min(width, int(width / (cell * wide)) + 2))
            rows = max(2, min(height, int(height / (cell * tall)) + 2))
            finer = self._rng.standard_normal((rows, columns), dtype=np.float32)
            total = _resized(total, columns, rows) + np.float32(0.66**octave) * finer
        total = _resized(total, width, height)
        return np.asarray(total / total.std(), np.float32)

    def write(self, text: str, x: float, y: float, height: float, color: Color) -> None:
        """Write text with its lower left corner at (x, y); `height` is that of capital letters."""
        font, size, weight = cv2.FONT_HERSHEY_SIMPLEX, 4.0, 9
        (width, tall), below = cv2.getTextSize(text, font, size, weight)
        stencil = np.zeros((tall + below, width), np.uint8)
        cv2.putText(stencil, text, (0, tall), font, size, 255, weight, cv2.LINE_AA)
        zoom = height / tall * self.samples_per_unit
        left = (x - float(self.x[0, 0])) * self.samples_per_unit
        top = (y - height - float(self.y[0, 0])) * self.samples_per_unit
        place = np.array([[zoom, 0, left], [0, zoom, top]], np.float32)
        cover = cv2.warpAffine(stencil, place, self.cover.shape[::-1], flags=cv2.INTER_LINEAR)
        written = np.flatnonzero(np.asarray(cover).any(1))
        for rows in _bands(int(written[0]), int(written[-1]) + 1):
            share = np.asarray(cover[rows], np.float32)[..., None] / 255
            self.color[rows] += share * (np.array(color, np.float32) - self.color[rows])

    def pixels(self, right: int = 0, down: int = 0) -> NDArray[np.float32]:
        """Return the picture, (h, w, 4): BGR times coverage, and coverage.

        It can be moved by whole samples only, because interpolation of sharp edges would falsify
        the motion.

        Args:
            right: samples by which the picture is moved to the right.
            down: samples by which it is moved down.
        """
        width, height = self.size
        density = len(self.cover) // height
        out = np.empty((height, width, 4), np.float32)
        for top in range(0, height, _BAND // density):
            part = out[top : top + _BAND // density]
            rows = np.arange(top * density, (top + len(part)) * density) - down
            layers = [layer.take(rows, 0, mode="wrap") for layer in (self.color, self.cover)]
            moved = np.roll(np.dstack(layers), right, 1)
            part[:] = cv2.resize(moved, (width, len(part)), interpolation=cv2.INTER_AREA)
        return out

    def _windows(self, shape: Shape, margin: float) -> Iterator[tuple[slice, slice]]:
        """Yield the parts of the canvas that contain the shape, from the top down."""
        first, last = np.searchsorted(self.y[:, 0], (shape.y0 - margin, shape.y1 + margin))
        columns = np.searchsorted(self.x[0], (shape.x0 - margin, shape.x1 + margin))
        for rows in _bands(int(first), int(last)):
            yield rows, slice(*map(int, columns))

    def _distance(self, shape: Shape, window: tuple[slice, slice]) -> Field:
        return shape.distance(self.x[:, window[1]], self.y[window[0]])
