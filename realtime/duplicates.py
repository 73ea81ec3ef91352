"""Frames that repeat the one before: 24 or 30 frames per second that are stored as 60.

Copies in a file are rarely equal to the bit, because a lossy codec changes them a little. They
differ from true frames in the motion since the frame before, which is alternately small and large.
Where motion is smaller than the errors of the codec, copies are not recognised.
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.frame import Image
from rtmag.realtime.opencv import cv2

Grey = NDArray[np.float32]

_MAX_COPIES = 2
"""Number of copies that may follow a frame."""

_PERIODS = (2, 3, 5)
"""Numbers of frames after which copies recur: 30, 20 and 24 frames per second stored as 60."""

_REPETITIONS, _EXCEPTIONS = 10, 2
"""Number of last periods in which a copy must have been at the same place, with two exceptions. In
random sequences, one frame of a thousand is taken for a copy."""

_SIMILAR = 0.5
"""Motion to a copy in relation to that between true frames, at most. With more, a sine of six
frames per period would look like copies: its steps are 1, 0.5 and 0.5 in turn."""

_SAMPLED = (192, 144)
"""(width, height) to which larger pictures are reduced."""

_BLOCKS = (4, 3)
"""Blocks across and down, each with a motion of its own."""


class DuplicateDetector:
    """Recognises copies in a stream, from the motion between its frames.

    An equal frame is a copy. A similar one is a copy if similar frames have recurred regularly, and
    at least every second frame was one. Motion that stops for a moment does not look like that.
    """

    def __init__(self) -> None:
        self._last: tuple[Image, Grey] | None = None
        self._copies = 0
        self._motions: deque[float] = deque(maxlen=_REPETITIONS * max(_PERIODS))

    def is_copy(self, image: Image) -> bool:
        """Return True if an image (H, W, 3) repeats the one of the last call.

        At most two images in a row are copies. The first image of another shape is none.
        """
        small = _reduced(image)
        last, self._last = self._last, (image.copy(), small)  # the caller may reuse its array
        if last is None or last[0].shape != image.shape:
            self._motions.clear()
            self._copies = 0
            return False
        equal = np.array_equal(image, last[0])
        motion = 0.0 if equal else _motion(last[1], small)
        similar = equal or self._is_due(motion)
        self._motions.append(motion)
        self._copies = self._copies + 1 if similar else 0
        return 0 < self._copies <= _MAX_COPIES

    def _is_due(self, motion: float) -> bool:
        """True if a frame with this motion is the next copy of a regular sequence."""
        for period in _PERIODS:
            count = _REPETITIONS * period
            if len(self._motions) < count:
                return False
            recent = np.array(self._motions)[-count:].reshape(_REPETITIONS, period)
            recent.sort(axis=0)  # for each place in the period; the first is that of this frame
            limit = _SIMILAR * float(np.median(recent, axis=0).max())
            copies = recent[-1 - _EXCEPTIONS] < limit
            if copies[0] and 2 * copies.sum() >= period and motion < limit:
                return True
        return False


def _reduced(image: Image) -> Grey:
    """Return the grey levels of an image, reduced to `_SAMPLED` if it is larger."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32)
    if grey.shape[1] > _SAMPLED[0] and grey.shape[0] > _SAMPLED[1]:
        return np.asarray(cv2.resize(grey, _SAMPLED, interpolation=cv2.INTER_AREA), np.float32)
    return grey


def _motion(before: Grey, after: Grey) -> float:
    """Return the root mean square of the change that is due to motion, in grey levels.

    It is the part of the change that a displacement of each block explains. Errors of a codec, and
    noise, are hardly ever like the gradient of a whole block.
    """
    change = after - before
    dx = cv2.Sobel(before + after, -1, 1, 0, scale=1 / 16)
    dy = cv2.Sobel(before + after, -1, 0, 1, scale=1 / 16)
    xx, xy, yy, x, y = (
        cv2.resize(product, _BLOCKS, interpolation=cv2.INTER_AREA)
        for product in (dx * dx, dx * dy, dy * dy, dx * change, dy * change)
    )
    explained = (yy * x * x - 2 * xy * x * y + xx * y * y) / (xx * yy - xy * xy + 1e-3)
    return float(np.sqrt(max(explained.mean(), 0.0)))
