"""The protocol of all sources, their options and their status."""

import math
import re
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol, Self

from rtmag.realtime.errors import OptionError
from rtmag.realtime.frame import Frame, Image
from rtmag.realtime.media.colour import Matrix
from rtmag.realtime.media.image_size import MAX_PIXELS

SourceState = Literal["CONNECTING", "RUNNING", "STALLED", "RECONNECTING", "ENDED", "FAILED"]
"""States of a source. Only live sources that reconnect have others than RUNNING."""

DEFAULT_FPS = 30.0
"""Frames per second of pictures whose rate is not known."""

_TEMPORARY = {
    "CONNECTING": "connecting",
    "STALLED": "no picture",
    "RECONNECTING": "reconnecting",
}
"""Texts for the user about states that end when the source works again."""


@dataclass(frozen=True, slots=True)
class Status:
    """State of a source, since when it lasts, and how often the source failed."""

    state: SourceState = "RUNNING"
    since: float = 0.0
    """Monotonic time in seconds at which the state began; for an outage, time of the last frame."""
    message: str = ""
    """Last error, without credentials; empty if there was none."""
    reconnects: int = 0
    """Number of times the source was opened again."""
    stalls: int = 0
    """Number of times that the state became STALLED."""
    errors: int = 0
    """Number of damaged packets and pictures."""

    def outage(self, now: float | None = None) -> float | None:
        """Return the seconds since the last frame, or None if the source works.

        Args:
            now: monotonic time in seconds; the current time by default.
        """
        if self.state not in _TEMPORARY:
            return None
        return max((time.monotonic() if now is None else now) - self.since, 0.0)

    def alert(self, now: float | None = None) -> str | None:
        """Return a line to draw over the picture, or None if the source works.

        Args:
            now: monotonic time in seconds; the current time by default.

        >>> Status("RECONNECTING", since=100.0).alert(112.3)
        'reconnecting (12 s)'
        """
        seconds = self.outage(now)
        return None if seconds is None else f"{_TEMPORARY[self.state]} ({seconds:.0f} s)"


OnStatus = Callable[[Status], None]
"""Callback for each new status, called from the thread that reads the frames."""


class PolledSource(Protocol):
    """A source that returns its newest frame on request."""

    @property
    def ended(self) -> bool:
        """True if no more frames will come."""
        ...

    def get(self, timeout: float) -> Frame | None:
        """Return the newest frame, or None if none came within `timeout` seconds."""
        ...


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """A frame of a file, whose image is made on request."""

    time: float
    """Seconds; strictly increasing."""
    image: Callable[[], Image | None]
    """Return the image, (H, W, 3) uint8 BGR, or None if it is damaged."""
    tick: float = 0.0
    """Seconds by which the clock of the file rounds `time`."""


