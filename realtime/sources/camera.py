"""Cameras: list them, and read their pictures, each with the time of its grab."""

import re
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rtmag.realtime.errors import OptionError, SourceLost, SourceUnavailable
from rtmag.realtime.frame import Frame, Image
from rtmag.realtime.opencv import cv2, quiet
from rtmag.realtime.rate import RateMeter
from rtmag.realtime.sources.source import BaseSource

NO_CAMERA = (
    "no camera found; try: rtmag demo; Linux: add your user to the group video; "
    "macOS: allow the camera in Settings; Docker: --device /dev/video0"
)
"""Error message if the machine has no camera."""

_DEVICES = Path("/sys/class/video4linux")
"""Folder in which Linux lists its cameras."""

_PROBED = 5
"""Number of indices that are tried on systems without a list of devices."""

_TRIES = 5
"""Attempts to read a picture before the camera counts as lost."""

_FIRST_TRIES = 20
"""The same for the first picture."""

_STALE = 0.2
"""Age in seconds above which the picture that the constructor read is discarded."""

_PAUSE = 0.05
"""Seconds between attempts to read; the first reads of a camera often fail."""

_LOCK_SECONDS = 2.0
"""Seconds that close() waits for a read to end; a camera that hangs is not released."""

_MANUAL = {"linux": 1.0, "win32": 0.25}
"""Value of CAP_PROP_AUTO_EXPOSURE that means manual exposure, per operating system."""


@dataclass(frozen=True, slots=True)
class CameraInfo:
    """Index and name of a camera."""

    index: int
    name: str
    """Name given by the operating system; empty if unknown."""

    def __str__(self) -> str:
        return f"camera {self.index}" + (f" ({self.name})" if self.name else "")


def list_cameras() -> list[CameraInfo]:
    """Return the cameras of this machine by index.

    On systems without a list of devices, the first five indices are tried.
    """
    if sys.platform == "linux":
        infos = [_device_info(device) for device in _DEVICES.glob("video*")]
        return sorted((info for info in infos if info), key=lambda info: info.index)
    return [CameraInfo(index, "") for index in range(_PROBED) if _opens(index)]


