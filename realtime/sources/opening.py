"""Open a source by its name: find the kind of source that the name refers to."""

import math
import os
import re
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING

from rtmag.realtime.errors import SourceUnavailable
from rtmag.realtime.log import protect
from rtmag.realtime.sources.source import FrameSource, SourceOptions, scheme_of

if TYPE_CHECKING:
    from rtmag.realtime.sources.video_file import VideoSource

_NUMBER = re.compile(r"%0?(\d*)d")
"""A number in the names of pictures, as FFmpeg's patterns have it: %d, %3d or %03d."""


def is_pattern(text: str) -> bool:
    """True if a name may be a glob pattern, or one with a number such as f%03d.png."""
    return any(mark in text for mark in "*?[") or _NUMBER.search(text) is not None


def matching_files(pattern: str) -> list[Path]:
    """Return the files that match a pattern, in no particular order.

    In a pattern with a number such as f%03d.png, the characters *?[ have no special meaning.
    """
    if _NUMBER.search(pattern) is None:
        return list(map(Path, glob(pattern, recursive=True)))  # noqa: PTH207
    folder, name = os.path.split(pattern)
    parts = _NUMBER.split(name)
    expression = re.escape(parts[0])
    for digits, text in zip(parts[1::2], parts[2::2], strict=True):
        expression += rf"\d{{{digits or 1},}}" + re.escape(text)
    try:
        return [file for file in Path(folder).iterdir() if re.fullmatch(expression, file.name)]
    except OSError:
        return []


def open_source(
    spec: str | int | os.PathLike[str],
    *,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    options: SourceOptions | None = None,
) -> FrameSource:
    """Open a camera, stream, video file, pictures, the screen, standard input or the test scene.

    Cameras and network streams reconnect automatically when they are lost
    (rtmag.realtime.sources.reconnecting).

    Args:
        spec: a camera's number or a part of its name; the address of a stream; a path; a pattern
            of pictures such as f*.png or f%03d.png; '-' for standard input; 'screen' or
            'screen:x,y,w,h'; or 'test' for the built-in scene. A path that looks like another kind
            of source must start with './'.
        size: requested (width, height) in pixels of a camera or the scene; ignored for files.
        fps: requested frames per second of a camera or the scene, or rate of pictures in a folder.
        options: all options; replaces `size` and `fps`.

    Raises:
        SourceUnavailable: no source of this name can be opened.
    """
    text = os.fspath(spec) if not isinstance(spec, int) else str(spec)
    options = options or SourceOptions(size=size, fps=fps)
    size, fps = options.size, options.fps
    if re.fullmatch(r"\d{1,3}", text):
        return _camera(int(text), options)
    if scheme_of(text) is not None:
        return _stream(text, options)
    if text == "-":
        return _pipe(options)
    if text == "screen" or text.startswith("screen:"):
        from rtmag.realtime.sources.screen import ScreenSource

        return ScreenSource(text, fps=fps or 30.0)
    if text == "test":
        from rtmag.realtime.sources.scene.scene import SceneSource

        return SceneSource(size=size or (640, 480), fps=fps or 30.0)
    if os.path.lexists(text):
        return _file(Path(text), options)
    if is_pattern(text):
        return _pictures(text, options)
    return _camera_by_name(text, options)


def _file(path: Path, options: SourceOptions) -> FrameSource:
    """Open a video file, a folder of pictures or a TIFF stack."""
    from rtmag.realtime.sources.image_folder import ImageFolderSource, is_stack

    if path.is_dir() or is_stack(path):
        files = path if path.is_dir() else [path]
        return ImageFolderSource(files, fps=options.fps, max_pixels=options.max_pixels)
    return open_video(path, options)


def open_video(path: Path, options: SourceOptions) -> "VideoSource":
    """Open a video file.

    Raises:
        SourceUnavailable: it is missing or not a readable video.
    """
    from rtmag.realtime.sources.video_file import VideoSource

    return VideoSource(
        path,
        max_pixels=options.max_pixels,
        fps=options.fps,
        matrix=options.matrix,
        deinterlace=options.deinterlace,
    )


def _pictures(pattern: str, options: SourceOptions) -> FrameSource:
    """Open the pictures that match a glob pattern."""
    from rtmag.realtime.sources.image_folder import ImageFolderSource, is_picture

    files = [path for path in matching_files(pattern) if is_picture(path)]
    if not files:
        raise SourceUnavailable(
            f"cannot open {pattern!r}: no file that can be read matches this pattern"
        )
    return ImageFolderSource(files, fps=options.fps, max_pixels=options.max_pixels)


def _stream(address: str, options: SourceOptions) -> FrameSource:
    """Open a network stream that reconnects; with `options.wait`, wait until it is available."""
    from rtmag.realtime.sources.network import Learned, NetworkSource
    from rtmag.realtime.sources.network_container import STILLS_PER_SECOND
    from rtmag.realtime.sources.reconnecting import ReconnectingSource
    from rtmag.realtime.sources.retry import RetryPolicy, wait_until_available

    policy = RetryPolicy(reconnect_after=options.timeout, opening_factor=math.inf)
    learned = Learned()

    def connect() -> NetworkSource:
        return NetworkSource(
            address,
            timeout=options.timeout,
            max_pixels=options.max_pixels,
            ca=options.ca,
            stills_per_second=options.fps or STILLS_PER_SECOND,
            note=options.note,
            learned=learned,
        )

    def opener() -> ReconnectingSource:
        return ReconnectingSource(connect, policy=policy)

    return opener() if options.wait is None else wait_until_available(opener, options.wait, policy)


def _pipe(options: SourceOptions) -> FrameSource:
    """Open standard input: raw pictures if a size is given, else Y4M."""
    from rtmag.realtime.sources.pipe import RawPipe, Y4mPipe

    if options.size is None:
        return Y4mPipe(max_pixels=options.max_pixels, matrix=options.matrix or "bt601")
    pixel_format = options.pixel_format or "bgr24"
    return RawPipe(options.size, options.fps, pixel_format, max_pixels=options.max_pixels)


def _camera(index: int, options: SourceOptions) -> FrameSource:
    """Open a camera that reconnects, also at another index."""
    from rtmag.realtime.sources.camera import CameraSource, current_index, name_of
    from rtmag.realtime.sources.reconnecting import ReconnectingSource
    from rtmag.realtime.sources.retry import RetryPolicy

    name = name_of(index)

    def opener() -> FrameSource:
        # A camera that was unplugged and plugged in again may have another index.
        return CameraSource(
            current_index(name, index),
            size=options.size,
            fps=options.fps,
            pixel_format=options.pixel_format,
            lock_exposure=options.lock_exposure,
        )

    policy = RetryPolicy(reconnect_after=options.timeout)
    return ReconnectingSource(opener, camera=True, policy=policy)


def _camera_by_name(text: str, options: SourceOptions) -> FrameSource:
    """Open the first camera whose name contains the text."""
    from rtmag.realtime.sources.camera import list_cameras

    # Listing cameras is slow, so it is skipped for text that is clearly a path.
    path_like = os.sep in text or re.fullmatch(r"\.[A-Za-z]\w{1,4}", Path(text).suffix)
    cameras = [] if path_like else list_cameras()
    for info in cameras:
        if text and text.lower() in info.name.lower():
            return _camera(info.index, options)
    names = ", ".join(str(info) for info in cameras) or "none"
    raise SourceUnavailable(
        f"cannot open {protect(text)!r}: no such file, folder or camera (cameras: {names}); "
        "a network address begins with rtsp://, http:// or the like"
    )
