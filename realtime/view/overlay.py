"""Layouts of original and magnified picture, and text over a picture.

All functions return new images, or the given one unchanged; they never draw into their arguments.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rtmag.realtime.controls import Layout
from rtmag.realtime.frame import Image
from rtmag.realtime.log import visible
from rtmag.realtime.opencv import cv2

Row = str | tuple[str, ...]
"""A line of text, or its columns."""

Corner = Literal["top", "bottom", "middle"]

_WHITE = (255, 255, 255)

_RED = (60, 60, 235)

_FONT = cv2.FONT_HERSHEY_SIMPLEX

_MIN_SIDE = 32
"""Smallest width and height in pixels of a picture that text is written on."""


def lay_out(original: Image, magnified: Image, layout: Layout, wipe: float = 0.5) -> Image:
    """Combine original and magnified picture into one.

    Args:
        original: (H, W, 3) uint8 BGR.
        magnified: of the same size.
        layout: 'magnified' and 'original' are one of the two. 'side' shows both, original left, in
            twice the width. 'split' shows the original left of a white line and the magnified
            picture right of it. 'difference' is magnified minus original plus 128 (mid-grey).
            'map' shows the map that the run has drawn in place of the magnified picture.
        wipe: position of the line of 'split', from 0, the left edge, to 1, the right one.
    """
    if layout in ("magnified", "map"):
        return magnified
    if layout == "original":
        return original
    if layout == "side":
        return np.hstack([original, magnified])
    if layout == "difference":
        return np.asarray(cv2.addWeighted(magnified, 1, original, -1, 128), np.uint8)
    picture = magnified.copy()
    border = round(picture.shape[1] * wipe)
    picture[:, :border] = original[:, :border]
    picture[:, max(border - 1, 0) : border + 1] = 255
    return picture


def layout_size(size: tuple[int, int], layout: Layout) -> tuple[int, int]:
    """Return (width, height) of the pictures that `lay_out` makes of pictures of this size."""
    width, height = size
    return (2 * width, height) if layout == "side" else (width, height)


def scaled(image: Image, size: tuple[int, int]) -> Image:
    """Scale a picture to the largest one of the same proportions that fits (width, height)."""
    height, width = image.shape[:2]
    factor = min(size[0] / width, size[1] / height)
    target = max(round(width * factor), 1), max(round(height * factor), 1)
    if target == (width, height):
        return image
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, target, interpolation=method), np.uint8)


def padded(image: Image, size: tuple[int, int]) -> Image:
    """Centre a picture on black of (width, height), which is at least as large."""
    height, width = image.shape[:2]
    if (width, height) == size:
        return image
    out = np.zeros((size[1], size[0], 3), np.uint8)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    out[top : top + height, left : left + width] = image
    return out


def label(image: Image, layout: Layout, wipe: float = 0.5) -> Image:
    """Write 'original' or 'magnified' on the parts of a picture from `lay_out`.

    The layouts 'magnified', 'difference' and 'map' have no label.
    """
    if layout in ("magnified", "difference", "map"):
        return image
    if layout == "original":
        return write(image, ["original"], corner="bottom")
    border = round(image.shape[1] * (wipe if layout == "split" else 0.5))
    left = write(image[:, :border], ["original"], corner="bottom")
    right = write(image[:, border:], ["magnified"], corner="bottom")
    return np.hstack([left, right])


def write(
    image: Image, rows: Sequence[Row], *, corner: Corner = "top", alert: bool = False
) -> Image:
    """Write text on a darkened box. The letters are small enough to fit the picture.

    Args:
        image: (H, W, 3) uint8 BGR; returned unchanged if it is too small for text.
        rows: lines from top to bottom, each of one or more columns.
        corner: place of the box: top left, bottom left, or the middle of the picture.
        alert: True writes the first row in red.
    """
    height, width = image.shape[:2]
    if not rows or min(height, width) < _MIN_SIDE:
        return image
    columns = [(row,) if isinstance(row, str) else row for row in rows]
    cells = [tuple(t if t.isprintable() else visible(t) for t in row) for row in columns]
    font = _fit(cells, width, height)
    box_width = min(sum(font.columns) + 2 * font.pad, width)
    box_height = min(font.step * (len(cells) - 1) + font.row + 2 * font.pad, height)
    left = (width - box_width) // 2 if corner == "middle" else 0
    top = {"top": 0, "bottom": height - box_height, "middle": (height - box_height) // 2}[corner]
    picture = image.copy()
    box = picture[top : top + box_height, left : left + box_width]
    box[:] = box // 3
    for number, row in enumerate(cells):
        color = _RED if alert and number == 0 else _WHITE
        x, y = left + font.pad, top + font.pad + font.row + number * font.step
        for text, column in zip(row, font.columns, strict=False):
            cv2.putText(picture, text, (x, y), _FONT, font.scale, color, font.weight, cv2.LINE_AA)
            x += column
    return picture


def info_lines(
    *, fps: float, latency_ms: float | None, dropped: int, alpha: float, mode: str, recording: bool
) -> list[str]:
    """The state of a run in two or three short lines."""
    speed = f"{fps:.0f} fps" if fps >= 10 else f"{fps:.1f} fps"
    if latency_ms is not None:
        speed += f"  {latency_ms:.0f} ms  {dropped} dropped"
    lines = [speed, f"alpha {alpha:.3g}  {mode}"]
    return ["REC", *lines] if recording else lines


@dataclass(frozen=True, slots=True)
class _Font:
    """Sizes of letters and table, in pixels except `scale`."""

    scale: float
    """Size relative to OpenCV's font."""
    weight: int
    """Thickness of strokes."""
    row: int
    """Height of a capital letter."""
    columns: tuple[int, ...]
    """Width of each column, gap included."""

    @property
    def pad(self) -> int:
        """Distance between text and edge of the box."""
        return max(round(0.6 * self.row), 3)

    @property
    def step(self) -> int:
        """Distance between the baselines of two rows."""
        return round(1.6 * self.row)


def _fit(cells: Sequence[tuple[str, ...]], width: int, height: int) -> _Font:
    """Font for a picture of this height, reduced until all rows and columns fit."""
    scale = max(height / 900, 0.4)
    font = _measure(cells, scale)
    across = width / (sum(font.columns) + 2 * font.pad)
    down = height / (font.step * len(cells) + 2 * font.pad)
    return _measure(cells, scale * min(across, down, 1.0))


def _measure(cells: Sequence[tuple[str, ...]], scale: float) -> _Font:
    """Font of this scale, with the width of each column."""
    weight = max(1, round(scale * 1.3))
    (gap, row), _ = cv2.getTextSize("Ag", _FONT, scale, weight)
    columns = [0] * max(len(row) for row in cells)
    for cell in cells:
        for column, text in enumerate(cell):
            width = int(cv2.getTextSize(text, _FONT, scale, weight)[0][0])
            last = column == len(columns) - 1
            columns[column] = max(columns[column], width + (0 if last else gap))
    return _Font(scale, weight, max(int(row), 1), tuple(columns))
