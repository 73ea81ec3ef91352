"""Where frames come from: one protocol, one way to open."""

from collections.abc import Iterator
from types import TracebackType
from typing import Protocol, Self

from rtmag.realtime.frame import Frame


class FrameSource(Protocol):
    """An iterator of frames that owns a device or a file; a context manager."""

    name: str
    """What a person would call it: 'camera 0 (HD Webcam)', 'clip.mp4'. Never holds credentials."""
    live: bool
    """True when frames keep coming whether or not they are taken; then the newest counts."""
    size: tuple[int, int]
    """(width, height) of the first frame; each frame says its own."""
    fps: float | None
    """Frames per second as measured from timestamps where that is possible, else None."""
    frames: int | None
    """How many frames there will be, None when unknown. An estimate, for progress only."""

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
