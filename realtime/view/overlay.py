"""Original and magnified in one picture, and words over it. Images in, new images out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rtmag.realtime.controls import Layout
from rtmag.realtime.frame import Image
from rtmag.realtime.opencv import cv2

Row = str | tuple[str, ...]

Corner = Literal["top", "bottom", "middle"]

_WHITE = (255, 255, 255)

_RED = (60, 60, 235)

_FONT = cv2.FONT_HERSHEY_SIMPLEX

_SMALLEST = 32


def lay_out(original: Image, magnified: Image, layout: Layout, wipe: float = 0.5) -> Image:
    """Original and magnified as one picture.

    'side' is twice as wide; 'split' shows the original left of a thin line, at `wipe` of the width,
    and the magnified picture right of it; 'difference' is magnified less original, around mid-grey.
    """
    if layout == "magnified":
        return magnified
    if layout == "original":
        return original
    if layout == "side":
        return np.hstack([original, magnified])
    if layout == "difference":
        return np.asarray(cv2.addWeighted(magnified, 1, original, -1, 128), np.uint8)
    picture = magnified.copy()
    middle = round(picture.shape[1] * wipe)
    picture[:, :middle] = original[:, :middle]
    picture[:, max(middle - 1, 0) : middle + 1] = 255
    return picture


def label(image: Image, layout: Layout, wipe: float = 0.5) -> Image:
    """Name the parts, and what could be taken for magnified."""
    if layout in ("magnified", "difference"):
        return image
    if layout == "original":
        return write(image, ["original"], corner="bottom")
    middle = round(image.shape[1] * (wipe if layout == "split" else 0.5))
    left = write(image[:, :middle], ["original"], corner="bottom")
    right = write(image[:, middle:], ["magnified"], corner="bottom")
    return np.hstack([left, right])


def write(
    image: Image, rows: Sequence[Row], *, corner: Corner = "top", alert: bool = False
) -> Image:
    """Write rows, each of one or more columns, on a darkened ground and fitted to the picture.

    Args:
        image: left as it is.
        rows: top to bottom; a string is a row of one column.
        corner: the left end of the top or bottom edge, or the middle.
        alert: the first row in red.
    """
    height, width = image.shape[:2]
    if not rows or min(height, width) < _SMALLEST:
        return image
    cells = [(row,) if isinstance(row, str) else tuple(row) for row in rows]
    type_ = _fit(cells, width, height)
    box_width = min(sum(type_.columns) + 2 * type_.pad, width)
    box_height = min(type_.step * (len(cells) - 1) + type_.row + 2 * type_.pad, height)
    left = (width - box_width) // 2 if corner == "middle" else 0
    top = {"top": 0, "bottom": height - box_height, "middle": (height - box_height) // 2}[corner]
    picture = image.copy()
    ground = picture[top : top + box_height, left : left + box_width]
    ground[:] = ground // 3
    for number, row in enumerate(cells):
        color = _RED if alert and number == 0 else _WHITE
        x, y = left + type_.pad, top + type_.pad + type_.row + number * type_.step
        for words, column in zip(row, type_.columns, strict=False):
            cv2.putText(
                picture, words, (x, y), _FONT, type_.scale, color, type_.weight, cv2.LINE_AA
            )
            x += column
    return picture


def info_lines(
    *, fps: float, latency_ms: float | None, dropped: int, alpha: float, mode: str, recording: bool
) -> list[str]:
    """The state of a run in one or two short lines."""
    speed = f"{fps:.0f} fps" if fps >= 10 else f"{fps:.1f} fps"
    if latency_ms is not None:
        speed += f"  {latency_ms:.0f} ms  {dropped} dropped"
    lines = [speed, f"alpha {alpha:.3g}  {mode}"]
    return ["REC", *lines] if recording else lines


@dataclass(frozen=True, slots=True)
class _Type:
    """Sizes of the letters, in pixels but for the scale."""

    scale: float
    weight: int
    row: int
    columns: tuple[int, ...]

    @property
    def pad(self) -> int:
        return max(round(0.6 * self.row), 3)

    @property
    def step(self) -> int:
        return round(1.6 * self.row)


def _fit(cells: Sequence[tuple[str, ...]], width: int, height: int) -> _Type:
    """Letters as large as the picture asks for, and no larger than it has room for."""
    scale = max(height / 900, 0.4)
    wanted = _measure(cells, scale)
    across = width / (sum(wanted.columns) + 2 * wanted.pad)
    down = height / (wanted.step * len(cells) + 2 * wanted.pad)
    return _measure(cells, scale * min(across, down, 1.0))


def _measure(cells: Sequence[tuple[str, ...]], scale: float) -> _Type:
    weight = max(1, round(scale * 1.3))
    (gap, row), _ = cv2.getTextSize("Ag", _FONT, scale, weight)
    columns = [0] * max(len(row) for row in cells)
    for cell in cells:
        for place, words in enumerate(cell):
            wide = int(cv2.getTextSize(words, _FONT, scale, weight)[0][0])
            columns[place] = max(columns[place], wide + (gap if place < len(columns) - 1 else 0))
    return _Type(scale, weight, max(int(row), 1), tuple(columns))
