"""OpenCV window, and a check that the machine can show one."""

import os
import re
import socket
import sys
import threading
import time

import numpy as np

from rtmag.realtime.controls import Controls
from rtmag.realtime.errors import SinkError, SinkUnavailable
from rtmag.realtime.frame import Frame, Image
from rtmag.realtime.log import visible
from rtmag.realtime.opencv import cv2
from rtmag.realtime.sinks.sink import BaseSink
from rtmag.realtime.view.marks import Place, outline, seek_bar
from rtmag.realtime.view.mouse import Mouse
from rtmag.realtime.view.overlay import padded, scaled, write
from rtmag.realtime.view.viewer import Facts, PictureView, draw

_MESSAGE_SIZE = (640, 480)
"""Width and height in pixels of a window that has no picture yet."""

_NO_DISPLAY = "cannot open a window: no display; use --view web or --view none"

_NO_WINDOWS = (
    "cannot open a window: this OpenCV was built without windows; pip uninstall "
    "opencv-python-headless, then pip install --force-reinstall opencv-python; or use --view none"
)


class WindowSink(BaseSink, PictureView):
    """A window that shows the newest frame. Use it from the main thread only.

    Args:
        title: in its frame.
        controls: changed by the mouse, see `Mouse`; None: the mouse does nothing.

    Raises:
        SinkUnavailable: no display, an OpenCV without windows, or not the main thread.
    """

    def __init__(self, title: str = "rtmag", controls: Controls | None = None) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise SinkUnavailable(
                "cannot open a window outside the main thread: open it in the main thread"
            )
        check_display()
        self.title = visible(title)
        self._mouse = None if controls is None else Mouse(controls)
        self._open = self._closed = self._fullscreen = self._waiting = False

    @property
    def closed(self) -> bool:
        """True after the user closed the window, or after `close`."""
        if self._open and not self._visible():
            self._open, self._closed = False, True
        return self._closed

    def _visible(self) -> bool:
        """True if the system shows the window."""
        try:
            return bool(cv2.getWindowProperty(self.title, cv2.WND_PROP_VISIBLE) >= 1)
        except cv2.error:  # raised by some toolkits after the last window was closed
            return False

    def show(self, original: Frame, magnified: Frame, controls: Controls, facts: Facts) -> None:
        """Show a pair of frames, or the last pair again, in the layout of the controls."""
        area, mouse, playback = self._area(), self._mouse, controls.playback
        if area is None or mouse is None:
            self._put(draw(original.image, magnified.image, controls, facts, area))
            return
        place = Place(area, original.size, controls.shown, played=playback is not None)
        mouse.place = place
        picture = draw(original.image, magnified.image, controls, facts, place.inside)
        picture = outline(picture, place, controls, mouse.drawn)
        if playback is not None and place.bar:
            picture = np.vstack([picture, seek_bar(place, playback)])
        self._put(picture)

    def _area(self) -> tuple[int, int] | None:
        """(width, height) of the inside of the window; None before it is open, or if unknown."""
        if not self._open or self._waiting:
            return None
        try:
            width, height = cv2.getWindowImageRect(self.title)[2:]
        except cv2.error:  # raised by some toolkits while the window closes
            return None
        return (width, height) if width > 0 and height > 0 else None

    def write(self, frame: Frame) -> None:
        """Show a frame with its proportions. A closed window is not opened again."""
        self._put(frame.image)

    def _put(self, image: Image) -> None:
        """Show a picture, which is scaled if the window has another size."""
        if self.closed:
            return
        height, width = image.shape[:2]
        try:
            if not self._open:
                self._show_window((width, height))
            elif self._waiting and not self._fullscreen:
                cv2.resizeWindow(self.title, width, height)
            self._waiting = False
            area = self._area()
            if area is not None and area != (width, height):
                image = padded(scaled(image, area), area)
            cv2.imshow(self.title, image)
        except cv2.error as error:
            raise SinkError(
                f"cannot show a frame in the window {self.title!r}; use --view none"
            ) from error

    def show_message(self, facts: Facts) -> None:
        """Show the message on a black picture."""
        picture = write(_black(_MESSAGE_SIZE), [facts.message], corner="middle")
        waiting, self._waiting = self._waiting or not self._open, False
        self.write(Frame(picture, time.monotonic(), 0))
        self._waiting = waiting

    def _show_window(self, size: tuple[int, int]) -> None:
        """Open the window with a width and height in pixels."""
        # The proportions are kept by `write`: the flag for that is not observed when a picture with
        # other proportions follows.
        cv2.namedWindow(
            self.title, cv2.WINDOW_NORMAL | cv2.WINDOW_FREERATIO | cv2.WINDOW_GUI_NORMAL
        )
        cv2.resizeWindow(self.title, *size)
        if self._mouse is not None:
            cv2.setMouseCallback(self.title, self._mouse.handle)
        # Without this, `_visible` would be False until the system draws the window.
        cv2.imshow(self.title, _black(size))
        cv2.waitKey(1)
        self._open = True

    def poll(self) -> int | None:
        """Process window events; returns the code of a pressed key, or None."""
        if not self._open:
            return None
        code = int(cv2.waitKeyEx(1))
        return None if code < 0 else code

    def toggle_fullscreen(self) -> None:
        """Switch full screen on or off."""
        if self._open:
            self._fullscreen = not self._fullscreen
            state = cv2.WINDOW_FULLSCREEN if self._fullscreen else cv2.WINDOW_NORMAL
            cv2.setWindowProperty(self.title, cv2.WND_PROP_FULLSCREEN, state)

    def close(self, *, finished: bool = True) -> None:
        """Close the window."""
        if self._open and not self.closed:
            cv2.destroyWindow(self.title)
            cv2.waitKey(1)
        self._open, self._closed = False, True


