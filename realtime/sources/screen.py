"""Screen capture as a source; requires the extra `screen`."""

import re
import threading
import time
from collections.abc import Iterator

import numpy as np

from rtmag.realtime.errors import MissingExtra, SourceLost, SourceUnavailable
from rtmag.realtime.frame import Frame, Image
from rtmag.realtime.opencv import cv2
from rtmag.realtime.sources.source import BaseSource

PATTERN = re.compile(r"screen(:(\d+),(\d+),(\d+),(\d+))?")
"""`screen` is the first monitor, `screen:x,y,w,h` a part of it in pixels."""


class ScreenSource(BaseSource):
    """Pictures of the first monitor, or of a part of it.

    Args:
        spec: `screen` or `screen:x,y,w,h`.
        fps: pictures per second; fewer if the system is slower.

    Raises:
        MissingExtra: mss is not installed.
        SourceUnavailable: there is no screen, or the part is outside of it.
    """

    live = True

    def __init__(self, spec: str = "screen", *, fps: float = 30.0) -> None:
        try:
            import mss
        except ImportError as error:
            raise MissingExtra("the screen needs mss: pip install 'rtmag[screen]'") from error
        self.name = spec
        self.fps: float | None = fps
        self._stop = threading.Event()
        self._errors = (mss.exception.ScreenShotError, OSError, ValueError, IndexError)
        self._open = mss.MSS
        try:
            with self._open() as screen:
                self._area = _area(spec, screen.monitors[1])
                first = np.asarray(screen.grab(self._area))
        except self._errors as error:
            raise SourceUnavailable(f"cannot capture {spec!r}: there is no screen") from error
        self.size = (first.shape[1], first.shape[0])

    def __iter__(self) -> Iterator[Frame]:
        """Yield pictures at the requested rate, or at a lower one if capturing takes longer."""
        if self._stop.is_set():
            return
        step = 1 / (self.fps or 30.0)
        index = 0
        try:
            # Opened here, because the screen may be used from one thread only.
            with self._open() as screen:
                due = time.monotonic()
                while not self._stop.wait(max(due - time.monotonic(), 0)):
                    taken_at = time.monotonic()
                    yield Frame(_bgr(screen.grab(self._area)), taken_at, index)
                    index, due = index + 1, max(due + step, taken_at)
        except self._errors as error:
            raise SourceLost(f"{self.name} is lost") from error

    def close(self) -> None:
        """End the iteration."""
        self._stop.set()


def _area(spec: str, monitor: dict[str, int]) -> dict[str, int]:
    """Return the part of the monitor that `spec` names, as mss expects it, in pixels."""
    match = PATTERN.fullmatch(spec)
    if match is None:
        raise SourceUnavailable(f"a part of the screen is written screen:x,y,w,h, got {spec!r}")
    if match[1] is None:
        return dict(monitor)
    x, y, width, height = (int(number) for number in match.groups()[1:])
    if not (width and height and x + width <= monitor["width"] and y + height <= monitor["height"]):
        size = f"{monitor['width']}x{monitor['height']}"
        raise SourceUnavailable(f"cannot capture {spec!r}: the screen is {size}")
    left, top = monitor["left"] + x, monitor["top"] + y
    return {"left": left, "top": top, "width": width, "height": height}


def _bgr(shot: object) -> Image:
    return np.asarray(cv2.cvtColor(np.asarray(shot), cv2.COLOR_BGRA2BGR), np.uint8)
