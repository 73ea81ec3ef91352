"""Reduction of pictures with more than 8 bits per channel to 8 bits.

Cameras of 10, 12 or 14 bits often store their values unchanged in pictures of 16 bits. Such
pictures are nearly black if the full range of 16 bits is assumed. Therefore the range of values
that a sequence uses is measured, and one scale is applied to all of its pictures: a scale of each
picture would flicker.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.frame import Image
from rtmag.realtime.opencv import cv2

SAMPLES = 16
"""Number of pictures, spread over a sequence, from which its range is measured."""

_DEPTHS = (8, 10, 12, 14, 16)
"""Bits per channel of cameras."""


@dataclass(frozen=True, slots=True)
class ValueRange:
    """The values that become black and white."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}"

    def to_8bit(self, image: NDArray[Any]) -> Image:
        """Scale a picture of any shape and type to uint8; values outside the range are clipped.

        In pictures of floating-point numbers, NaN becomes black.
        """
        if image.dtype == np.uint16 and self.low == 0:
            return np.asarray(cv2.convertScaleAbs(image, alpha=255 / self.high), np.uint8)
        with np.errstate(invalid="ignore"):  # raised by some NaN of damaged pictures
            values = np.nan_to_num(image.astype(np.float64), nan=self.low)
        shares = (values.clip(self.low, self.high) - self.low) / (self.high - self.low)
        return np.rint(255 * shares).astype(np.uint8)


def used_range(images: Iterable[NDArray[Any]]) -> ValueRange:
    """Return the range of values of a sequence from some of its pictures.

    The upper end leaves room for brighter pictures. For integers it is the largest value of 8, 10,
    12, 14 or 16 bits; for floating-point numbers it is a power of two. The lower end is 0, or the
    lowest value if that is negative.
    """
    low = high = 0.0
    integers = True
    for image in images:
        integers = integers and np.issubdtype(image.dtype, np.integer)
        values = image if integers else image[np.isfinite(image)]
        if values.size:
            low, high = min(low, float(values.min())), max(high, float(values.max()))
    if integers:
        bits = next((depth for depth in _DEPTHS if high < 1 << depth), int(high).bit_length())
        return ValueRange(low, float((1 << bits) - 1))
    if high > 0:
        mantissa, exponent = math.frexp(high)  # mantissa 0.5: a power of two
        high = math.ldexp(1.0, min(exponent - (mantissa == 0.5), 1023))
    return ValueRange(low, high if high > low else 1.0)


def depth_note(bits: int, values: ValueRange | None = None) -> str:
    """Return a note about pictures of more than 8 bits per channel that are scaled by `values`."""
    if values is None:
        return f"has {bits} bits per channel; the output has 8"
    return (
        f"has {bits} bits per channel; its values {values} become 0 to 255 in the output, which "
        "has 8"
    )
