"""A phase-based magnifier on a Riesz pyramid, for comparison. It is not part of the product.

N. Wadhwa, M. Rubinstein, F. Durand, W. T. Freeman, Riesz Pyramids for Fast Phase-Based Video
Magnification, ICCP 2014. The method is patented (US 9 338 331): this file is
for the benchmark only, and must not be installed with the package.

Each band of a Laplacian pyramid and its Riesz transform (two three-tap filters) make a quaternion
whose phase, a vector along the local orientation, follows motion. The phase is unwrapped from frame
to frame, filtered in time by the common recurrence, smoothed by amplitude, multiplied and applied.
Only brightness is magnified, not colour.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from benchmarks.classical import Memory, Plane, cascade, collapse, depth, pyramid, to_image
from rtmag.realtime.frame import Image
from rtmag.realtime.sections import Sections

ROW = np.array([[-0.5, 0.0, 0.5]], np.float32)
SMOOTHING = 2.0  # px of each band: standard deviation of the blur of the phase
EPSILON = 1e-6  # added to amplitudes and angles before a division
MIN_NORM = 1e-20  # keeps a division by a zero vector finite


@dataclass(slots=True, eq=False)
class Band:
    """State of one band."""

    real: Plane
    x: Plane
    y: Plane
    phase: Plane
    """(2, h, w) unwrapped phase times cosine and sine of the orientation."""
    memory: Memory


def riesz(band: Plane) -> tuple[Plane, Plane, Plane]:
    """Return the band and its Riesz transform along x and y."""
    x, y = (cv2.filter2D(band, -1, k, borderType=cv2.BORDER_REFLECT) for k in (ROW, ROW.T))
    return band, np.asarray(x, np.float32), np.asarray(y, np.float32)


def advance(real: Plane, x: Plane, y: Plane, before: Band) -> Plane:
    """Change of phase since the previous frame, (2, h, w) along x and y.

    It is the quaternion (real, x, y) times the conjugate of the previous one.
    """
    scalar = real * before.real + x * before.x + y * before.y
    i = -real * before.x + before.real * x
    j = -real * before.y + before.real * y
    across = np.hypot(i, j)
    turn = np.arctan2(across, scalar) / np.maximum(across, MIN_NORM)
    return np.asarray(np.stack([i, j]) * turn, np.float32)


class Riesz:
    """Magnify the phase of each band."""

    name = "Riesz pyramid"

    def step(self, image: Image, alpha: float, sections: Sections, state: Any) -> tuple[Image, Any]:
        """Return the image with the phase of its brightness magnified."""
        colours = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_BGR2YCrCb)
        levels = pyramid(np.ascontiguousarray(colours[..., 0]), depth(image.astype(np.float32)))
        shown, bands = [], []
        for index, level in enumerate(levels[:-1]):
            parts = riesz(level)
            before = state[index] if state else None
            amplitude = np.asarray(
                np.sqrt(sum(part * part for part in parts)) + EPSILON, np.float32
            )
            phase = np.zeros((2, *level.shape), np.float32)
            if before:
                phase = advance(*parts, before) + before.phase
            change, memory = cascade(phase, sections, before.memory if before else None)
            bands.append(Band(*parts, phase, memory))
            shown.append(self._rotate_phase(parts, smooth(change, amplitude) * (alpha - 1)))
        colours[..., 0] = collapse([*shown, levels[-1]])
        light = np.asarray(cv2.cvtColor(colours, cv2.COLOR_YCrCb2BGR), np.float32)
        return to_image(light * 255), bands

    @staticmethod
    def _rotate_phase(parts: tuple[Plane, Plane, Plane], phase: Plane) -> Plane:
        """Rotate the phase of a band; return the real part."""
        real, x, y = parts
        angle = np.hypot(phase[0], phase[1])
        along = (x * phase[0] + y * phase[1]) / (angle + EPSILON)
        return np.asarray(real * np.cos(angle) - along * np.sin(angle), np.float32)


def smooth(phase: Plane, amplitude: Plane) -> Plane:
    """Blur the phase weighted by amplitude."""
    weight = cv2.GaussianBlur(amplitude, (0, 0), SMOOTHING) + EPSILON
    blurred = [cv2.GaussianBlur(part * amplitude, (0, 0), SMOOTHING) / weight for part in phase]
    return np.stack(blurred)
