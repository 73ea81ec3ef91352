"""Pad images for the network, and warp them by the flow that it returns.

The warp is done outside the network for two reasons: the network's input may be smaller than the
image that is warped, and OpenCV is several times faster at it than ONNX Runtime on a CPU.
"""

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.engines.contract import CELL, SIDE_MULTIPLE
from rtmag.realtime.engines.engine import MEASURING_ALPHA, Measured, check_image
from rtmag.realtime.errors import ModelIncompatible
from rtmag.realtime.frame import Image
from rtmag.realtime.opencv import cv2
from rtmag.realtime.sections import State

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


MIN_GAIN = 1e-3
"""Smallest size of alpha - 1 at which displacement is measured; below it, alpha 2 is used."""


def measuring_alpha(alpha: float) -> float:
    """Return the alpha of a step that measures: 2 in place of 1, at which the flow is zero."""
    return alpha if abs(alpha - 1) >= MIN_GAIN else MEASURING_ALPHA


def measured(
    image: Image,
    alpha: float,
    state: State,
    flow: NDArray[np.float32],
    *,
    draw: bool,
    drawn: Image | None = None,
    shrink: int = 1,
) -> Measured:
    """Return the result of a step that measures.

    Args:
        image: (H, W, 3).
        alpha: Total magnification factor.
        state: The state after the step.
        flow: As for `warp`, of a step with `measuring_alpha`.
        draw: False to return the image as it is.
        drawn: The picture of that step with its padding; None: the image is warped.
        shrink: As for `warp`.
    """
    used = measuring_alpha(alpha)
    height, width = image.shape[:2]
    h, w = (-(-side // (CELL * shrink)) for side in (height, width))
    # The flow points back, to where each pixel of the magnified picture is taken from.
    displacement = flow[0, :, :h, :w].transpose(1, 2, 0) * np.float32(shrink / (1 - used))
    if not draw:
        return Measured(image, state, displacement)
    if drawn is None or used != alpha:
        shown = warp(image, flow * np.float32((alpha - 1) / (used - 1)), shrink)
    else:
        shown = np.ascontiguousarray(drawn[:height, :width])
    return Measured(shown, state, displacement)


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
