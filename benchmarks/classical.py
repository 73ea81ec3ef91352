"""Classical magnifiers for comparison. They are not part of the product.

    Unchanged   returns its input
    Eulerian    image + (alpha - 1) * filtered image
    Laplacian   Eulerian per pyramid level, less for fine levels (H.-Y. Wu et al., SIGGRAPH 2012)

All have the `step` of rtmag.realtime.engines.engine.Engine, with the same sections and the same
meaning of alpha.
"""

from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.frame import Image
from rtmag.realtime.sections import Sections

Plane = NDArray[np.float32]
Memory = list[list[Plane]]
"""z1 and z2 of each section."""


class Stepper(Protocol):
    """A method under comparison: it has a name and can take one step."""

    name: str

    def step(self, image: Image, alpha: float, sections: Sections, state: Any) -> tuple[Image, Any]:
        """Magnify one image; a state of None makes it the reference."""
        ...


def cascade(x: Plane, sections: Sections, memory: Memory | None) -> tuple[Plane, Memory]:
    """One step of the recurrence (rtmag/realtime/filters.py) on an array of any shape."""
    if memory is None:
        zero = np.zeros_like(x)
        first = [-sections[0, 0] * x, sections[0, 2] * x]
        return zero, [first, *([zero, zero] for _ in sections[1:])]
    after = []
    for (b0, b1, b2, a1, a2), (z1, z2) in zip(sections, memory, strict=True):
        y = b0 * x + z1
        after.append([b1 * x - a1 * y + z2, b2 * x - a2 * y])
        x = y
    return x, after


def pyramid(image: Plane, levels: int) -> list[Plane]:
    """Laplacian pyramid, finest level first; the last level is the low-pass residual."""
    out = []
    for _ in range(levels):
        small = cv2.pyrDown(image)
        out.append(image - cv2.pyrUp(small, dstsize=(image.shape[1], image.shape[0])))
        image = np.asarray(small, np.float32)
    return [*out, image]


def collapse(levels: list[Plane]) -> Plane:
    """Rebuild the picture from its Laplacian pyramid."""
    image = levels[-1]
    for level in reversed(levels[:-1]):
        image = level + cv2.pyrUp(image, dstsize=(level.shape[1], level.shape[0]))
    return np.asarray(image, np.float32)


def depth(image: Plane) -> int:
    """Number of levels before a side becomes smaller than 8 px."""
    return max(1, int(np.log2(min(image.shape[:2]) / 8)))


def to_image(light: Plane) -> Image:
    """Round grey levels to 8 bits."""
    return np.clip(np.rint(light), 0, 255).astype(np.uint8)


class Unchanged:
    """Return the input."""

    name = "input unchanged"

    def step(self, image: Image, alpha: float, sections: Sections, state: Any) -> tuple[Image, Any]:
        """The image itself."""
        return image, 0


class Eulerian:
    """Add the changes of brightness times alpha - 1; valid for motion far smaller than an edge."""

    name = "linear Eulerian"

    def step(self, image: Image, alpha: float, sections: Sections, state: Any) -> tuple[Image, Any]:
        """Return the image plus (alpha - 1) times the filtered image."""
        light = image.astype(np.float32)
        change, state = cascade(light, sections, state)
        return to_image(light + (alpha - 1) * change), state


class Laplacian:
    """Eulerian magnification per pyramid level, with alpha limited by the level's wavelength."""

    name = "Laplacian pyramid"
    CUTOFF = 16.0  # px: wavelengths below are magnified less, as in the authors' examples

    def step(self, image: Image, alpha: float, sections: Sections, state: Any) -> tuple[Image, Any]:
        """Return the image plus its filtered pyramid levels, each with its limited factor."""
        light = image.astype(np.float32)
        bands = pyramid(light, depth(light))
        memory = state or [None] * len(bands)
        bound = self.CUTOFF / 8 / (1 + max(alpha - 1, 0))  # the largest displacement at this alpha
        out, after = [], []
        for index, (band, before) in enumerate(zip(bands, memory, strict=True)):
            change, kept = cascade(band, sections, before)
            after.append(kept)
            wavelength = 4.0 * 2**index  # px, about the middle of the band
            factor = float(np.clip(wavelength / (8 * bound) - 1, 0, max(alpha - 1, 0)))
            lowest = index == len(bands) - 1
            out.append(change * (0 if lowest else factor if alpha >= 1 else alpha - 1))
        return to_image(light + collapse(out)), after
