"""Where frames come from: one protocol, one way to open."""

import os
import re
from collections.abc import Iterator
from glob import glob
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from rtmag.realtime.errors import SourceUnavailable
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


def is_pattern(text: str) -> bool:
    """Whether a name may stand for many files."""
    return any(mark in text for mark in "*?[")


def open_source(
    spec: str | int | os.PathLike[str],
    *,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
) -> FrameSource:
    """Open a camera, a video file, a folder or glob of pictures, or the built-in scene.

    Args:
        spec: a camera's number or a part of its name; a path; a glob; or 'test' for the scene.
            Names that look like something else are paths after './'.
        size: (width, height) to ask of a camera or the scene; files keep theirs.
        fps: rate to ask of a camera or the scene, and the rate of pictures in a folder.

    Raises:
        SourceUnavailable: nothing of that name can be opened.
    """
    text = os.fspath(spec) if not isinstance(spec, int) else str(spec)
    if re.fullmatch(r"\d{1,3}", text):
        return _camera(int(text), size, fps)
    if re.match(r"[A-Za-z][\w+.-]*://", text):
        raise SourceUnavailable(
            f"cannot open {_without_password(text)!r}: "
            "network streams are not available in this version"
        )
    if text == "test":
        from rtmag.realtime.scene import SceneSource

        return SceneSource(size=size or (640, 480), fps=fps or 30.0)
    if os.path.lexists(text):
        return _file(Path(text), fps)
    if is_pattern(text):
        return _pictures(text, fps)
    return _camera_named(text, size, fps)


def _file(path: Path, fps: float | None) -> FrameSource:
    if path.is_dir():
        from rtmag.realtime.images import ImageFolderSource

        return ImageFolderSource(path, fps=fps or 30.0)
    from rtmag.realtime.video import VideoSource

    return VideoSource(path)


def _pictures(pattern: str, fps: float | None) -> FrameSource:
    from rtmag.realtime.images import ImageFolderSource, is_picture

    files = [path for path in map(Path, glob(pattern, recursive=True)) if is_picture(path)]  # noqa: PTH207
    if not files:
        raise SourceUnavailable(f"cannot open {pattern!r}: no pictures match")
    return ImageFolderSource(files, fps=fps or 30.0)


def _camera(index: int, size: tuple[int, int] | None, fps: float | None) -> FrameSource:
    from rtmag.realtime.camera import CameraSource

    return CameraSource(index, size=size, fps=fps)


def _camera_named(text: str, size: tuple[int, int] | None, fps: float | None) -> FrameSource:
    from rtmag.realtime.camera import list_cameras

    # A path that does not exist is not a camera's name, and cameras need not be looked for.
    path_like = os.sep in text or re.fullmatch(r"\.[A-Za-z]\w{1,4}", Path(text).suffix)
    cameras = [] if path_like else list_cameras()
    for info in cameras:
        if text and text.lower() in info.name.lower():
            return _camera(info.index, size, fps)
    names = ", ".join(str(info) for info in cameras) or "none"
    raise SourceUnavailable(
        f"cannot open {text!r}: no such file, folder or camera (cameras: {names})"
    )


def _without_password(address: str) -> str:
    """The scheme and host alone: user names, passwords and tokens may be anywhere else."""
    scheme, _, rest = address.partition("://")
    return f"{scheme}://" + ("..." if "@" in rest else re.split("[/?#]", rest)[0])
