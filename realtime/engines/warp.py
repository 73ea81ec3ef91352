"""Makes the picture: moves the pixels of the frame.

Apart from the network, so that the network may look at a smaller picture than it is that moves, and
because OpenCV does this several times faster than ONNX Runtime on a CPU.
"""

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.engines.contract import UNIT
from rtmag.realtime.errors import ModelIncompatible
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


def bordered(image: Image, size: tuple[int, int] | None, name: str, unit: int = UNIT) -> Image:
    """The image with its border repeated until sides are multiples of `unit`.

    Raises:
        ModelIncompatible: that is not the only `size` that model `name` knows.
    """
    height, width = image.shape[:2]
    down, right = (-side % unit for side in (height, width))
    if size is not None and (width + right, height + down) != size:
        raise ModelIncompatible(
            f"model {name!r} was exported for {size[0]}x{size[1]}, "
            f"got {width}x{height}; give --size, or export without it"
        )
    if down or right:
        wide = cv2.copyMakeBorder(image, 0, down, 0, right, cv2.BORDER_REPLICATE)
        return np.asarray(wide, np.uint8)
    return np.ascontiguousarray(image)
