"""Sub-pixel registration: the translation of an image region, to thousandths of a pixel.

Method: Lucas and Kanade, "An Iterative Image Registration Technique" (IJCAI 1981), on one patch.
Gauss-Newton iterations find the translation that carries a reference patch onto the image, which is
resampled in each iteration. It is independent of the magnification network, so that demo, tests and
benchmarks can judge the network with it.

`cv2.findTransformECC` solves the same task. Its linear interpolation biases sub-pixel shifts: on
8-bit textures its mean error is 6 to 26 times larger (see the test that compares both).
"""

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.opencv import cv2

Gray = NDArray[np.float32]
"""(H, W) brightness, any scale."""

BLUR = 1.2
"""Standard deviation of the Gaussian blur in pixels; it makes gradients less noisy."""

MARGIN = 4
"""Border in pixels that is left out if no region is given, so that the content may move."""

REACH = 24
"""Pixels around the region that are used; measured displacements are limited to this."""

TAPS = 4
"""Pixels on each side that interpolation uses. Lagrange polynomials, as a windowed sinc is less
exact at low spatial frequencies."""


_FLAT = 1e-6
"""Mean square of the gradient, in grey levels per pixel, below which there is no texture."""

_BLURRED_NOISE = 1 / (2 * BLUR * math.sqrt(math.pi))
"""Standard deviation of white noise after the blur, relative to that before."""


def gray(image: NDArray[np.uint8]) -> Gray:
    """Convert (H, W, 3) BGR to (H, W) brightness from 0 to 255."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.float32)


class Registration(NamedTuple):
    """Result of a registration."""

    displacement: tuple[float, float]
    """(dx, dy) in pixels: how far the content moved to the right and down."""
    deviation: tuple[float, float]
    """Standard deviation of both by noise that is white: what the registration cannot explain.
    Infinite without texture."""
    likeness: float
    """Correlation of the reference and the moved content, -1 to 1."""
    content: Gray
    """(h, w): the region's content, moved back, with the brightness of the reference."""


