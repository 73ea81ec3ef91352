"""Cameras as sources: opened for short delay, timed at the grab, lost when they are unplugged."""

import re
import sys
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rtmag.realtime.errors import OptionError, SourceLost, SourceUnavailable
from rtmag.realtime.frame import Frame, Image
from rtmag.realtime.media.timestamps import RateMeter
from rtmag.realtime.opencv import cv2
from rtmag.realtime.sources.source import BaseSource

NO_CAMERA = (
    "no camera found; try: rtmag demo; Linux: add your user to group video; "
    "macOS: allow the camera in Settings; Docker: --device /dev/video0"
)

_DEVICES = Path("/sys/class/video4linux")

_PROBED = 5
"""How many indices are tried where devices cannot be listed."""

_TRIES = 5

_FIRST_TRIES = 20

_STALE = 0.2
"""Seconds after which the picture that opening took is not the present any more."""

_PAUSE = 0.05
"""Seconds between tries: a reading may fail, above all the first ones."""

_LOCK_SECONDS = 2.0
"""Seconds to wait for a reading to end before the camera is left behind."""

_MANUAL = {"linux": 1.0, "win32": 0.25}
"""Manual exposure, in the numbers of each system."""


@dataclass(frozen=True, slots=True)
class CameraInfo:
    """A camera that can be opened."""

    index: int
    name: str
    """What the system calls it; empty where it does not say."""

    def __str__(self) -> str:
        return f"camera {self.index}" + (f" ({self.name})" if self.name else "")


def list_cameras() -> list[CameraInfo]:
    """The cameras of this machine, by index; without a list of devices the first five are tried."""
    if sys.platform == "linux":
        found = [_described(device) for device in _DEVICES.glob("video*")]
        return sorted((info for info in found if info), key=lambda info: info.index)
    return [CameraInfo(index, "") for index in range(_PROBED) if _opens(index)]


class CameraSource(BaseSource):
    """A camera. The newest frame counts: read it through LatestFrames.

    Args:
        index: of the camera, as list_cameras() tells it.
        size: (width, height) to ask for; cameras choose the nearest they have.
        fps: rate to ask for.
        pixel_format: four letters, such as YUYV for pictures without loss; MJPG, which fits through
            USB, unless given.
        lock_exposure: turn automatic exposure and white balance off, whose steps look like motion;
            `refused` tells what the camera does not let us.

    Raises:
        OptionError: a pixel format is not of four letters.
        SourceUnavailable: there is no such camera, it is busy, or it gives no picture.
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
        self.refused = _lock(self._capture) if lock_exposure else ()
        self._lock = threading.Lock()
        self._closed = False
        first = self._grab(_FIRST_TRIES)
        if first is None:
            self.close()
            raise SourceUnavailable(f"cannot read from {_named(index)}: it gives no picture")
        self._first: tuple[Image, float] | None = first
        self._index = 0
        self.size = (first[0].shape[1], first[0].shape[0])
        self.name = _named(index)

    @property
    def fps(self) -> float | None:
        """As measured over the last 30 frames; what cameras claim is not believed."""
        return self._rate.fps

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames as they come; raises SourceLost when no more do."""
        if self._first and time.monotonic() - self._first[1] > _STALE:
            self._first = None  # models were loaded meanwhile; nobody wants to see that moment
        while not self._closed:
            grabbed, self._first = self._first or self._grab(), None
            if self._closed:
                return
            if grabbed is None:
                raise SourceLost(f"{self.name} is lost; is it unplugged?")
            self._rate.add(grabbed[1])
            yield Frame(*grabbed, self._index)
            self._index += 1

    def _grab(self, tries: int = _TRIES) -> tuple[Image, float] | None:
        """A picture and the moment it was taken, or None when several tries gave none."""
        for attempt in range(tries):
            if attempt:
                time.sleep(_PAUSE)
            with self._lock:
                if self._closed:
                    return None
                if self._capture.grab():
                    moment = time.monotonic()
                    good, image = self._capture.retrieve()
                    if good and image is not None and image.size:
                        return _as_bgr(image), self._later(moment)
        return None

    def _later(self, moment: float) -> float:
        """The moment, or just after the last one where the clock is too coarse to part them."""
        last = self._rate.last
        return moment if last is None or moment > last else float(np.nextafter(last, np.inf))

    def close(self) -> None:
        """Free the camera."""
        self._closed = True
        # A driver that hangs in another thread cannot be freed without a crash.
        if self._lock.acquire(timeout=_LOCK_SECONDS):
            self._capture.release()
            self._lock.release()


