"""Where frames come from: one protocol, one way to open. Sources may tell a `status` too."""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from rtmag.realtime.errors import SourceUnavailable
from rtmag.realtime.frame import Frame
from rtmag.realtime.options import MAX_PIXELS
from rtmag.realtime.redaction import redact


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


def is_pattern(text: str) -> bool:
    """Whether a name may stand for many files."""
    return any(mark in text for mark in "*?[")


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


def open_source(
    spec: str | int | os.PathLike[str],
    *,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    wanted: Wanted | None = None,
) -> FrameSource:
    """Open a camera, stream, video file, folder or glob of pictures, the screen, a pipe, the scene.

    Cameras and network streams come back by themselves when they are lost
    (rtmag.realtime.supervisor).

    Args:
        spec: a camera's number or a part of its name; an address; a path; a glob; '-' for standard
            input; 'screen' or 'screen:x,y,w,h'; or 'test' for the scene. Names that look like
            something else are paths after './'.
        size: (width, height) to ask of a camera or the scene; files keep theirs.
        fps: rate to ask of a camera or the scene, and the rate of pictures in a folder.
        wanted: these and more, in place of both.

    Raises:
        SourceUnavailable: nothing of that name can be opened.
    """
    text = os.fspath(spec) if not isinstance(spec, int) else str(spec)
    wanted = wanted or Wanted(size=size, fps=fps)
    size, fps = wanted.size, wanted.fps
    if re.fullmatch(r"\d{1,3}", text):
        return _camera(int(text), wanted)
    if re.match(r"[A-Za-z][\w+.-]*://", text):
        return _address(text, wanted)
    if text == "-":
        return _pipe(wanted)
    if text == "screen" or text.startswith("screen:"):
        from rtmag.realtime.screen import ScreenSource

        return ScreenSource(text, fps=fps or 30.0)
    if text == "test":
        from rtmag.realtime.scene import SceneSource

        return SceneSource(size=size or (640, 480), fps=fps or 30.0)
    if os.path.lexists(text):
        return _file(Path(text), wanted)
    if is_pattern(text):
        return _pictures(text, wanted)
    return _camera_named(text, wanted)


def _file(path: Path, wanted: Wanted) -> FrameSource:
    if path.is_dir():
        from rtmag.realtime.images import ImageFolderSource

        return ImageFolderSource(path, fps=wanted.fps or 30.0, max_pixels=wanted.max_pixels)
    from rtmag.realtime.video import VideoSource

    return VideoSource(path, max_pixels=wanted.max_pixels)


def _pictures(pattern: str, wanted: Wanted) -> FrameSource:
    from rtmag.realtime.images import ImageFolderSource, is_picture

    files = [path for path in map(Path, glob(pattern, recursive=True)) if is_picture(path)]  # noqa: PTH207
    if not files:
        raise SourceUnavailable(f"cannot open {pattern!r}: no pictures match")
    return ImageFolderSource(files, fps=wanted.fps or 30.0, max_pixels=wanted.max_pixels)


def _address(text: str, wanted: Wanted) -> FrameSource:
    from rtmag.realtime.network import NetworkSource
    from rtmag.realtime.patience import Patience
    from rtmag.realtime.supervisor import Supervisor
    from rtmag.realtime.waiting import until_there

    patience = Patience(lost=wanted.timeout)

    def supervised() -> Supervisor:
        return Supervisor(
            lambda: NetworkSource(
                text, timeout=wanted.timeout, max_pixels=wanted.max_pixels, ca=wanted.ca
            ),
            patience=patience,
        )

    return supervised() if wanted.wait is None else until_there(supervised, wanted.wait, patience)


def _pipe(wanted: Wanted) -> FrameSource:
    from rtmag.realtime.standard_input import RawPipe, Y4mPipe

    if wanted.size is None:
        return Y4mPipe(max_pixels=wanted.max_pixels)
    layout = wanted.pixel_format or "bgr24"
    return RawPipe(wanted.size, wanted.fps, layout, max_pixels=wanted.max_pixels)


def _camera(index: int, wanted: Wanted) -> FrameSource:
    from rtmag.realtime.camera import CameraSource, name_of, present_index
    from rtmag.realtime.patience import Patience
    from rtmag.realtime.supervisor import Supervisor

    name = name_of(index)

    def opener() -> FrameSource:
        # A camera that is plugged in again may get another number.
        at = present_index(name, index)
        return CameraSource(
            at,
            size=wanted.size,
            fps=wanted.fps,
            pixel_format=wanted.pixel_format,
            lock_exposure=wanted.lock_exposure,
        )

    return Supervisor(opener, camera=True, patience=Patience(lost=wanted.timeout))


def _camera_named(text: str, wanted: Wanted) -> FrameSource:
    from rtmag.realtime.camera import list_cameras

    # A path that does not exist is not a camera's name, and cameras need not be looked for.
    path_like = os.sep in text or re.fullmatch(r"\.[A-Za-z]\w{1,4}", Path(text).suffix)
    cameras = [] if path_like else list_cameras()
    for info in cameras:
        if text and text.lower() in info.name.lower():
            return _camera(info.index, wanted)
    names = ", ".join(str(info) for info in cameras) or "none"
    raise SourceUnavailable(
        f"cannot open {redact(text)!r}: no such file, folder or camera (cameras: {names})"
    )
