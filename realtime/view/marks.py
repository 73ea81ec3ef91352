"""Marks of a window: the seek bar of a file that is played, and the outlines of regions."""

from dataclasses import dataclass

import numpy as np

from rtmag.realtime.controls import COLOURS, Controls, Layout, Playback
from rtmag.realtime.frame import Image
from rtmag.realtime.opencv import cv2
from rtmag.realtime.view.overlay import layout_size

Box = tuple[int, int, int, int]
"""x, y, width, height in pixels."""

_MARGIN = 10
"""Pixels left and right of the line of the seek bar."""

_WHITE, _GREY, _DIM, _ACCENT = (255, 255, 255), (150, 150, 150), (80, 80, 80), (0, 176, 255)


@dataclass(frozen=True, slots=True)
class Place:
    """Place of a picture in the inside of a window, above a seek bar.

    Args:
        area: (width, height) of the inside of the window in pixels.
        size: (width, height) of the frames in pixels.
        layout: in which they are shown.
        played: True if there is a seek bar.
    """

    area: tuple[int, int]
    size: tuple[int, int]
    layout: Layout
    played: bool

    @property
    def bar(self) -> int:
        """Height of the seek bar in pixels; 0 without one, or if the window is too low."""
        height = max(self.area[1] // 16, 24)
        return height if self.played and self.area[1] > 4 * height else 0

    @property
    def inside(self) -> tuple[int, int]:
        """(width, height) of the part above the seek bar."""
        return self.area[0], self.area[1] - self.bar

    @property
    def factor(self) -> float:
        """Pixels of the window per pixel of a frame."""
        width, height = layout_size(self.size, self.layout)
        return min(self.inside[0] / width, self.inside[1] / height)

    @property
    def corner(self) -> tuple[float, float]:
        """Position of the upper left corner of the picture in the window."""
        width, height = layout_size(self.size, self.layout)
        across, down = self.inside
        return (across - width * self.factor) / 2, (down - height * self.factor) / 2

    def pixel(self, x: int, y: int) -> tuple[float, float]:
        """Position in a frame, of a position in the window; it may be outside the frame.

        Of two frames side by side, both are the same place.
        """
        left, top = self.corner
        across, down = (x - left) / self.factor, (y - top) / self.factor
        second = self.layout == "side" and across >= self.size[0]
        return across - self.size[0] if second else across, down

    def box(self, region: Box) -> Box:
        """Place of a region of the frame in the window."""
        left, top = self.corner
        x, y, w, h = (side * self.factor for side in region)
        return round(left + x), round(top + y), round(w), round(h)

    def moment(self, x: int, playback: Playback) -> float:
        """Time of the file at a position of the seek bar, in seconds after its first frame."""
        share = (x - _MARGIN) / max(self.area[0] - 2 * _MARGIN, 1)
        return min(max(share, 0.0), 1.0) * playback.duration


def outline(picture: Image, place: Place, controls: Controls, drag: Box | None) -> Image:
    """Return the picture with outlines of the magnified region, the measured ones and a new one.

    Args:
        picture: (H, W, 3) uint8 BGR, of the part of the window above the seek bar.
        place: of the frames in it.
        controls: have the regions.
        drag: region that is being drawn; None: there is none.
    """
    marks = [(each.name, each.box, _bgr(COLOURS[k])) for k, each in enumerate(controls.regions)]
    if controls.region is not None:
        marks.append(("", controls.region, _GREY))
    if drag is not None:
        marks.append(("", drag, _WHITE))
    if not marks:
        return picture
    picture = picture.copy()
    for name, region, colour in marks:
        x, y, w, h = place.box(region)
        cv2.rectangle(picture, (x, y), (x + w - 1, y + h - 1), colour, 1)
        if name:
            ascii_name = name.encode("ascii", "replace").decode()
            cv2.putText(
                picture, ascii_name, (x + 3, y + h - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1,
                cv2.LINE_AA,
            )  # fmt: skip
    return picture


def seek_bar(place: Place, playback: Playback) -> Image:
    """Return the seek bar, (H, W, 3) uint8 BGR: the played part, the position and the times."""
    width, height = place.area[0], place.bar
    picture = np.full((height, width, 3), 24, np.uint8)
    span = max(width - 2 * _MARGIN, 1)

    def across(seconds: float) -> int:
        return _MARGIN + round(span * min(max(seconds / playback.duration, 0.0), 1.0))

    level = height // 4
    start, end = playback.start or 0.0, playback.duration if playback.end is None else playback.end
    cv2.line(picture, (_MARGIN, level), (_MARGIN + span, level), _DIM, 3)
    cv2.line(picture, (across(start), level), (across(end), level), _GREY, 3)
    for limit in (playback.start, playback.end):
        if limit is not None:
            at = across(limit)
            cv2.line(picture, (at, 1), (at, 2 * level - 1), _WHITE, 2)
    at = across(playback.position if playback.target is None else playback.target)
    cv2.circle(picture, (at, level), max(level - 1, 3), _ACCENT, cv2.FILLED, cv2.LINE_AA)
    text = f"{clock(playback.position)} / {clock(playback.duration)}   {speed_text(playback.speed)}"
    text += "" if playback.loop else "   once"
    scale = 0.4 * height / 24
    cv2.putText(
        picture, text, (_MARGIN, height - height // 6), cv2.FONT_HERSHEY_SIMPLEX, scale, _WHITE, 1,
        cv2.LINE_AA,
    )  # fmt: skip
    return picture


def clock(seconds: float) -> str:
    """Return a time as minutes and seconds.

    >>> clock(75.25)
    '1:15.25'
    """
    hundredths = round(100 * seconds)
    return f"{hundredths // 6000}:{hundredths // 100 % 60:02}.{hundredths % 100:02}"


def speed_text(speed: float) -> str:
    """Return a speed as a fraction or a multiple.

    >>> speed_text(0.25), speed_text(2.0)
    ('1/4x', '2x')
    """
    return f"1/{1 / speed:.3g}x" if speed < 1 else f"{speed:.3g}x"


def _bgr(colour: str) -> tuple[int, int, int]:
    """Convert a colour from #rrggbb to (blue, green, red)."""
    red, green, blue = bytes.fromhex(colour[1:])
    return blue, green, red