def _open(index: int, size: tuple[int, int] | None, fps: float | None, fourcc: int) -> Any:
    with _quiet():
        capture = cv2.VideoCapture(index, _backend())
        if not capture.isOpened():
            capture.release()
            raise SourceUnavailable(_why_closed(index))
        # The order counts: raw pictures are too large for USB, and the buffer is the delay.
        capture.set(cv2.CAP_PROP_FOURCC, fourcc)
        if size is not None:
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
        if fps is not None:
            capture.set(cv2.CAP_PROP_FPS, fps)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        return capture


def _fourcc(pixel_format: str) -> int:
    if not re.fullmatch(r"[\x21-\x7e]{4}", pixel_format):
        raise OptionError(f"a pixel format has four letters, as MJPG or YUYV, got {pixel_format!r}")
    return int(cv2.VideoWriter.fourcc(*pixel_format.upper()))


def _lock(capture: Any) -> tuple[str, ...]:
    """Stop what a camera does by itself; returns what it does not let us stop."""
    manual = _MANUAL.get(sys.platform, 0.0)
    asked = (
        ("automatic exposure", cv2.CAP_PROP_AUTO_EXPOSURE, manual),
        ("automatic white balance", cv2.CAP_PROP_AUTO_WB, 0.0),
    )
    return tuple(
        name
        for name, key, value in asked
        if not (capture.set(key, value) and capture.get(key) == value)
    )


def name_of(index: int) -> str:
    """What the system calls a camera; empty where it does not say."""
    info = _described(_DEVICES / f"video{index}") if sys.platform == "linux" else None
    return info.name if info else ""


def current_index(name: str, index: int) -> int:
    """Where the camera of that name is now; `index` where names do not tell."""
    if not name or name_of(index) == name:
        return index
    return next((info.index for info in list_cameras() if info.name == name), index)


def _backend() -> int:
    backends = {"linux": cv2.CAP_V4L2, "win32": cv2.CAP_DSHOW, "darwin": cv2.CAP_AVFOUNDATION}
    return int(backends.get(sys.platform, cv2.CAP_ANY))


def _opens(index: int) -> bool:
    with _quiet():
        capture = cv2.VideoCapture(index, _backend())
        try:
            return bool(capture.isOpened())
        finally:
            capture.release()


def _why_closed(index: int) -> str:
    cameras = list_cameras()
    if not cameras:
        return NO_CAMERA
    found = f"found: {', '.join(str(info.index) for info in cameras)}"
    if index in (info.index for info in cameras):
        return f"cannot open camera {index}: it is in use, or permission is missing ({found})"
    return f"cannot open camera {index} ({found})"


def _named(index: int) -> str:
    info = _described(_DEVICES / f"video{index}") if sys.platform == "linux" else None
    return str(info or CameraInfo(index, ""))


def _described(device: Path) -> CameraInfo | None:
    """What Linux says of a device; None when it gives no pictures.

    A camera has several devices, one for its pictures (the first) and others for its data.
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


@contextmanager
def _quiet() -> Generator[None, None, None]:
    """Keep OpenCV from writing its own lines about a camera that does not open."""
    logging = cv2.utils.logging
    level = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(level)
