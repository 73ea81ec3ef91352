"""The magnified picture as a camera that other programs can open; needs the extra "camera"."""

import sys
from typing import Any

from rtmag.realtime.errors import MissingExtra, SinkError, SinkUnavailable
from rtmag.realtime.frame import Frame
from rtmag.realtime.sinks.sink import BaseSink, letterboxed

FIRST = "first"
"""The device that is taken where none is named."""

_REMEDIES = {
    "linux": "load its driver: sudo modprobe v4l2loopback devices=1 exclusive_caps=1 "
    "card_label=rtmag (from the package v4l2loopback-dkms)",
    "darwin": "install OBS (obsproject.com), start its virtual camera once, close OBS",
    "win32": "install OBS (obsproject.com), whose virtual camera comes with it",
}


class VirtualCameraSink(BaseSink):
    """Sends frames to a virtual camera.

    Args:
        size: (width, height); frames of another size are fitted into it.
        fps: what the camera claims.
        device: its name, such as /dev/video2; the first there is by default.

    Raises:
        MissingExtra: pyvirtualcam is not installed.
        SinkUnavailable: there is no such device; says how to make one.
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
        kind = pyvirtualcam.PixelFormat.BGR
        try:
            self._camera = pyvirtualcam.Camera(*size, fps, fmt=kind, device=device)
        except (RuntimeError, ValueError, OSError) as error:
            named = f"virtual camera {device!r}" if device else "a virtual camera"
            raise SinkUnavailable(f"cannot open {named}: {remedy(sys.platform)}") from error
        self.device = self.name = str(self._camera.device)
        """What it is called by others."""

    def write(self, frame: Frame) -> None:
        """Show one frame to whoever has the camera open."""
        if self._camera is None:
            raise SinkError("cannot send a frame: the virtual camera is closed")
        try:
            self._camera.send(letterboxed(frame.image, self._size))
        except (RuntimeError, OSError) as error:
            raise SinkError(f"cannot send a frame to {self.device}") from error

    def close(self, *, finished: bool = True) -> None:
        """Free the device."""
        camera, self._camera = self._camera, None
        if camera is not None:
            camera.close()


def remedy(platform: str) -> str:
    """How a virtual camera comes to be on an operating system."""
    return _REMEDIES.get(platform, "this operating system has none that pyvirtualcam knows")
