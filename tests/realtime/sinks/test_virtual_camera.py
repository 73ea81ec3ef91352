"""Virtual camera: the real library without a device, and frames with a fake one."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rtmag.realtime.errors import MissingExtra, SinkError, SinkUnavailable
from rtmag.realtime.frame import Frame
from rtmag.realtime.sinks.virtual_camera import VirtualCameraSink, remedy
from tests.support.fakes import blank

pyvirtualcam = pytest.importorskip("pyvirtualcam")
MakeFrames = Callable[..., list[Frame]]


class FakeCamera:
    """The part of pyvirtualcam.Camera that the sink uses."""

    made: "list[FakeCamera]" = []  # noqa: RUF012

    def __init__(self, width: int, height: int, fps: float, **options: Any) -> None:
        self.arguments = (width, height, fps, options)
        self.device = "/dev/video9"
        self.sent: list[NDArray[np.uint8]] = []
        self.closed = 0
        self.made.append(self)

    def send(self, picture: NDArray[np.uint8]) -> None:
        assert picture.shape == (self.arguments[1], self.arguments[0], 3)
        self.sent.append(picture)

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeCamera]:
    monkeypatch.setattr(FakeCamera, "made", [])
    monkeypatch.setattr(pyvirtualcam, "Camera", FakeCamera)
    return FakeCamera


def test_without_a_device_the_message_says_what_to_do() -> None:
    with pytest.raises(SinkUnavailable) as caught:
        VirtualCameraSink((64, 48), 30.0, "/dev/video97")
    assert str(caught.value) == f"cannot open virtual camera '/dev/video97': {remedy(sys.platform)}"


@pytest.mark.parametrize(
    ("platform", "text"),
    [
        ("linux", "sudo modprobe v4l2loopback devices=1 exclusive_caps=1"),
        ("darwin", "install OBS"),
        ("win32", "install OBS"),
        ("plan9", "does not support"),
    ],
)
def test_each_operating_system_has_its_remedy(platform: str, text: str) -> None:
    assert text in remedy(platform)


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    with pytest.raises(MissingExtra, match=r"pip install 'rtmag\[camera\]'"):
        VirtualCameraSink((64, 48), 30.0)


def test_frames_are_sent_unchanged(fake: type[FakeCamera], frames: MakeFrames) -> None:
    sink = VirtualCameraSink((64, 48), 30.0)
    for frame in frames(3):
        sink.write(frame)
    sink.write(Frame(blank(7, (32, 48)), 1.0, 3))  # another size is letterboxed
    sink.close()
    sink.close()
    (camera,) = fake.made
    format_ = {"fmt": pyvirtualcam.PixelFormat.BGR, "device": None}
    assert camera.arguments == (64, 48, 30.0, format_)
    assert [int(picture[0, 0, 0]) for picture in camera.sent[:3]] == [20, 37, 54]
    assert camera.sent[3].shape == (48, 64, 3)
    assert camera.closed == 1
    with pytest.raises(SinkError, match="is closed"):
        sink.write(frames(1)[0])


def test_a_failing_device_raises_sink_error(
    fake: type[FakeCamera], frames: MakeFrames, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("device gone")

    sink = VirtualCameraSink((64, 48), 30.0)
    monkeypatch.setattr(FakeCamera, "send", fail)
    with pytest.raises(SinkError, match="cannot send a frame to /dev/video9"):
        sink.write(frames(1)[0])
