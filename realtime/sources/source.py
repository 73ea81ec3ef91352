"""Where frames come from: one protocol, one way to open. Sources may tell a `status` too."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol, Self, runtime_checkable

from rtmag.realtime.frame import Frame
from rtmag.realtime.media.image_size import MAX_PIXELS

State = Literal["CONNECTING", "RUNNING", "STALLED", "RECONNECTING", "ENDED", "FAILED"]

_TOLD = {"CONNECTING": "connecting", "STALLED": "no picture", "RECONNECTING": "reconnecting"}
"""What a person reads of the states that may pass."""


@dataclass(frozen=True, slots=True)
class Status:
    """The state of a source, since when, and what it went through."""

    state: State = "RUNNING"
    since: float = 0.0
    """Monotonic time at which the state began; of an outage, its last picture."""
    words: str = ""
    """What went wrong last, without credentials; empty when nothing did."""
    reconnects: int = 0
    """How many times it was opened again."""
    stalls: int = 0
    """How many times no picture came for a while."""
    errors: int = 0
    """Damaged packets and pictures."""

    def told(self, now: float | None = None) -> str | None:
        """A line to write over the picture, such as 'reconnecting (12 s)'; None when all is well.

        >>> Status("RECONNECTING", since=100.0).told(112.3)
        'reconnecting (12 s)'
        """
        if self.state not in _TOLD:
            return None
        now = time.monotonic() if now is None else now
        return f"{_TOLD[self.state]} ({max(now - self.since, 0):.0f} s)"


def status_of(source: object) -> Status:
    """The status of any source; one that tells none is running."""
    status = getattr(source, "status", None)
    return status if isinstance(status, Status) else Status()


class Closing:
    """A context manager that calls close() at the end."""

    def close(self) -> None:
        """Free what is held. Safe to call twice."""
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


class FrameSource(Protocol):
    """An iterator of frames that owns a device or a file; a context manager."""

    name: str
    """What a person would call it: 'camera 0 (HD Webcam)', 'clip.mp4'. Never holds credentials."""
    live: bool
    """True when frames keep coming whether or not they are taken; then the newest counts."""
    size: tuple[int, int]
    """(width, height) of the first frame; each frame says its own."""
    frames: int | None
    """How many frames there will be, None when unknown. An estimate, for progress only."""

    @property
    def fps(self) -> float | None:
        """Frames per second as measured from timestamps where that is possible, else None."""
        ...

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames until the end; raises SourceLost when the source fails midway."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked of a source, where it is of a kind that can be asked."""

    size: tuple[int, int] | None = None
    """(width, height) of a camera, the scene, or raw pictures from a pipe."""
    fps: float | None = None
    """Of a camera, the scene, the screen, a pipe, or pictures in a folder."""
    pixel_format: str | None = None
    """Of a camera, such as MJPG or YUYV; of a pipe: bgr24 or rgb24."""
    lock_exposure: bool = False
    """Whether a camera's exposure and white balance stay as they are."""
    timeout: float = 5.0
    """Seconds without a picture after which a camera or a stream is opened again."""
    ca: Path | None = None
    """Certificates by which the server of an encrypted stream must be known."""
    max_pixels: int = MAX_PIXELS
    """Of a file, folder or glob: larger pictures are refused before they are decoded."""
    wait: Callable[[str], None] | None = None
    """A stream that is not there yet is waited for, and this told why; None: it is refused."""


@runtime_checkable
class Polled(Protocol):
    """A source that gives its newest frame when asked, and so needs no LatestFrames."""

    @property
    def ended(self) -> bool:
        """True once no frame will come."""
        ...

    def get(self, timeout: float) -> Frame | None:
        """The newest frame, or None when none came in time."""
        ...
