"""Virtual camera: other programs see the frames as a camera; requires the extra `camera`."""

import sys
from typing import Any

from rtmag.realtime.errors import MissingExtra, SinkError, SinkUnavailable
from rtmag.realtime.frame import Frame
from rtmag.realtime.sinks.sink import BaseSink, letterbox

FIRST = "first"
"""Value of `--virtual-camera` that means the first virtual camera."""

_REMEDIES = {
    "linux": "load the driver: sudo modprobe v4l2loopback devices=1 exclusive_caps=1 "
    "card_label=rtmag (from the package v4l2loopback-dkms)",
    "darwin": "install OBS (obsproject.com), start its virtual camera once, close OBS",
    "win32": "install OBS (obsproject.com), which contains a virtual camera",
}
"""Advice on creating a virtual camera, by `sys.platform`."""


class VirtualCameraSink(BaseSink):
    """Sends frames to a virtual camera.

    Args:
        size: (width, height) in pixels; frames of another size are letterboxed.
        fps: frames per second that the camera reports.
        device: name such as /dev/video2; by default the first virtual camera.

    Raises:
        MissingExtra: pyvirtualcam is not installed.
        SinkUnavailable: the device does not exist; the message says how to create one.
    """

    def __init__(self, size: tuple[int, int], fps: float, device: str | None = None) -> None:
        try:
            import pyvirtualcam
        except ImportError as error:
            raise MissingExtra(
                "--virtual-camera needs pyvirtualcam: pip install 'rtmag[camera]'"
            ) from error
        self._size = size
        self._camera: Any = None
        pixel_format = pyvirtualcam.PixelFormat.BGR
        try:
            self._camera = pyvirtualcam.Camera(*size, fps, fmt=pixel_format, device=device)
        except (RuntimeError, ValueError, OSError) as error:
            target = f"virtual camera {device!r}" if device else "a virtual camera"
            raise SinkUnavailable(f"cannot open {target}: {remedy(sys.platform)}") from error
        self.device = self.name = str(self._camera.device)
        """Device name, as other programs list it."""

    def write(self, frame: Frame) -> None:
        """Send one frame to the programs that have the camera open."""
        if self._camera is None:
            raise SinkError("cannot send a frame: the virtual camera is closed")
        try:
            self._camera.send(letterbox(frame.image, self._size))
        except (RuntimeError, OSError) as error:
            raise SinkError(f"cannot send a frame to {self.device}") from error

    def close(self, *, finished: bool = True) -> None:
        """Release the device."""
        camera, self._camera = self._camera, None
        if camera is not None:
            camera.close()


def remedy(platform: str) -> str:
    """Return advice on creating a virtual camera on a platform, as `sys.platform` names it."""
    return _REMEDIES.get(platform, "pyvirtualcam does not support this operating system")
