"""Standard deviation of each cell's displacement, from texture and noise.

A displacement is estimated by least squares from the change of brightness: the squares of its
errors are noise^2 S^-1, where S is the sum of the products of the brightness's derivatives over the
window that the network uses (the structure tensor). An edge has one large eigenvalue: it shows
motion across itself only, and the deviation along it is infinite. The share of the noise in S is
subtracted. The temporal filter passes a part of the noise.

Noise is the difference between frames, or the second derivative if that is less, because motion
changes the first and texture the second. Each is the median over blocks of the picture.

References:
    B. D. Lucas, T. Kanade, An iterative image registration technique, IJCAI 1981.
    J. Immerkaer, Fast noise variance estimation, CVIU 1996.
"""

from collections import deque
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.engines.contract import CELL
from rtmag.realtime.frame import Image
from rtmag.realtime.opencv import cv2
from rtmag.realtime.sections import Sections, noise_gain

Plane = NDArray[np.float32]
"""(H, W) values."""

BLUR = 0.8  # px of the network's input; standard deviation, about as its kernels

WINDOW = 1.0  # cells; standard deviation of the window over which the network averages

SHARE = 0.55  # deviation of the network divided by that of least squares over this window

FLOOR = 0.005  # px of the network's input; deviation by noise that texture does not reduce

SYSTEMATIC = 0.08  # error of the network relative to the displacement

SATURATION = 0.08  # additional relative error per px of the network's input

UNKNOWN = 1.0  # px of the network's input; assumed deviation along an edge

KNOWN = 2.0  # least eigenvalue of the structure tensor, in units of the share of the noise

REFRESH = 16  # frames between measurements of texture and noise; fewer at the start

ROUNDING = 1 / 27  # variance of grey if each of three colours is rounded, squares of grey levels

_BLOCK = 16  # px; side of the blocks that noise is measured in

_KEPT = 5  # measurements of the noise of which the median is used


class Uncertainty:
    """Deviation of the displacements of one stream, from its first frame on."""

    def __init__(self) -> None:
        self._frames = 0
        self._last: Plane | None = None
        self._changes: deque[float] = deque(maxlen=_KEPT)
        self._errors: Plane | None = None

    def add(
        self,
        image: Image,
        displacement: NDArray[np.float32],
        sections: Sections,
        motion_scale: float,
    ) -> NDArray[np.float32]:
        """Add a frame; return the deviation of its displacement (h, w, 2) in px of the image.

        Args:
            image: (H, W, 3), as it was passed to the engine; of one size.
            displacement: (h, w, 2), as the engine returned it, px.
            sections: (S, 5), the temporal filter.
            motion_scale: 1, 1/2 or 1/4.
        """
        shape, shrink = displacement.shape[:2], round(1 / motion_scale)
        if self._errors is None or _due(self._frames):
            grey = _network_grey(image, shape, shrink)
            errors = _squared_errors(grey, self._noise(grey)) + np.float32(FLOOR**2)
            self._errors = errors * np.float32(shrink**2)
        due = _due(self._frames + 1)
        self._last = _network_grey(image, shape, shrink) if due else None
        self._frames += 1
        gain = np.float32(_noise_gain(sections.tobytes()) ** 2)
        size = np.abs(displacement)
        wrong = size * (np.float32(SYSTEMATIC) + np.float32(SATURATION / shrink) * size)
        return np.asarray(np.sqrt(self._errors * gain + wrong * wrong))

    def _noise(self, grey: Plane) -> float:
        """Measure the noise with a frame; returns its variance in squares of grey levels."""
        # Immerkaer's kernel, whose weights have the sum of squares 36, ignores smooth shading.
        kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6
        spatial = _median_variance(np.asarray(cv2.filter2D(grey, cv2.CV_32F, kernel), np.float32))
        change = 0.0 if self._last is None else _median_variance(grey - self._last) / 2
        if change:  # else this is the first frame, or a repeated one
            self._changes.append(change)
        temporal = float(np.median(self._changes)) if self._changes else spatial
        return max(min(spatial, temporal), ROUNDING)


def _due(frame: int) -> bool:
    """True if texture and noise are measured at this frame."""
    return frame % REFRESH == 0 or frame in (1, 2, 4, 8)


def _network_grey(image: Image, shape: tuple[int, ...], shrink: int) -> Plane:
    """(4 h, 4 w) grey levels of the network's input."""
    height, width = (side * CELL for side in shape)
    down, right = height * shrink - image.shape[0], width * shrink - image.shape[1]
    if down or right:
        image = cv2.copyMakeBorder(image, 0, down, 0, right, cv2.BORDER_REPLICATE)  # type: ignore[assignment]
    if shrink > 1:
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    return np.asarray(cv2.cvtColor(image.astype(np.float32), cv2.COLOR_BGR2GRAY), np.float32)


def _median_variance(values: Plane) -> float:
    """Median over the blocks of a plane of the variance of each; 0 if all values are equal."""
    height, width = (max(side // _BLOCK, 1) for side in values.shape)
    mean = cv2.resize(values, (width, height), interpolation=cv2.INTER_AREA)
    square = cv2.resize(values * values, (width, height), interpolation=cv2.INTER_AREA)
    variances = square - mean * mean
    changing = variances[square > 0]  # a codec may repeat blocks of the last frame
    return float(np.median(changing)) if changing.size else 0.0


def _squared_errors(grey: Plane, noise: float) -> Plane:
    """(h, w, 2) squared deviations in px of the network's input, by noise of one frame.

    Args:
        grey: (4 h, 4 w) grey levels.
        noise: Variance of the noise in squares of grey levels.
    """
    tensor = _structure_tensor(grey)
    own = np.float32(noise * _noise_share())  # texture that is noise, whose estimate is smaller
    xx, yy, xy = (tensor[..., k] for k in range(3))
    middle, half = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    pixels = 4 * np.pi * WINDOW**2 * CELL**2  # that the window holds
    large, small = (
        np.where(
            v > KNOWN * own,
            np.float32(noise * SHARE**2 / pixels) / np.maximum(v, own),
            np.float32(UNKNOWN**2),
        )
        for v in (middle + half, middle - half)
    )
    # The part of x in the eigenvector of the larger eigenvalue, squared.
    part = 0.5 + (xx - yy) / np.maximum(4 * half, np.float32(1e-12))
    squares = np.stack(
        [part * large + (1 - part) * small, (1 - part) * large + part * small], axis=-1
    )
    return np.asarray(np.where(squares < UNKNOWN**2 / 2, squares, np.float32(np.inf)))


def _structure_tensor(grey: Plane) -> Plane:
    """(h, w, 3) means over the window of dx^2, dy^2 and dx dy, in squares of grey levels per px."""
    smooth = cv2.GaussianBlur(grey, (0, 0), BLUR)
    dx = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=1, scale=0.5)
    dy = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=1, scale=0.5)
    products = np.dstack([dx * dx, dy * dy, dx * dy])
    size = grey.shape[1] // CELL, grey.shape[0] // CELL
    cells = cv2.resize(products, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(cells, (0, 0), WINDOW), np.float32)


@cache
def _noise_share() -> float:
    """Mean of dx^2 in `_structure_tensor` for white noise of variance 1."""
    pulse = np.zeros((32, 32), np.float32)
    pulse[16, 16] = 1
    smooth = cv2.GaussianBlur(pulse, (0, 0), BLUR)
    return float(np.square(cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=1, scale=0.5)).sum())


@lru_cache(maxsize=64)
def _noise_gain(sections: bytes) -> float:
    return noise_gain(np.frombuffer(sections, np.float32).reshape(-1, 5))
