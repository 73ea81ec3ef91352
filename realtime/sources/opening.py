"""Where frames come from: one protocol, one way to open. Sources may tell a `status` too."""

import os
import re
from glob import glob
from pathlib import Path

from rtmag.realtime.errors import SourceUnavailable
from rtmag.realtime.log import redact
from rtmag.realtime.sources.source import FrameSource, Wanted


def is_pattern(text: str) -> bool:
    """Whether a name may stand for many files."""
    return any(mark in text for mark in "*?[")


def open_source(
    spec: str | int | os.PathLike[str],
    *,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    wanted: Wanted | None = None,
) -> FrameSource:
    """Open a camera, stream, video file, folder or glob of pictures, the screen, a pipe, the scene.

    Cameras and network streams come back by themselves when they are lost
    (rtmag.realtime.sources.reconnecting).

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
        from rtmag.realtime.sources.screen import ScreenSource

        return ScreenSource(text, fps=fps or 30.0)
    if text == "test":
        from rtmag.realtime.sources.scene.scene import SceneSource

        return SceneSource(size=size or (640, 480), fps=fps or 30.0)
    if os.path.lexists(text):
        return _file(Path(text), wanted)
    if is_pattern(text):
        return _pictures(text, wanted)
    return _camera_named(text, wanted)


def _file(path: Path, wanted: Wanted) -> FrameSource:
    if path.is_dir():
        from rtmag.realtime.sources.image_folder import ImageFolderSource

        return ImageFolderSource(path, fps=wanted.fps or 30.0, max_pixels=wanted.max_pixels)
    from rtmag.realtime.sources.video_file import VideoSource

    return VideoSource(path, max_pixels=wanted.max_pixels)


def _pictures(pattern: str, wanted: Wanted) -> FrameSource:
    from rtmag.realtime.sources.image_folder import ImageFolderSource, is_picture

    files = [path for path in map(Path, glob(pattern, recursive=True)) if is_picture(path)]  # noqa: PTH207
    if not files:
        raise SourceUnavailable(f"cannot open {pattern!r}: no pictures match")
    return ImageFolderSource(files, fps=wanted.fps or 30.0, max_pixels=wanted.max_pixels)


def _address(text: str, wanted: Wanted) -> FrameSource:
    from rtmag.realtime.sources.network import NetworkSource
    from rtmag.realtime.sources.reconnecting import Supervisor
    from rtmag.realtime.sources.retry import Patience, until_there

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
    from rtmag.realtime.sources.pipe import RawPipe, Y4mPipe

    if wanted.size is None:
        return Y4mPipe(max_pixels=wanted.max_pixels)
    layout = wanted.pixel_format or "bgr24"
    return RawPipe(wanted.size, wanted.fps, layout, max_pixels=wanted.max_pixels)


def _camera(index: int, wanted: Wanted) -> FrameSource:
    from rtmag.realtime.sources.camera import CameraSource, name_of, present_index
    from rtmag.realtime.sources.reconnecting import Supervisor
    from rtmag.realtime.sources.retry import Patience

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
    from rtmag.realtime.sources.camera import list_cameras

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
