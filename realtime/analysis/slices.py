"""x-t slices: one line of the picture over time, where motion becomes a curve."""

from collections.abc import Iterable, Sequence

import numpy as np

from rtmag.realtime.frame import Image
from rtmag.realtime.opencv import cv2
from rtmag.realtime.view.overlay import write

Line = tuple[float, float, float, float]
"""From (x0, y0) to (x1, y1), in pixels, both ends included."""


def line_samples(image: Image, line: Line) -> Image:
    """The picture along a line, (L, 3) uint8, one sample per pixel of its length."""
    x0, y0, x1, y1 = line
    count = max(round(float(np.hypot(x1 - x0, y1 - y0))) + 1, 2)
    across = np.linspace(x0, x1, count, dtype=np.float32)[:, None]
    down = np.linspace(y0, y1, count, dtype=np.float32)[:, None]
    drawn = cv2.remap(image, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(drawn[:, 0], np.uint8)


def xt_slice(images: Iterable[Image], line: Line) -> Image:
    """The line over time as a picture (L, T, 3): the line runs down, time runs to the right."""
    return np.stack([line_samples(image, line) for image in images], axis=1)


def stretch(image: Image, width: int, height: int) -> Image:
    """A slice stretched to a size, every sample a sharp rectangle."""
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)


def figure(
    columns: Sequence[Sequence[tuple[str, Image]]], width: int = 480, height: int = 200
) -> Image:
    """Named slices in a grid: columns side by side, each from top to bottom, on white."""
    gap = 8
    drawn = [
        [write(stretch(image, width, height), [name], corner="bottom") for name, image in column]
        for column in columns
    ]
    rows = max(len(column) for column in drawn)
    sheet_size = (rows * (height + gap) + gap, len(drawn) * (width + gap) + gap, 3)
    sheet: Image = np.full(sheet_size, 255, np.uint8)
    for across, column in enumerate(drawn):
        for down, panel in enumerate(column):
            top, left = gap + down * (height + gap), gap + across * (width + gap)
            sheet[top : top + height, left : left + width] = panel
    return sheet
