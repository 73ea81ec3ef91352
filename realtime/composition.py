"""Makes the picture: moves the pixels of the frame.

Apart from the network, so that the network may look at a smaller picture than it is that moves, and
because OpenCV does this several times faster than ONNX Runtime on a CPU.
"""

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.frame import Image
from rtmag.realtime.opencv import cv2

CELL = 4
"""Pixels, of the picture that the network saw, to each value of the flow."""
_LOOK_UP = cv2.INTER_LINEAR | cv2.WARP_RELATIVE_MAP


def compose(image: Image, flow: NDArray[np.float32], shrink: int = 1) -> Image:
    """The image with its motion magnified.

    Args:
        image: (H, W, 3).
        flow: (1, 2, h, w): where to look for each pixel, x then y, in pixels of the picture that
            the network saw. 4 h shrink >= H, and so the widths.
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
    return np.asarray(moved, np.uint8)
