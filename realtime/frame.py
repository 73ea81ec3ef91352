"""A picture and the moment it shows.

Conventions: images are (H, W, 3) uint8 BGR everywhere outside the exported graph. Time is in
seconds and never leaves its frame: the monotonic clock at the grab for live sources, the
presentation time for files. It is never wall-clock time.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""Pixels: (H, W, 3) uint8, BGR."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of a video."""

    image: Image
    """(H, W, 3) uint8, BGR."""
    time: float
    """Seconds; strictly increasing within one source."""
    index: int
    """Position in the source, from 0. A gap means that frames were dropped."""
    epoch: int = 0
    """Rises where the source began anew, and what comes does not continue what was before."""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        height, width = self.image.shape[:2]
        return width, height

    def with_image(self, image: Image) -> "Frame":
        """The same moment with another picture."""
        return replace(self, image=image)
