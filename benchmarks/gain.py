"""Measured magnification: shown displacement divided by alpha times the true displacement.

A part of the quality benchmark. Pictures that training never sees are shifted by a known fraction
of a pixel with a Fourier phase, rounded to 8 bits with dither, and magnified in static mode with
the unshifted picture as reference. The shown shift is measured by registration
(analysis/tracking.py) against the ideally shifted picture; against the unshifted one, periodic
textures such as bricks are ambiguous. 1.00 is perfect.
"""

import numpy as np
from numpy.typing import NDArray

from benchmarks.classical import Stepper
from rtmag.realtime.analysis.tracking import Tracker, gray
from rtmag.realtime.filters import Static
from rtmag.realtime.frame import Image

MOTIONS = (0.05, 0.1, 0.25, 0.5, 1.0)  # px
ALPHAS = (2.0, 5.0, 10.0, 20.0, 50.0)
SIDE = 256
DIRECTION = 0.6  # rad: neither along rows nor along columns


def shift_picture(spectrum: NDArray[np.complex128], dx: float, dy: float, seed: int) -> Image:
    """Shift the picture by (dx, dy) px and round with dither."""
    fy, fx = (np.fft.fftfreq(n) for n in spectrum.shape[:2])
    phase = np.exp(-2j * np.pi * (fy[:, None] * dy + fx[None, :] * dx))
    moved = np.fft.ifft2(spectrum * phase[..., None], axes=(0, 1)).real
    dither = np.random.default_rng(seed).random(moved.shape)
    return np.floor(moved + dither).clip(0, 255).astype(np.uint8)


def cases() -> list[tuple[float, float]]:
    """All pairs of motion and alpha."""
    return [(m, a) for m in MOTIONS for a in ALPHAS]


def gain(engine: Stepper, picture: Image, motion: float, alpha: float) -> float:
    """Shown displacement over alpha times the true one, along the true direction."""
    spectrum = np.fft.fft2(picture[:SIDE, :SIDE].astype(np.float64), axes=(0, 1))
    direction = np.array([np.cos(DIRECTION), np.sin(DIRECTION)])
    dx, dy = motion * direction
    reference, moved = shift_picture(spectrum, 0, 0, 1), shift_picture(spectrum, dx, dy, 2)
    sections = Static().sections(1.0)
    _, state = engine.step(reference, alpha, sections, None)
    shown, _ = engine.step(moved, alpha, sections, state)
    middle = (SIDE // 4, SIDE // 4, SIDE // 2, SIDE // 2)
    expected = shift_picture(spectrum, alpha * dx, alpha * dy, 1)
    offset = Tracker(gray(expected), middle).displacement(gray(shown), 20)
    return float(1 + np.dot(offset, direction) / (alpha * motion))
