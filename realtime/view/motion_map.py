"""A map of the motion at one frequency, drawn over the original picture.

The colour of a cell is its amplitude, or its phase, in one of OpenCV's colour maps. Cells in which
the noise is larger than the motion are left as they are. The scale of the amplitude is fixed: it
changes only to the next round number, when the motion has become larger or much smaller.
"""

import math
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.frame import Frame, Image, MotionField
from rtmag.realtime.opencv import cv2

MapKind = Literal["amplitude", "phase"]
"""`amplitude`: size of the motion; `phase`: its time within the period."""

ROUND = (1.0, 2.0, 5.0)
"""The end of the scale is one of these times a power of ten."""

LEAST = 0.005
"""Smallest end of the scale in px."""

_SHRINK = 0.3  # the scale is made smaller if the largest amplitude is below this share of its end

_HOLD = 5.0  # seconds for which the amplitude must have been small before that

_OPACITY = 0.75

_FAINT = 0.04, 0.12  # shares of the end of the scale: below the first, a cell is not drawn


class Unit(NamedTuple):
    """A unit of length."""

    name: str
    per_px: float


PIXELS = Unit("px", 1.0)


class AmplitudeScale:
    """End of the colour scale, which does not flicker."""

    def __init__(self) -> None:
        self.end = LEAST
        self._large_at = -math.inf

    def update(self, amplitude: float, time: float) -> float:
        """Return the end of the scale in px for a largest amplitude in px at a time in seconds."""
        if amplitude > self.end:
            self.end = _round_up(amplitude)
        if amplitude > _SHRINK * self.end or self.end <= LEAST:
            self._large_at = time
        elif time - self._large_at > _HOLD:
            self.end, self._large_at = max(_round_up(amplitude), LEAST), time
        return self.end


def _round_up(value: float) -> float:
    """Return the next round number that is at least `value`, which is positive."""
    power = 10.0 ** math.floor(math.log10(max(value, LEAST)))
    return next(step * power for step in (*ROUND, 10.0) if step * power >= value * 0.999)


class MapCells(NamedTuple):
    """The values of a map, one per cell of a field."""

    size: NDArray[np.float32]
    """(h, w) amplitude in px."""
    phase: NDArray[np.float32]
    """(h, w) rad."""
    share: NDArray[np.float32]
    """(h, w) confidence: 0, not drawn, to 1."""


def draw_map(
    frame: Frame, cells: MapCells, kind: MapKind, end: float, hz: float, unit: Unit = PIXELS
) -> Image:
    """Draw a map over a frame that has a field.

    Args:
        frame: The original frame.
        cells: Values of the cells of its field.
        kind: Quantity to draw.
        end: Amplitude in px at the end of the scale.
        hz: Frequency in Hz, for the legend.
        unit: Unit of the legend.
    """
    if frame.field is None:
        return frame.image
    faint, clear = (limit * end for limit in _FAINT)
    share = cells.share * np.clip((cells.size - faint) / (clear - faint), 0, 1)
    if kind == "amplitude":
        colours = _coloured(cells.size / end, cv2.COLORMAP_TURBO)
        ticks = [f"{end * unit.per_px * k / 4:.3g}" for k in range(5)]
        title = f"amplitude in {unit.name} at {hz:.3g} Hz"
    else:
        colours = _coloured((cells.phase / (2 * np.pi)) % 1, cv2.COLORMAP_HSV)
        ticks = ["0", "90", "180", "270", "360"]
        title = f"phase in degrees at {hz:.3g} Hz"
    picture = blended(frame.image, colours, share, frame.field)
    colour_map = cv2.COLORMAP_TURBO if kind == "amplitude" else cv2.COLORMAP_HSV
    return legend(picture, colour_map, ticks, title)


def _coloured(values: NDArray[np.float32], colour_map: int) -> Image:
    """(h, w, 3) colours of values from 0 to 1; larger ones have the last colour."""
    levels = np.clip(np.rint(values * 255), 0, 255).astype(np.uint8)
    return np.asarray(cv2.applyColorMap(levels, colour_map), np.uint8)


def blended(image: Image, colours: Image, share: NDArray[np.float32], field: MotionField) -> Image:
    """Blend the colours of cells with an image, in proportion to `share`, 0 to 1."""
    x, y = field.origin
    h, w = share.shape
    cell = round(field.cell)
    part = image[y : y + h * cell, x : x + w * cell]
    height, width = part.shape[:2]
    if not share.any():
        return image
    size = w * cell, h * cell
    over = cv2.resize(colours, size, interpolation=cv2.INTER_LINEAR)[:height, :width]
    opacity = cv2.resize(share * _OPACITY, size, interpolation=cv2.INTER_LINEAR)[:height, :width]
    out = image.copy()
    mixed = cv2.blendLinear(over, np.ascontiguousarray(part), opacity, 1 - opacity)
    # Cells that are not drawn keep their exact colours.
    cv2.copyTo(mixed, (opacity > 0).astype(np.uint8), out[y : y + height, x : x + width])
    return out


def legend(image: Image, colour_map: int, ticks: list[str], title: str) -> Image:
    """Draw a bar with the colour map, tick labels and a title at the lower right.

    Args:
        image: (H, W, 3); returned unchanged if it is too small.
        colour_map: one of OpenCV's.
        ticks: Labels at equal distances, from the left end of the bar to the right end.
        title: Text above the bar.
    """
    height, width = image.shape[:2]
    if width < 200 or height < 120:
        return image
    scale, font = max(height / 1200, 0.4), cv2.FONT_HERSHEY_SIMPLEX
    weight = max(1, round(scale * 1.3))
    (_, row), _ = cv2.getTextSize("0", font, scale, weight)
    titled = cv2.getTextSize(title, font, scale, weight)[0][0]
    long = min(max(width // 3, titled), width - 4 * row)
    box_w, box_h = min(long + 4 * row, width), 7 * row
    out = image.copy()
    left, top = width - box_w, height - box_h
    out[top:, left:] //= 4
    bar = np.linspace(0, 255, long).round().astype(np.uint8)[None].repeat(row, axis=0)
    bar_left, bar_top = left + 2 * row, top + round(2.6 * row)
    out[bar_top : bar_top + row, bar_left : bar_left + long] = cv2.applyColorMap(bar, colour_map)
    white = (255, 255, 255)
    place = bar_left, top + round(1.8 * row)
    cv2.putText(out, title, place, font, scale, white, weight, cv2.LINE_AA)
    for k, text in enumerate(ticks):
        x = bar_left + round(k * (long - 1) / (len(ticks) - 1))
        cv2.line(out, (x, bar_top + row), (x, bar_top + round(1.5 * row)), white, weight)
        (wide, _), _ = cv2.getTextSize(text, font, scale, weight)
        x = min(max(x - wide // 2, left), width - wide)
        place = x, bar_top + round(2.9 * row)
        cv2.putText(out, text, place, font, scale, white, weight, cv2.LINE_AA)
    return out
