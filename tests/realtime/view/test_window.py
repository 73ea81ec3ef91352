"""The OpenCV window, and the check for a display."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rtmag.realtime.controls import Controls, Layout
from rtmag.realtime.errors import SinkUnavailable
from rtmag.realtime.frame import Frame
from rtmag.realtime.opencv import cv2
from rtmag.realtime.view import window as window_module
from rtmag.realtime.view.viewer import Facts
from rtmag.realtime.view.window import WindowSink, check_display

MakeFrames = Callable[..., list[Frame]]


class FakeHighgui:
    """A fake of OpenCV's window functions, for tests without a screen."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.shown: np.ndarray[Any, Any] | None = None
        self.key = -1
        self.visible = 1.0
        for name in ("namedWindow", "resizeWindow", "setWindowProperty", "destroyWindow"):
            monkeypatch.setattr(cv2, name, lambda *rest, n=name: self.calls.append((n, *rest)))
        monkeypatch.setattr(cv2, "imshow", self.imshow)
        monkeypatch.setattr(cv2, "waitKey", lambda *_: -1)
        monkeypatch.setattr(cv2, "waitKeyEx", lambda *_: self.key)
        monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: self.visible)
        self.inside = (-1, -1)  # as if unknown
        monkeypatch.setattr(cv2, "getWindowImageRect", lambda *_: (0, 0, *self.inside))
        monkeypatch.setattr(window_module, "check_display", lambda: None)

    def imshow(self, title: str, image: Any) -> None:
        self.shown = image


@pytest.fixture
def highgui(monkeypatch: pytest.MonkeyPatch) -> FakeHighgui:
    return FakeHighgui(monkeypatch)


class TestWindow:
    @pytest.mark.parametrize("finished", [True, False])
    def test_takes_frames_and_closes_twice(
        self, highgui: FakeHighgui, frames: MakeFrames, finished: bool
    ) -> None:
        window = WindowSink()
        for frame in frames(3):
            window.write(frame)
        window.close(finished=finished)
        window.close(finished=finished)

    def test_closes_without_frames(self, highgui: FakeHighgui) -> None:
        WindowSink().close()

    def test_shows_frames_in_a_window_of_their_size(
        self, highgui: FakeHighgui, frames: MakeFrames
    ) -> None:
        window = WindowSink("title")
        first, second = frames(2)
        window.write(first)
        window.write(second)
        assert highgui.shown is second.image
        assert highgui.calls[0][:2] == ("namedWindow", "title")
        assert highgui.calls[1] == ("resizeWindow", "title", 64, 48)
        window.close()
        assert highgui.calls[-1] == ("destroyWindow", "title")

    def test_keys(self, highgui: FakeHighgui, frames: MakeFrames) -> None:
        window = WindowSink()
        assert window.poll() is None
        window.write(frames(1)[0])
        assert window.poll() is None
        highgui.key = ord("q")
        assert window.poll() == ord("q")

    def test_a_window_closed_by_the_user_stays_closed(
        self, highgui: FakeHighgui, frames: MakeFrames
    ) -> None:
        window = WindowSink()
        window.write(frames(1)[0])
        assert not window.closed
        highgui.visible = 0.0
        highgui.shown = None
        window.write(frames(1)[0])
        assert window.closed
        assert highgui.shown is None
        highgui.visible = 1.0
        assert window.closed
        window.close()
        assert "destroyWindow" not in [call[0] for call in highgui.calls]

    def test_fullscreen(self, highgui: FakeHighgui, frames: MakeFrames) -> None:
        window = WindowSink("title")
        window.toggle_fullscreen()
        window.write(frames(1)[0])
        for state in (cv2.WINDOW_FULLSCREEN, cv2.WINDOW_NORMAL):
            window.toggle_fullscreen()
            assert highgui.calls[-1][2:] == (cv2.WND_PROP_FULLSCREEN, state)

    @pytest.mark.parametrize("inside", [(640, 480), (400, 700), (1920, 1080), (64, 48)])
    @pytest.mark.parametrize("layout", ["magnified", "side"])
    def test_pictures_keep_their_proportions_on_black(
        self, highgui: FakeHighgui, layout: Layout, inside: tuple[int, int]
    ) -> None:
        window = WindowSink("title")
        frame = Frame(np.full((60, 80, 3), 200, np.uint8), 0.0, 0)
        controls = Controls(layout=layout, info=False)
        window.show(frame, frame, controls, Facts())
        highgui.inside = inside
        window.show(frame, frame, controls, Facts())
        assert highgui.shown is not None
        assert highgui.shown.shape == (inside[1], inside[0], 3)
        bright = highgui.shown.min(axis=2) > 60
        rows, columns = (np.flatnonzero(bright.max(axis=axis)) for axis in (1, 0))
        width, height = columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1
        assert width / height == pytest.approx(8 / 3 if layout == "side" else 4 / 3, rel=0.05)
        assert width == inside[0] or height == inside[1]
        assert abs(rows[0] - (inside[1] - 1 - rows[-1])) <= 1, "in the middle"
        highgui.shown = None
        window.write(frame)  # also as a sink without text
        assert highgui.shown is not None
        assert highgui.shown.shape == (inside[1], inside[0], 3)

    def test_text_before_the_first_picture(self, highgui: FakeHighgui, frames: MakeFrames) -> None:
        window = WindowSink("title")
        for _ in range(2):
            window.show_message(Facts(message="waiting for a camera (3 s)"))
        assert highgui.shown is not None
        assert highgui.shown.shape == (480, 640, 3)
        assert 0 < np.count_nonzero(highgui.shown) < 0.1 * highgui.shown.size
        frame = frames(1)[0]
        for _ in range(2):
            window.write(frame)
        sizes = [call[2:] for call in highgui.calls if call[0] == "resizeWindow"]
        assert sizes == [(640, 480), frame.size]

    def test_main_thread_only(self, highgui: FakeHighgui) -> None:
        caught: list[Exception] = []

        def work() -> None:
            try:
                WindowSink()
            except SinkUnavailable as error:
                caught.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert "main thread" in str(caught[0])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="X11 only")
