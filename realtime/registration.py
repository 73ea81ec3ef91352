"""How far something moved, to hundredths of a pixel: the yardstick of the demo, tests and benchmarks.

Lucas and Kanade (IJCAI 1981) on one patch: Gauss-Newton on the translation that carries a reference
patch onto the image, with sub-pixel resampling at each step. It knows nothing of the network.
"""

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.opencv import cv2

Gray = NDArray[np.float32]
"""(H, W) brightness, any scale."""

BLUR = 1.2  # px: makes the gradient of noisy 8-bit pictures trustworthy over a pixel or two
MARGIN = 4  # px of the region's rim left out, so that its content may move


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
        self._centre = (x + (w - 1) / 2, y + (h - 1) / 2)
        self._patch = self._cut(reference, 0, 0)
        gy, gx = np.gradient(self._patch)
        window = np.outer(np.hanning(h), np.hanning(w)).astype(np.float32)
        self._weighted = np.stack([gx * window, gy * window])  # (2, h, w)
        normal = np.einsum("ihw,jhw->ij", self._weighted, np.stack([gx, gy]))
        self._inverse = np.linalg.inv(
            normal + 1e-9 * np.trace(normal) * np.eye(2) + 1e-12 * np.eye(2)
        )

    def _cut(self, image: Gray, dx: float, dy: float) -> Gray:
        smooth = cv2.GaussianBlur(image, (0, 0), BLUR)
        at = (self._centre[0] + dx, self._centre[1] + dy)
        return np.asarray(cv2.getRectSubPix(smooth, self._size, at))

    def displacement(self, image: Gray, iterations: int = 6) -> tuple[float, float]:
        """(dx, dy) in pixels by which the region's content lies right and below of the reference."""
        d = np.zeros(2)
        for _ in range(iterations):
            error = self._patch - self._cut(image, d[0], d[1])
            step = self._inverse @ np.einsum("ihw,hw->i", self._weighted, error)
            d = d + step
            if np.abs(step).max() < 1e-4:
                break
        return float(d[0]), float(d[1])


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
