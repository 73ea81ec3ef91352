"""Makes the picture: moves the pixels of the frame, and adds what moving cannot make.

Apart from the network, so that the network may look at a smaller picture than it is that moves, and
because OpenCV does this several times faster than ONNX Runtime on a CPU.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.frame import Image
from rtmag.realtime.opencv import cv2

CELL = 4
"""Pixels, of the picture that the network saw, to each value of the flow."""
_LOOK_UP = cv2.INTER_LINEAR | cv2.WARP_RELATIVE_MAP


def compose(
    image: Image, flow: NDArray[np.float32], residual: NDArray[np.int8], shrink: int = 1
) -> Image:
    """The image with its motion magnified.

    Args:
        image: (H, W, 3).
        flow: (1, 2, h, w): where to look for each pixel, x then y, in pixels of the picture that
            the network saw. 4 h shrink >= H, and so the widths.
        residual: (4 h, 4 w, 3): grey levels to add.
        shrink: How many times smaller that picture was.
    """
    height, width = image.shape[:2]
    h, w = flow.shape[2:]
    size = w * CELL * shrink, h * CELL * shrink
    cells = np.ascontiguousarray(flow[0].transpose(1, 2, 0)) * np.float32(shrink)  # (h, w, 2)
    field = cv2.resize(cells, size, interpolation=cv2.INTER_LINEAR)[:height, :width]
    # The stubs know no None for the second map.
    moved = cv2.remap(  # type: ignore[call-overload]
        image, field, None, _LOOK_UP, borderMode=cv2.BORDER_REPLICATE
    )
    added = residual if shrink == 1 else _enlarged(residual, size)
    return np.asarray(cv2.add(moved, added[:height, :width], dtype=cv2.CV_8U))


def _enlarged(residual: NDArray[np.int8], size: tuple[int, int]) -> NDArray[Any]:
    """OpenCV enlarges no int8."""
    wide = residual.astype(np.int16)
    return np.asarray(cv2.resize(wide, size, interpolation=cv2.INTER_LINEAR))
