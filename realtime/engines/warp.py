"""Pad images for the network, and warp them by the flow that it returns.

The warp is done outside the network for two reasons: the network's input may be smaller than the
image that is warped, and OpenCV is several times faster at it than ONNX Runtime on a CPU.
"""

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.engines.contract import SIDE_MULTIPLE
from rtmag.realtime.engines.engine import check_image
from rtmag.realtime.errors import ModelIncompatible
from rtmag.realtime.frame import Image
from rtmag.realtime.opencv import cv2

CELL = 4
"""Pixels of the network's input per value of the flow, along each axis."""

_REMAP = cv2.INTER_LINEAR | cv2.WARP_RELATIVE_MAP
"""Flags of cv2.remap: bilinear, with a map of offsets."""


def warp(image: Image, flow: NDArray[np.float32], shrink: int = 1) -> Image:
    """Warp an image: each pixel is taken from the position that the flow points to.

    Args:
        image: (H, W, 3).
        flow: (1, 2, h, w): source position relative to each pixel, x then y, in pixels of the
            network's input. 4 h shrink >= H and 4 w shrink >= W.
        shrink: Factor by which the network's input was smaller than the image.
    """
    height, width = image.shape[:2]
    h, w = flow.shape[2:]
    size = w * CELL * shrink, h * CELL * shrink
    cells = np.ascontiguousarray(flow[0].transpose(1, 2, 0)) * np.float32(shrink)  # (h, w, 2)
    field = cv2.resize(cells, size, interpolation=cv2.INTER_LINEAR)[:height, :width]
    # The stubs do not allow None for the second map.
    warped = cv2.remap(  # type: ignore[call-overload]
        image, field, None, _REMAP, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(warped, np.uint8)


def pad(image: Image, size: tuple[int, int] | None, name: str, unit: int = SIDE_MULTIPLE) -> Image:
    """Repeat the right and lower border of an image until its sides are multiples of `unit`.

    Args:
        image: (H, W, 3).
        size: (width, height), px, if the model accepts only this padded size; else None.
        name: The model's name, for messages.
        unit: Pixels.

    Raises:
        ModelIncompatible: this is no image, or the padded image has another size than `size`.
    """
    check_image(image)
    height, width = image.shape[:2]
    down, right = (-side % unit for side in (height, width))
    if size is not None and (width + right, height + down) != size:
        raise ModelIncompatible(
            f"model {name!r} was exported for {size[0]}x{size[1]}, "
            f"got {width}x{height}; give --size, or export it without --size"
        )
    if down or right:
        padded = cv2.copyMakeBorder(image, 0, down, 0, right, cv2.BORDER_REPLICATE)
        return np.asarray(padded, np.uint8)
    return np.ascontiguousarray(image)
