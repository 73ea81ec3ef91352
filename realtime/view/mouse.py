"""The mouse in a window: jumps in the seek bar, and a region drawn in the picture."""

from rtmag.realtime.controls import Controls, NamedRegion
from rtmag.realtime.opencv import cv2
from rtmag.realtime.view.marks import Box, Place

_SMALLEST = 4
"""Pixels of the window; a shorter way of the mouse with its button pressed is a click."""


class Mouse:
    """Changes the controls by the mouse.

    A press in the seek bar jumps, as does a move of the mouse with the button pressed. A rectangle
    drawn in the picture becomes the region to magnify; a click magnifies the whole picture again.
    With Shift, the rectangle is added to the named regions; a click removes the one at its place.

    Args:
        controls: changed by `handle`.
    """

    def __init__(self, controls: Controls) -> None:
        self._controls = controls
        self.place: Place | None = None
        """Place of the last picture in the window; None before the first one."""
        self._from: tuple[int, int] | None = None
        self._to = (0, 0)
        self._seeking = False

    @property
    def drawn(self) -> Box | None:
        """The region that is being drawn, in pixels of the frame; None if there is none."""
        if self._from is None or self.place is None:
            return None
        width, height = self.place.size
        (x0, y0), (x1, y1) = (self.place.pixel(*point) for point in (self._from, self._to))
        (x0, x1), (y0, y1) = sorted((x0, x1)), sorted((y0, y1))
        left, right = (round(min(max(x, 0), width)) for x in (x0, x1))
        top, bottom = (round(min(max(y, 0), height)) for y in (y0, y1))
        return left, top, right - left, bottom - top

    def handle(self, event: int, x: int, y: int, flags: int, _: object = None) -> None:
        """Take an event, with the arguments that OpenCV passes."""
        place, playback = self.place, self._controls.playback
        if place is None:
            return
        if event == cv2.EVENT_LBUTTONDOWN:
            self._seeking = playback is not None and y >= place.inside[1]
            self._from, self._to = None if self._seeking else (x, y), (x, y)
        pressed = event == cv2.EVENT_LBUTTONDOWN or bool(flags & cv2.EVENT_FLAG_LBUTTON)
        if self._seeking and playback is not None and pressed:
            playback.seek(place.moment(x, playback))
        self._to = x, y
        if event == cv2.EVENT_LBUTTONUP:
            if self._from is not None:
                self._finish(self._from, shift=bool(flags & cv2.EVENT_FLAG_SHIFTKEY))
            self._from, self._seeking = None, False

    def _finish(self, begin: tuple[int, int], *, shift: bool) -> None:
        """Use the rectangle that was drawn, or the click if it is too small."""
        box = self.drawn
        moved = max(abs(self._to[0] - begin[0]), abs(self._to[1] - begin[1]))
        drawn = None if moved < _SMALLEST else box
        controls = self._controls
        if not shift:
            controls.set_region(drawn)
        elif drawn is not None:
            controls.set_regions((*controls.regions, NamedRegion("", drawn)))
        elif box is not None:
            controls.set_regions(each for each in controls.regions if not _contains(each.box, box))


def _contains(box: Box, point: Box) -> bool:
    """True if the corner of `point` is inside a box."""
    x, y, width, height = box
    return x <= point[0] < x + width and y <= point[1] < y + height
