"""Video files as sinks: complete under the final name, or else playable under a temporary one.

While it is written, 'clip.mp4' is 'clip.part.mp4'. A finished recording is renamed; what was
cancelled or cut off keeps the temporary name. Nothing that exists is touched before its replacement
is complete.
"""

from typing import Protocol

import numpy as np

from rtmag.realtime.frame import Frame, Image
from rtmag.realtime.opencv import cv2


class Sink(Protocol):
    """Takes frames one by one."""

    def write(self, frame: Frame) -> None:
        """Show or store one frame; raises SinkError when that fails."""
        ...

    def close(self, *, finished: bool = True) -> None:
        """Finish. `finished=False` keeps a partial output under its temporary name.

        Safe to call twice.
        """
        ...


class NullSink:
    """Takes every frame and keeps none."""

    def write(self, frame: Frame) -> None:
        """Do nothing."""

    def close(self, *, finished: bool = True) -> None:
        """Do nothing."""


def fitted(image: Image, size: tuple[int, int]) -> Image:
    """The image at a size, its shape kept, with black bars where it does not fill it."""
    height, width = image.shape[:2]
    if (width, height) == size:
        return image
    scale = min(size[0] / width, size[1] / height)
    inner = max(round(width * scale), 1), max(round(height * scale), 1)
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    left, top = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    canvas = np.zeros((size[1], size[0], 3), np.uint8)
    canvas[top : top + inner[1], left : left + inner[0]] = cv2.resize(
        image, inner, interpolation=way
    )
    return canvas