class FrameSource(Protocol):
    """An iterator of frames that owns a device or a file; a context manager.

    `BaseSource` has defaults for the members that few sources need.
    """

    name: str
    """Name for the user: 'camera 0 (HD Webcam)', 'clip.mp4'. Never contains credentials."""
    live: bool
    """True if frames arrive even if they are not read; then only the newest one is of use."""
    size: tuple[int, int]
    """(width, height) of the first frame in pixels; later frames may have another size."""
    frames: int | None
    """Estimated number of frames, for progress bars; None if unknown."""
    sample_aspect: Fraction | None
    """Width over height of one pixel; None if it is square or unknown."""
    on_status: OnStatus | None
    """Called with each new status; None: the status is logged."""

    @property
    def fps(self) -> float | None:
        """Frames per second, measured from timestamps where possible; None if unknown."""
        ...

    @property
    def damaged(self) -> int:
        """Number of damaged packets and pictures that were skipped."""
        ...

    @property
    def resumes(self) -> bool:
        """True if it goes on when it is opened again after a loss; a file begins at its start."""
        ...

    @property
    def status(self) -> Status:
        """Current state of the source."""
        ...

    @property
    def refused(self) -> tuple[str, ...]:
        """Names of the requested settings that the device did not accept."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """Facts about a file that affect the result; the name of the source is their subject."""
        ...

    @property
    def polled(self) -> PolledSource | None:
        """This source, if it returns its newest frame on request; None: it must be iterated."""
        ...

    @property
    def stored(self) -> "StoredSource | None":
        """This source, if its frames can be read from any time on; None: only in their order."""
        ...

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames until the end; raises SourceLost if the source fails before that."""
        ...

    def close(self) -> None:
        """Free the device or file. Safe to call twice."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class StoredSource(FrameSource, Protocol):
    """A file whose frames can be read from any time on."""

    start: float
    """Time of the first frame in seconds."""
    seconds: float
    """Seconds from the first frame to the end of the last."""
    highest_fps: float | None
    """Frames per second of the fastest part of about a second; None if unknown."""

    @property
    def seekable(self) -> bool:
        """False if `read_from` decodes all frames from the first one on."""
        ...

    def read_from(self, time: float) -> Generator[StoredFrame | None, None, None]:
        """Yield the frame that is shown at this time, or the first one, and all later ones.

        For each frame that is decoded before these, None is yielded.

        Raises:
            SourceLost: the file is damaged at its end.
            SourceUnavailable: the file cannot be opened any more.
        """
        ...


class Closeable:
    """A context manager that calls close() on exit."""

    def close(self) -> None:
        """Free all resources. Safe to call twice."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class BaseSource(Closeable):
    """Defaults of a FrameSource: length unknown, no damage, always running, read by iteration."""

    frames: int | None = None
    sample_aspect: Fraction | None = None
    on_status: OnStatus | None = None
    notes: tuple[str, ...] = ()

    @property
    def damaged(self) -> int:
        """Number of damaged packets and pictures that were skipped."""
        return 0

    @property
    def resumes(self) -> bool:
        """True if it goes on when it is opened again after a loss; a file begins at its start."""
        return True

    @property
    def status(self) -> Status:
        """Current state of the source."""
        return Status(errors=self.damaged)

    @property
    def refused(self) -> tuple[str, ...]:
        """Names of the requested settings that the device did not accept."""
        return ()

    @property
    def polled(self) -> PolledSource | None:
        """This source, if it returns its newest frame on request; None: it must be iterated."""
        return None

    @property
    def stored(self) -> StoredSource | None:
        """This source, if its frames can be read from any time on; None: only in their order."""
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """Options for opening a source; those for other kinds of source are ignored."""

    size: tuple[int, int] | None = None
    """(width, height) in pixels, for cameras, the test scene and raw pictures from a pipe."""
    fps: float | None = None
    """Frames per second, for cameras, the test scene, the screen, pipes, image folders and files
    without timestamps.

    For an address that gives one picture for each request: the largest number of requests a second.
    """
    pixel_format: str | None = None
    """For cameras, four letters such as MJPG or YUYV; for pipes, bgr24 or rgb24."""
    matrix: Matrix | None = None
    """Matrix between RGB and YUV of Y4M and of files that do not state it; None: BT.601."""
    deinterlace: bool = True
    """True to deinterlace frames of video files that are marked as interlaced."""
    lock_exposure: bool = False
    """True to turn off the automatic exposure and white balance of a camera."""
    timeout: float = 5.0
    """Seconds without a picture after which a camera or a stream is opened again."""
    ca: Path | None = None
    """PEM file of the certificates that verify the server of an encrypted stream."""
    max_pixels: int = MAX_PIXELS
    """Larger pictures are refused before they are decoded."""
    note: Callable[[str], None] | None = None
    """Called with messages of a stream for the user, from any thread; None: they are logged."""
    wait: Callable[[str], None] | None = None
    """Called with the reason while a stream is not available yet; None: raise an error instead."""


def check_rate(fps: float | None) -> None:
    """Check a frame rate in frames/s; None is allowed.

    Raises:
        OptionError: it is not a positive number.
    """
    if fps is not None and not (fps > 0 and math.isfinite(fps)):
        raise OptionError(f"fps must be a positive number, got {fps = }")


def scheme_of(text: str) -> str | None:
    """Return the scheme of an address in lower case; None if the text is not an address."""
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", text)
    return match[1].lower() if match else None