class TestDisplay:
    @pytest.mark.parametrize("display", ["", ":4242", "nonsense", ":x", "localhost:4242"])
    def test_no_display(self, monkeypatch: pytest.MonkeyPatch, display: str) -> None:
        monkeypatch.setenv("DISPLAY", display)
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        with pytest.raises(
            SinkUnavailable,
            match=r"^cannot open a window: no display; use --view web or --view none$",
        ):
            WindowSink()

    def test_qt_needs_x11_on_wayland(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("DISPLAY", raising=False)
        monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
        monkeypatch.setattr(window_module, "_toolkit", lambda: "QT5")
        with pytest.raises(SinkUnavailable, match="no display"):
            check_display()
        monkeypatch.setattr(window_module, "_toolkit", lambda: "GTK3")
        check_display()

    def test_headless_build(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cv2, "getBuildInformation", lambda: "\n  GUI:           NONE\n")
        with pytest.raises(SinkUnavailable, match="this OpenCV was built without windows"):
            check_display()

    def test_a_listening_display_server(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.socket(socket.AF_INET) as server:
            server.bind(("127.0.0.1", 0))
            server.listen()
            number = server.getsockname()[1] - 6000
            monkeypatch.setenv("DISPLAY", f"127.0.0.1:{number}.0")
            check_display()


def _display() -> bool:
    try:
        check_display()
    except SinkUnavailable:
        return False
    return True


@pytest.mark.gui
@pytest.mark.skipif(not _display(), reason="no display: run under xvfb-run")
def test_a_real_window() -> None:
    script = """
import numpy as np
from rtmag.realtime.frame import Frame
from rtmag.realtime.opencv import cv2
from rtmag.realtime.view.window import WindowSink
window = WindowSink("rtmag test")
for index in range(5):
    window.write(Frame(np.full((48, 64, 3), 50 * index, np.uint8), index / 30, index))
    assert window.poll() is None
    assert not window.closed
window.toggle_fullscreen()
window.poll()
window.close()
assert window.closed
other = WindowSink("other")
frame = Frame(np.zeros((48, 64, 3), np.uint8), 0.0, 0)
other.write(frame)
cv2.destroyWindow("other")
cv2.waitKey(1)
other.write(frame)
assert other.closed
other.close()
print("shown")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, env=os.environ
    )
    assert done.stdout == "shown\n", done.stderr