def check_display() -> None:
    """Check that a window can be opened. If it cannot, OpenCV would abort the process.

    Raises:
        SinkUnavailable: there is no display, or this OpenCV was built without windows.
    """
    toolkit = _toolkit()
    if toolkit == "NONE":
        raise SinkUnavailable(_NO_WINDOWS)
    if not sys.platform.startswith("linux"):
        return
    # The Qt inside OpenCV supports X11 only; other builds may support Wayland too.
    if not toolkit.startswith("QT") and os.environ.get("WAYLAND_DISPLAY"):
        return
    if not _x11_answers(os.environ.get("DISPLAY", "")):
        raise SinkUnavailable(_NO_DISPLAY)


def _toolkit() -> str:
    """Name of OpenCV's window toolkit in upper case; "NONE" if it was built without one."""
    match = re.search(r"^\s*GUI:\s*(\S+)", cv2.getBuildInformation(), re.MULTILINE)
    return match[1].upper() if match else ""


def _x11_answers(display: str) -> bool:
    """True if an X server answers at an address such as 'host:number.screen'."""
    address = re.fullmatch(r"(?P<host>.*):(?P<number>\d+)(\.\d+)?", display)
    if address is None:
        return False
    host, number = address["host"].rpartition("/")[2], int(address["number"])
    path = f"/tmp/.X11-unix/X{number}"  # noqa: S108 - where X11 servers listen
    local: list[tuple[int, object]] = [(socket.AF_UNIX, path), (socket.AF_UNIX, "\0" + path)]
    remote: list[tuple[int, object]] = [(socket.AF_INET, (host, 6000 + number))]
    return any(_connects(*target) for target in (remote if host not in ("", "unix") else local))


def _connects(family: int, target: object) -> bool:
    """True if a socket of this address family can connect to the target within 2 s."""
    with socket.socket(family) as connection:
        connection.settimeout(2.0)
        try:
            return connection.connect_ex(target) == 0  # type: ignore[arg-type]
        except OSError:  # no such host
            return False


def _black(size: tuple[int, int]) -> Image:
    """Black picture of a width and height in pixels."""
    return np.zeros((size[1], size[0], 3), np.uint8)