class CameraSource(BaseSource):
    """A camera. Read it through LatestFrames, because only its newest frame is of use.

    Args:
        index: index of the camera, as in list_cameras().
        size: requested (width, height) in pixels; the camera selects the nearest one it supports.
        fps: requested frames per second.
        pixel_format: four letters, such as YUYV, which is not compressed. The default MJPG needs
            less USB bandwidth.
        lock_exposure: True to turn off automatic exposure and white balance, whose steps look like
            motion. `refused` names those that the camera refused to turn off.

    Raises:
        OptionError: the pixel format does not have four letters.
        SourceUnavailable: the camera does not exist, is in use, or returns no picture.
    """

    live = True
    refused: tuple[str, ...] = ()

    def __init__(
        self,
        index: int = 0,
        *,
        size: tuple[int, int] | None = None,
        fps: float | None = None,
        pixel_format: str | None = None,
        lock_exposure: bool = False,
    ) -> None:
        self.index = index
        self._rate = RateMeter()
        self._capture = _open(index, size, fps, _fourcc(pixel_format or "MJPG"))
        self.refused = _lock_exposure(self._capture) if lock_exposure else ()
        self._lock = threading.Lock()
        self._closed = False
        first = self._grab(_FIRST_TRIES)
        if first is None:
            self.close()
            raise SourceUnavailable(f"cannot read {_camera_info(index)}: it returns no picture")
        self._first: tuple[Image, float] | None = first
        self._index = 0
        self.size = (first[0].shape[1], first[0].shape[0])
        self.name = str(_camera_info(index))

    @property
    def fps(self) -> float | None:
        """Frames per second measured over the last 30 frames; None while unknown."""
        return self._rate.fps

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames as they arrive; raises SourceLost when there are no more."""
        if self._first and time.monotonic() - self._first[1] > _STALE:
            self._first = None  # outdated, because models were loaded since then
        while not self._closed:
            grabbed, self._first = self._first or self._grab(), None
            if self._closed:
                return
            if grabbed is None:
                raise SourceLost(f"{self.name} is lost; check that it is plugged in")
            self._rate.add(grabbed[1])
            yield Frame(*grabbed, self._index)
            self._index += 1

    def _grab(self, tries: int = _TRIES) -> tuple[Image, float] | None:
        """Return a picture and the time of its grab, or None if all attempts failed."""
        for attempt in range(tries):
            if attempt:
                time.sleep(_PAUSE)
            with self._lock:
                if self._closed:
                    return None
                if self._capture.grab():
                    grabbed_at = time.monotonic()
                    ok, image = self._capture.retrieve()
                    if ok and image is not None and image.size:
                        return _as_bgr(image), self._after_last(grabbed_at)
        return None

    def _after_last(self, time: float) -> float:
        """Return the time, made later than the last one if the clock is too coarse."""
        last = self._rate.last
        return time if last is None or time > last else float(np.nextafter(last, np.inf))

    def close(self) -> None:
        """Free the camera."""
        self._closed = True
        # Releasing a driver that hangs in another thread would crash.
        if self._lock.acquire(timeout=_LOCK_SECONDS):
            self._capture.release()
            self._lock.release()


def _open(index: int, size: tuple[int, int] | None, fps: float | None, fourcc: int) -> Any:
    """Open a camera with the requested format; returns a cv2.VideoCapture."""
    with quiet():
        capture = cv2.VideoCapture(index, _backend())
        if not capture.isOpened():
            capture.release()
            raise SourceUnavailable(_unavailable_reason(index))
        # The format comes first: with raw pictures, cameras offer fewer sizes and rates over USB.
        capture.set(cv2.CAP_PROP_FOURCC, fourcc)
        if size is not None:
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
        if fps is not None:
            capture.set(cv2.CAP_PROP_FPS, fps)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # a longer buffer adds delay
        return capture


def _fourcc(pixel_format: str) -> int:
    if not re.fullmatch(r"[\x21-\x7e]{4}", pixel_format):
        raise OptionError(f"a pixel format has four letters, such as MJPG, got {pixel_format!r}")
    return int(cv2.VideoWriter.fourcc(*pixel_format.upper()))


def _lock_exposure(capture: Any) -> tuple[str, ...]:
    """Turn off automatic functions; returns the names of those that the camera keeps on."""
    manual = _MANUAL.get(sys.platform, 0.0)
    settings = (
        ("automatic exposure", cv2.CAP_PROP_AUTO_EXPOSURE, manual),
        ("automatic white balance", cv2.CAP_PROP_AUTO_WB, 0.0),
    )
    return tuple(
        name
        for name, key, value in settings
        if not (capture.set(key, value) and capture.get(key) == value)
    )


def name_of(index: int) -> str:
    """Return the name of a camera; empty if the operating system does not provide it."""
    return _camera_info(index).name


def current_index(name: str, index: int) -> int:
    """Return the index at which the camera of that name is now; `index` if it is not found."""
    if not name or name_of(index) == name:
        return index
    return next((info.index for info in list_cameras() if info.name == name), index)


def _backend() -> int:
    """Return OpenCV's interface to cameras on this operating system."""
    backends = {"linux": cv2.CAP_V4L2, "win32": cv2.CAP_DSHOW, "darwin": cv2.CAP_AVFOUNDATION}
    return int(backends.get(sys.platform, cv2.CAP_ANY))


def _opens(index: int) -> bool:
    """True if a camera with this index can be opened."""
    with quiet():
        capture = cv2.VideoCapture(index, _backend())
        try:
            return bool(capture.isOpened())
        finally:
            capture.release()


def _unavailable_reason(index: int) -> str:
    """Return the error message for a camera that does not open."""
    cameras = list_cameras()
    if not cameras:
        return NO_CAMERA
    others = f"found: {', '.join(str(info.index) for info in cameras)}"
    if index in (info.index for info in cameras):
        return f"cannot open camera {index}: it is in use, or permission is missing ({others})"
    return f"cannot open camera {index} ({others})"


def _camera_info(index: int) -> CameraInfo:
    info = _device_info(_DEVICES / f"video{index}") if sys.platform == "linux" else None
    return info or CameraInfo(index, "")


def _device_info(device: Path) -> CameraInfo | None:
    """Return the index and name of a Linux device; None if it is not the picture device.

    A camera has several devices: the first one for pictures, others for metadata.
    """
    try:
        if (device / "index").read_text().strip() != "0":
            return None
        name = (device / "name").read_text().strip()
        return CameraInfo(int(device.name.removeprefix("video")), name.split(": ")[0])
    except (OSError, ValueError):
        return None


def _as_bgr(image: Any) -> Image:
    if image.ndim == 2:
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), np.uint8)
    return np.asarray(image, np.uint8)
