"""Textured pictures and what may happen to them: motion, noise, light, cuts."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.frame import Image
from rtmag.realtime.opencv import cv2

Picture = NDArray[np.float32]

SIZE = (160, 120)

BLACK: Picture = np.zeros((SIZE[1], SIZE[0], 3), np.float32)


def texture(seed: int = 1, margin: int = 20) -> Picture:
    """A picture with details of all sizes, with `margin` px more on each side than `SIZE`."""
    rng, (width, height) = np.random.default_rng(seed), (side + 2 * margin for side in SIZE)
    out = np.zeros((height, width, 3), np.float32)
    for size, weight in ((64, 60), (32, 40), (16, 30), (8, 20), (4, 12)):
        grains = rng.standard_normal((height // size + 3, width // size + 3, 3)).astype(np.float32)
        out += weight * cv2.resize(grains, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(120 + 0.6 * out, 8, 230), np.float32)


def shifted(picture: Picture, dx: float, dy: float = 0.0, margin: int = 20) -> Picture:
    """The middle of a texture, `SIZE`, moved right and down by these numbers of pixels."""
    shift = np.array([[1, 0, dx - margin], [0, 1, dy - margin]], np.float32)
    return np.asarray(cv2.warpAffine(picture, shift, SIZE, flags=cv2.INTER_CUBIC), np.float32)


def sway(count: int, seed: int = 1, pixels: float = 0.2, hz: float = 2.0) -> list[Picture]:
    """A texture that sways sideways, 30 frames per second."""
    base = texture(seed)
    return [shifted(base, pixels * np.sin(2 * np.pi * hz * i / 30)) for i in range(count)]


def ramp(picture: Picture, start: float, end: float, count: int) -> list[Picture]:
    """A picture whose light changes evenly."""
    return [picture * factor for factor in np.linspace(start, end, count, dtype=np.float32)]


def mixed(first: Picture, second: Picture, count: int) -> list[Picture]:
    """A cross-fade."""
    shares = np.linspace(0, 1, count, dtype=np.float32)
    return [first * (1 - share) + second * share for share in shares]


def filmed(pictures: Iterable[Picture], noise: float = 1.0) -> list[Image]:
    """Add noise of this number of grey levels, and round to 8 bits."""
    rng = np.random.default_rng(3)
    return [
        np.clip(np.rint(each + rng.normal(0, noise, each.shape)), 0, 255).astype(np.uint8)
        for each in pictures
    ]