class Tracker:
    """Measures the displacement of one region relative to a reference picture.

    The light is unknown too: an offset, and a factor that varies across the region as a polynomial
    of degree two. Changing light, such as mains flicker with a rolling shutter, is therefore not
    taken for motion.

    Args:
        reference: (H, W) picture whose displacement is zero, such as the mean of a clip.
        region: x, y, width, height in pixels; None: the whole picture without `MARGIN`.
    """

    def __init__(self, reference: Gray, region: tuple[int, int, int, int] | None = None) -> None:
        height, width = reference.shape
        x, y, w, h = region or (MARGIN, MARGIN, width - 2 * MARGIN, height - 2 * MARGIN)
        self._size = (w, h)
        left, top = max(x - REACH, 0), max(y - REACH, 0)
        self._surroundings = (slice(top, y + h + REACH), slice(left, x + w + REACH))
        self._corner = (x - left, y - top)
        self._window = np.outer(_hann(h), _hann(w)).astype(np.float32)
        self._total = max(float(self._window.sum()), 1e-12)
        self.content = self._resample(self._smooth(reference), 0, 0)

    @property
    def content(self) -> Gray:
        """(h, w): the blurred content that is searched for; it can be set."""
        return self._patch

    @content.setter
    def content(self, patch: Gray) -> None:
        self._patch = patch
        h, w = patch.shape
        gy, gx = np.gradient(patch) if min(patch.shape) > 1 else (patch * 0, patch * 0)
        window = self._window.ravel()
        self._mean = float(window @ patch.ravel()) / self._total
        across, down = np.linspace(-1, 1, w)[None], np.linspace(-1, 1, h)[:, None]
        light = [patch * each for each in (across, down, across**2, down**2)]
        unknowns = np.stack([gx, gy, patch - self._mean, np.ones_like(patch), *light])
        unknowns = unknowns.reshape(8, -1).astype(np.float32)
        normal = np.asarray((unknowns * window) @ unknowns.T, np.float64)
        scale = np.sqrt(normal.diagonal() + 1e-12)
        ridge = 1e-9 * np.eye(8) * np.outer(scale, scale)
        ridge[:2, :2] += 1e-9 * np.trace(normal[:2, :2]) * np.eye(2) + 1e-12 * np.eye(2)
        # Rows for the displacement and the change of contrast: result = rows @ error.
        rows = np.linalg.inv(normal + ridge)[:3] @ unknowns
        self._rows = (rows * window).astype(np.float32)
        # White noise of the picture reaches the result through the blur.
        blurred = [cv2.GaussianBlur(row.reshape(h, w), (0, 0), BLUR) for row in self._rows[:2]]
        self._spread = [float(np.linalg.norm(row)) / _BLURRED_NOISE for row in blurred]
        energy = window * (np.square(gx) + np.square(gy)).ravel()
        if energy.sum() < _FLAT * self._total:
            energy, self._spread = energy * 0, [math.inf, math.inf]
        self.texture = (energy / max(float(energy.sum()), 1e-12)).reshape(h, w)
        """(h, w): share of each pixel in the texture that shows motion; the sum is 1, or 0."""

    def _smooth(self, image: Gray) -> Gray:
        """The region and its surroundings, blurred."""
        return np.asarray(cv2.GaussianBlur(image[self._surroundings], (0, 0), BLUR))

    def _resample(self, smooth: Gray, dx: float, dy: float) -> Gray:
        """(h, w) content of the region shifted by (dx, dy): whole pixels, then interpolation."""
        (w, h), (x, y) = self._size, self._corner
        right, down = math.floor(dx), math.floor(dy)
        top, left = y + down - TAPS, x + right - TAPS
        bottom, end = top + h + 2 * TAPS, left + w + 2 * TAPS
        if min(top, left) >= 0 and bottom <= smooth.shape[0] and end <= smooth.shape[1]:
            block = smooth[top:bottom, left:end]
        else:
            rows = np.arange(top, bottom).clip(0, smooth.shape[0] - 1)
            columns = np.arange(left, end).clip(0, smooth.shape[1] - 1)
            block = np.ascontiguousarray(smooth[rows[:, None], columns])
        kernels = _lagrange_weights(dx - right), _lagrange_weights(dy - down)
        shifted = cv2.sepFilter2D(block, -1, *kernels, anchor=(TAPS - 1, TAPS - 1))
        return np.asarray(shifted[TAPS : TAPS + h, TAPS : TAPS + w])

    def displacement(self, image: Gray, iterations: int = 12) -> tuple[float, float]:
        """Return (dx, dy) in pixels: how far the content moved to the right and down.

        Args:
            image: (H, W), of the reference's size.
            iterations: limit of Gauss-Newton iterations; they end at steps below 1e-4 px.
        """
        return self.register(image, iterations=iterations).displacement

    def search(self, image: Gray) -> tuple[float, float]:
        """Return the displacement in whole pixels at which a picture is most like the reference.

        It is a start for `register`, whose iterations find nothing if they start further away than
        the texture is wide.

        Args:
            image: (H, W), of the reference's size.
        """
        x, y = self._corner
        smooth = self._smooth(image)
        patch = self._patch[: smooth.shape[0] - y, : smooth.shape[1] - x]
        scores = cv2.matchTemplate(smooth, patch, cv2.TM_CCOEFF_NORMED)
        down, right = np.unravel_index(int(np.nan_to_num(scores).argmax()), scores.shape)
        return float(right) - x, float(down) - y

    def register(
        self, image: Gray, start: tuple[float, float] = (0.0, 0.0), iterations: int = 12
    ) -> Registration:
        """Register a picture with the reference.

        Args:
            image: (H, W), of the reference's size.
            start: first guess of the displacement in pixels, such as that of the last frame.
            iterations: limit of Gauss-Newton iterations; they end at steps below 1e-4 px.
        """
        smooth = self._smooth(image)
        dx, dy = (min(max(each, -REACH), REACH) for each in start)
        for _ in range(iterations):
            moved = self._resample(smooth, dx, dy)
            right, down, contrast = (self._rows @ (self._patch - moved).ravel()).tolist()
            # The third unknown is the change of contrast: the picture's gradients have it too.
            contrast = max(1 - contrast, 0.1)
            dx = min(max(dx + right / contrast, -REACH), REACH)
            dy = min(max(dy + down / contrast, -REACH), REACH)
            if max(abs(right), abs(down)) < 1e-4:
                break
        return self._result(self._resample(smooth, dx, dy), (dx, dy))

    def _result(self, moved: Gray, displacement: tuple[float, float]) -> Registration:
        window, total = self._window, self._total
        ours, theirs = self._patch - self._mean, moved - float(np.vdot(window, moved)) / total
        weighted = window * theirs
        both, other = float(np.vdot(weighted, ours)), float(np.vdot(weighted, theirs))
        own = float(np.vdot(window * ours, ours))
        likeness = both / math.sqrt(max(own * other, 1e-24))
        factor = both / max(other, 1e-12) if likeness > 0 else 1.0
        content = self._mean + factor * theirs
        error = content - self._patch
        noise = math.sqrt(max(float(np.vdot(window * error, error)), 1e-24) / total)
        x, y = self._spread
        return Registration(displacement, (noise * x, noise * y), likeness, content)


def _hann(length: int) -> NDArray[np.float64]:
    """(length,) Hann window without its zeros."""
    return np.hanning(length + 2)[1:-1]


def _lagrange_weights(fraction: float) -> NDArray[np.float32]:
    """(2 TAPS,) weights of the pixels 1 - TAPS to TAPS for the value at `fraction`, 0 to 1."""
    return np.asarray(_lagrange_coefficients() @ fraction**_POWERS, np.float32)


_POWERS = np.arange(2 * TAPS)


@cache
def _lagrange_coefficients() -> NDArray[np.float64]:
    """(2 TAPS, 2 TAPS) coefficients of the weights' polynomials, from the lowest power on."""
    positions = np.arange(1 - TAPS, TAPS + 1)
    return np.linalg.inv(np.vander(positions, increasing=True).T.astype(np.float64))


def amplitude(signal: NDArray[np.float64], hz: float, fps: float) -> float:
    """Return the amplitude of one frequency in a signal, in the signal's unit.

    Args:
        signal: (N,) samples, such as displacements in pixels; their mean is removed.
        hz: frequency in Hz; the signal must contain some periods of it.
        fps: samples per second.
    """
    signal = signal - signal.mean()
    window = np.hanning(len(signal))
    carrier = np.exp(-2j * np.pi * hz * np.arange(len(signal)) / fps)
    return float(np.abs((signal * window * carrier).sum()) * 2 / window.sum())


def displacement(reference: NDArray[np.generic], image: NDArray[np.generic]) -> tuple[float, float]:
    """Return (dx, dy) in pixels by which the content of a picture moved.

    Args:
        reference: (H, W) brightness.
        image: (H, W) brightness of the same place at another time.
    """
    tracker = Tracker(np.asarray(reference, np.float32))
    return tracker.displacement(np.asarray(image, np.float32))
