"""How far something moved, to thousandths of a pixel: the yardstick of demo, tests, benchmarks.

Lucas and Kanade (IJCAI 1981) on one patch: Gauss-Newton on the translation that carries a reference
patch onto the image, resampled at each step. It knows nothing of the network.
"""

import math

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.opencv import cv2

Gray = NDArray[np.float32]
"""(H, W) brightness, any scale."""

BLUR = 1.2  # px: makes the gradient of noisy 8-bit pictures trustworthy over a pixel or two

MARGIN = 4  # px of the region's rim left out, so that its content may move

REACH = 24  # px around the region that are looked at; nothing is tracked that far

TAPS = 4  # px to each side of Lagrange's interpolation; a windowed sinc is off at low frequencies


def gray(image: NDArray[np.uint8]) -> Gray:
    """(H, W, 3) BGR -> (H, W) brightness 0-255."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.float32)


class Tracker:
    """Displacement of one region against a reference picture."""

    def __init__(self, reference: Gray, region: tuple[int, int, int, int] | None = None) -> None:
        """Set up.

        Args:
            reference: The picture that counts as displacement zero, such as the mean of a clip.
            region: x, y, width, height in pixels; None is the whole picture.
        """
        height, width = reference.shape
        x, y, w, h = region or (MARGIN, MARGIN, width - 2 * MARGIN, height - 2 * MARGIN)
        self._size = (w, h)
        left, top = max(x - REACH, 0), max(y - REACH, 0)
        self._around = (slice(top, y + h + REACH), slice(left, x + w + REACH))
        self._corner = (x - left, y - top)
        self._patch = self._cut(self._smooth(reference), 0, 0)
        gy, gx = np.gradient(self._patch)
        window = np.outer(np.hanning(h), np.hanning(w)).astype(np.float32)
        gradient = np.stack([gx, gy]).reshape(2, -1)  # (2, h w)
        self._weighted = gradient * window.ravel()
        normal = self._weighted @ gradient.T
        self._inverse = np.linalg.inv(
            normal + 1e-9 * np.trace(normal) * np.eye(2) + 1e-12 * np.eye(2)
        )

    def _smooth(self, image: Gray) -> Gray:
        """The region and what lies around it, blurred."""
        return np.asarray(cv2.GaussianBlur(image[self._around], (0, 0), BLUR))

    def _cut(self, smooth: Gray, dx: float, dy: float) -> Gray:
        """The region moved by (dx, dy): whole pixels by their place, the rest by interpolation."""
        (w, h), (x, y) = self._size, self._corner
        right, down = math.floor(dx), math.floor(dy)
        rows = np.arange(y + down - TAPS, y + down + h + TAPS).clip(0, smooth.shape[0] - 1)
        columns = np.arange(x + right - TAPS, x + right + w + TAPS).clip(0, smooth.shape[1] - 1)
        block = np.ascontiguousarray(smooth[rows[:, None], columns])
        kernels = _between(dx - right), _between(dy - down)
        moved = cv2.sepFilter2D(block, -1, *kernels, anchor=(TAPS - 1, TAPS - 1))
        return np.asarray(moved[TAPS : TAPS + h, TAPS : TAPS + w])

    def displacement(self, image: Gray, iterations: int = 12) -> tuple[float, float]:
        """(dx, dy): pixels by which the region's content lies right of and below the reference."""
        smooth = self._smooth(image)
        d = np.zeros(2)
        for _ in range(iterations):
            error = self._patch - self._cut(smooth, d[0], d[1])
            step = self._inverse @ (self._weighted @ error.ravel())
            d = np.clip(d + step, -REACH, REACH)
            if np.abs(step).max() < 1e-4:
                break
        return float(d[0]), float(d[1])


def _between(part: float) -> NDArray[np.float32]:
    """(2 TAPS,) weights of the pixels 1 - TAPS to TAPS from here, for the value `part` on."""
    at = np.arange(1 - TAPS, TAPS + 1)
    steps = at[:, None] - at + np.eye(2 * TAPS)
    factors = np.where(np.eye(2 * TAPS, dtype=bool), 1.0, (part - at) / steps)
    return np.asarray(factors.prod(axis=1), np.float32)


def amplitude(signal: NDArray[np.float64], hz: float, fps: float) -> float:
    """Amplitude of the component of a signal at one frequency.

    Args:
        signal: (N,) samples, such as displacements in pixels; its mean is removed.
        hz: Frequency, Hz. A few periods must fit into the signal.
        fps: Samples per second.
    """
    signal = signal - signal.mean()
    window = np.hanning(len(signal))
    turn = np.exp(-2j * np.pi * hz * np.arange(len(signal)) / fps)
    return float(np.abs((signal * window * turn).sum()) * 2 / window.sum())


def displacement(reference: NDArray[np.generic], image: NDArray[np.generic]) -> tuple[float, float]:
    """(dx, dy) in pixels by which a patch moved: both are (H, W) brightness of the same place."""
    tracker = Tracker(np.asarray(reference, np.float32))
    return tracker.displacement(np.asarray(image, np.float32))
