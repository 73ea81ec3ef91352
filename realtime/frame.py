"""One picture of a video with its time and, on request, the displacement of the scene.

Conventions: images are (H, W, 3) uint8 BGR everywhere outside the exported graph. Time is in
seconds and stays with its frame: the monotonic clock at the grab for live sources, the
presentation time for files. It is never wall-clock time.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.errors import OptionError

Image = NDArray[np.uint8]
"""Pixels: (H, W, 3) uint8, BGR."""

Region = tuple[int, int, int, int]
"""x, y, width, height in pixels."""


class MotionField(NamedTuple):
    """Displacement of the scene per cell of a frame.

    The filter of the run determines the meaning: displacement since the reference under `Static`,
    since the last frame under `Dynamic`, and the part within the band under `Temporal`.
    """

    displacement: NDArray[np.float32]
    """(h, w, 2): to the right and down, in pixels of the frame."""
    deviation: NDArray[np.float32]
    """(h, w, 2): standard deviation of each displacement in pixels; infinite without texture."""
    cell: float
    """Side of a cell in pixels of the frame."""
    origin: tuple[int, int] = (0, 0)
    """Position (x, y) of the upper left corner of the first cell in the frame, in pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of a video."""

    image: Image
    """(H, W, 3) uint8, BGR."""
    time: float
    """Seconds; strictly increasing within one epoch."""
    index: int
    """Position in the source, from 0. A gap within an epoch means that frames were dropped."""
    epoch: int = 0
    """Rises at each discontinuity: later frames do not continue the motion of earlier ones. Only
    in a file that is played, time and index then go back or ahead, to those of the file."""
    tick: float = 0.0
    """Seconds by which the clock of the source rounds `time`, which may be less than exact."""
    coding: str = ""
    """Coding of the picture in a compressed file: `I`, `P` or `B`; empty if unknown."""
    field: MotionField | None = None
    """Displacement of the scene, if a magnifier was asked to measure it."""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        height, width = self.image.shape[:2]
        return width, height

    def with_image(self, image: Image) -> "Frame":
        """Return a frame of the same time with another image."""
        return replace(self, image=image)


def clipped(region: Region | None, size: tuple[int, int]) -> Region:
    """Clip a region to the picture; at least one pixel is left."""
    width, height = size
    if region is None:
        return 0, 0, width, height
    x, y = (min(max(at, 0), side - 1) for at, side in zip(region[:2], size, strict=True))
    return x, y, max(1, min(region[2], width - x)), max(1, min(region[3], height - y))


def as_bgr(pixels: NDArray[Any]) -> Image:
    """Check an array and return it as (H, W, 3) uint8; grey (H, W) is repeated in all channels.

    Raises:
        OptionError: another type or shape; the message says how to convert it.
    """
    if pixels.dtype != np.uint8:
        raise OptionError(
            f"images must be uint8 from 0 to 255, got {pixels.dtype}; {_conversion(pixels)}"
        )
    if pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (1,), (3,)) or not pixels.size:
        raise OptionError(
            f"images must be (H, W, 3) BGR or (H, W) grey, got shape {pixels.shape}"
            + ("; leave out the fourth channel: image[..., :3]" if pixels.shape[2:] == (4,) else "")
        )
    if pixels.shape[2:] == (3,):
        return pixels
    return np.repeat(pixels.reshape(*pixels.shape[:2], 1), 3, axis=2)


def _conversion(pixels: NDArray[Any]) -> str:
    """Return advice for the conversion to uint8, from the type and range of the values."""
    if pixels.dtype == np.bool_:
        return "convert with image.astype(np.uint8) * 255"
    if pixels.dtype == np.uint16:
        return "convert 16 bits with (image >> 8).astype(np.uint8)"
    finite = pixels.dtype.kind == "f" and bool(pixels.size) and bool(np.isfinite(pixels).all())
    if finite and pixels.min() >= 0 and pixels.max() <= 1:
        return "convert values from 0 to 1 with (image * 255).round().astype(np.uint8)"
    return "convert values from 0 to 255 with image.round().clip(0, 255).astype(np.uint8)"
