"""x-t slices: one line of the picture over time, in which motion appears as a curve."""

from collections.abc import Sequence

import numpy as np

from rtmag.realtime.frame import Image
from rtmag.realtime.opencv import cv2
from rtmag.realtime.view.overlay import write

Line = tuple[float, float, float, float]
"""From (x0, y0) to (x1, y1) in pixels, both ends included."""


def line_samples(image: Image, line: Line) -> Image:
    """Return the picture along a line as (L, 3) uint8, with one sample per pixel of length.

    Parts outside the picture repeat its border. L is at least 2.
    """
    x0, y0, x1, y1 = line
    count = max(round(float(np.hypot(x1 - x0, y1 - y0))) + 1, 2)
    x = np.linspace(x0, x1, count, dtype=np.float32)[:, None]
    y = np.linspace(y0, y1, count, dtype=np.float32)[:, None]
    sampled = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(sampled[:, 0], np.uint8)


def xt_slice(lines: Sequence[Image]) -> Image:
    """Return the slice (L, T, 3) of T lines (L, 3): position downwards, time to the right."""
    return np.stack(lines, axis=1)


def stretch(image: Image, width: int, height: int) -> Image:
    """Resize a slice; each sample becomes a rectangle with sharp edges."""
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)


def figure(
    columns: Sequence[Sequence[tuple[str, Image]]], width: int = 480, height: int = 200
) -> Image:
    """Arrange slices with their names in a grid on white.

    Args:
        columns: for each column its (name, slice) pairs, from top to bottom.
        width: of each slice, in pixels.
        height: of each slice, in pixels.
    """
    gap = 8
    panels = [
        [write(stretch(image, width, height), [name], corner="bottom") for name, image in column]
        for column in columns
    ]
    rows = max(len(column) for column in panels)
    sheet_size = (rows * (height + gap) + gap, len(panels) * (width + gap) + gap, 3)
    sheet: Image = np.full(sheet_size, 255, np.uint8)
    for i, column in enumerate(panels):
        for j, panel in enumerate(column):
            top, left = gap + j * (height + gap), gap + i * (width + gap)
            sheet[top : top + height, left : left + width] = panel
    return sheet
