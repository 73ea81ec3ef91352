"""Flicker: light that beats within the band of a filter and can therefore look like motion.

Mains lamps brighten 100 or 120 times a second. A camera sees that at a lower frequency, as a beat
of the whole picture or as bands that travel across its rows. The light of each cell of a thumbnail
passes the same filter as the motion. What three quarters of the cells of a row have in common, and
most rows show, is light: what moves makes some cells brighter and others darker.
"""

import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.sections import Sections

LEAST = 0.01
"""Relative amplitude from which light counts as flicker. Flicker of 3 % moves a still face by 0.2
px at alpha 20, noise alone by 0.08 px. Clips in steady light measured less than 0.005."""

_WINDOWS = 3
"""Consecutive windows of time that must all show flicker: a step of the light rings in one only."""

_LEAST_SECONDS = 0.5
"""Length of a window, or a period of the lower edge of the band, if that is longer."""

FLICKER_NOTE = (
    "the brightness of the picture beats within the band. What changes everywhere or along whole "
    "rows is removed; the rest, such as a single lamp, looks like motion: use daylight or "
    "a DC lamp, another band, or a shutter time of 1/100 s or 1/50 s (mains of 50 Hz), "
    "1/120 s or 1/60 s (60 Hz)"
)


class Flicker:
    """Measures the beat of the light in a stream of pictures.

    Args:
        sections: (S, 5), coefficients of a band-pass at `fps`.
        fps: frames per second.
        lowest: lower edge of the band in Hz.
    """

    def __init__(self, sections: Sections, fps: float, lowest: float) -> None:
        self._sections = sections
        self._length = max(math.ceil(fps * max(1 / lowest, _LEAST_SECONDS)), 1)
        self._memory: NDArray[np.float32] | None = None
        self._power: NDArray[np.float32] | None = None
        self._count = 0
        self._amplitudes: deque[float] = deque(maxlen=_WINDOWS)
        self.amplitude = 0.0
        """Smallest relative amplitude of the last windows; 0 until there are enough of them."""

    def add(self, light: NDArray[np.float32]) -> None:
        """Measure the next frame.

        Args:
            light: (h, w), the logarithm of the light of each cell, see `Thumbnail.cell_light`.
        """
        rows = _common(self._filtered(light))
        self._power = rows**2 if self._power is None else self._power + rows**2
        self._count += 1
        if self._count == self._length:
            # Most rows: a horizon that moves up and down changes a few of them as light does.
            power = float(np.median(self._power)) / self._count
            self._amplitudes.append(math.sqrt(2 * power))
            if len(self._amplitudes) == _WINDOWS:
                self.amplitude = min(self._amplitudes)
            self._power, self._count = None, 0

    def _filtered(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pass an array through the filter, in direct form II transposed."""
        if self._memory is None:
            self._memory = np.zeros((len(self._sections), 2, *x.shape), np.float32)
            b0, _, b2 = self._sections[0, :3]
            self._memory[0] = -b0 * x, b2 * x
        for (b0, b1, b2, a1, a2), z in zip(self._sections, self._memory, strict=True):
            y = b0 * x + z[0]
            z[0], z[1] = b1 * x - a1 * y + z[1], b2 * x - a2 * y
            x = y
        return x


def _common(cells: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what three quarters of the cells of each row have in common; 0 if signs differ."""
    quarter = cells.shape[1] // 4
    cells = np.sort(cells, axis=1)
    return np.maximum(cells[:, quarter], 0) + np.minimum(cells[:, -1 - quarter], 0)
