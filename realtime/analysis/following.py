"""Displacement of a region from frame to frame, by registration with a reference.

The reference is the mean of the region's content so far, each frame moved back by its displacement.
It therefore has less noise than a frame, follows slow changes of light, and adds no drift: content
that was moved back has no displacement. Large regions are downscaled by averaging before they are
registered. This costs little precision, as averaging reduces the noise too.
"""

import math

import numpy as np

from rtmag.realtime.analysis.tracking import REACH, Gray, Registration, Tracker, gray
from rtmag.realtime.frame import Frame, Region, clipped
from rtmag.realtime.opencv import cv2

LEAST_LIKENESS = 0.5
"""Correlation with the reference below which a region shows something else."""

MAX_PIXELS = 40_000
"""Largest number of pixels of a downscaled region. 10 000 take about 1 ms."""

_LOST_SECONDS = 2.0

_DROP = 0.9
"""Likeness relative to its mean below which the content is sought at other displacements."""

_MOST_FRAMES = 300  # in the mean that is the reference; older ones count less and less

_MARGIN = 12  # downscaled pixels around a region that is downscaled, which may move by that much

_EACH = 8  # number of frames after which the reference takes a new mean; at first, each frame does

_BLOCK = np.ones((4, 4), np.uint8)

_ITERATIONS = 8  # few are enough, as each frame starts from the displacement of the last one


class Follower:
    """Follows the content of one region.

    Args:
        region: x, y, width, height in pixels; None: the whole picture.
        max_pixels: largest number of pixels of the downscaled region.
    """

    def __init__(self, region: Region | None, max_pixels: int = MAX_PIXELS) -> None:
        self._region, self._max_pixels = region, max_pixels
        self._scale = 1
        """Pixels of the frame per pixel of the downscaled region."""
        self.box: Region = (0, 0, 0, 0)
        """The region within the last picture."""
        self._inner: Region = (0, 0, 0, 0)
        self._offset = self._total = np.zeros(2)
        """Displacement of the reference, and of the last frame, in pixels."""
        self._seen = 0.0
        """Time of the last frame that showed the content of the region."""
        self._before: Gray | None = None
        self._repeats, self._frames = 0.0, 0
        self.restart()

    def restart(self) -> None:
        """Make the next frame the reference; its displacement is that of the last one."""
        self._offset = self._total
        self._tracker: Tracker | None = None
        self._count = 0
        self._last = (0.0, 0.0)
        self._likeness = 0.0
        """Its mean so far."""

    def add(self, frame: Frame, time: float) -> Registration | None:
        """Return the displacement since the first frame in pixels; None if the content is another.

        After two seconds of other content, that is the new reference.

        Args:
            frame: of the same size as the others.
            time: in seconds.
        """
        picture = self._downscale(frame)
        if self._tracker is None:
            self._tracker = Tracker(picture, self._inner)
            self._mean = self._tracker.content.copy()
        self._compare(picture)
        result = self._tracker.register(picture, self._last, _ITERATIONS)
        if result.likeness < max(LEAST_LIKENESS, _DROP * self._likeness):
            start = self._tracker.search(picture)
            other = self._tracker.register(picture, start, _ITERATIONS)
            result = max(result, other, key=lambda each: each.likeness)
        if result.likeness < LEAST_LIKENESS and self._count:
            self._last = (0.0, 0.0)
            if abs(time - self._seen) > _LOST_SECONDS:
                self.restart()
                self._seen = time
            return None
        self._last, self._seen = result.displacement, time
        self._count = min(self._count + 1, _MOST_FRAMES)
        self._likeness += (result.likeness - self._likeness) / self._count
        self._mean += (result.content - self._mean) / self._count
        if self._count < _EACH or self._count % _EACH == 0:
            self._tracker.content = self._mean.copy()
        self._total = self._offset + self._scale * np.array(result.displacement)
        dx, dy = self._total.tolist()
        sx, sy = (self._scale * each for each in result.deviation)
        return result._replace(displacement=(dx, dy), deviation=(sx, sy))

    @property
    def repeated(self) -> float:
        """Mean share of the texture, 0 to 1, whose pixels repeat the last frame exactly.

        It is near 0 in pictures of a camera, because of their noise. A lossy codec repeats blocks
        that changed little, so small motion in its pictures is too small.
        """
        return self._repeats / max(self._frames, 1)

    def _compare(self, picture: Gray) -> None:
        """Add up the texture in blocks of 4 x 4 pixels that are those of the last frame."""
        x, y, w, h = self._inner
        inner = picture[y : y + h, x : x + w]
        if self._before is not None and self._tracker is not None:
            same = (inner == self._before).astype(np.uint8)
            blocks = cv2.morphologyEx(same, cv2.MORPH_OPEN, _BLOCK)
            self._repeats += float(np.vdot(blocks, self._tracker.texture))
            self._frames += 1
        self._before = inner

    def _downscale(self, frame: Frame) -> Gray:
        """The region and its surroundings, with at most `max_pixels` in the region."""
        self.box = x, y, w, h = clipped(self._region, frame.size)
        self._scale = scale = max(1, math.ceil(math.sqrt(w * h / self._max_pixels)))
        margin = (
            (REACH if scale == 1 else _MARGIN) * scale
            if w * h < frame.image.shape[0] * frame.image.shape[1] / 4
            else 0
        )
        left, top = x - min(x, margin), y - min(y, margin)
        full = gray(frame.image[top : y + h + margin, left : x + w + margin])
        height, width = (max(side // scale, 1) for side in full.shape)
        bx, by = (x - left) // scale, (y - top) // scale
        self._inner = bx, by, min(w // scale or 1, width - bx), min(h // scale or 1, height - by)
        whole = full[: height * scale, : width * scale]
        small = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)
        return np.asarray(small, np.float32)
