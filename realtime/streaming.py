"""Magnified or measured video in one line: `for frame in stream(0, alpha=20): ...`."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from rtmag.realtime.engines.loading import load_engine
from rtmag.realtime.errors import OptionError
from rtmag.realtime.filters import Filter
from rtmag.realtime.frame import Frame
from rtmag.realtime.magnifier import Magnifier
from rtmag.realtime.presets import LIVE, PresetName
from rtmag.realtime.sources.latest import newest
from rtmag.realtime.sources.opening import open_source
from rtmag.realtime.sources.source import FrameSource


def stream(
    source: str | int | Path,
    *,
    alpha: float | None = None,
    filter: Filter | str | None = None,
    preset: PresetName | None = None,
    model: str | Path | None = None,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    capture_fps: float | None = None,
    motion_scale: float = 1.0,
    unsafe: bool = False,
) -> Iterator[Frame]:
    """Yield the magnified frames of a source: all frames of a file, the newest of a live source.

    Args:
        source: camera index or name, address of a stream, video file, image folder, TIFF stack,
            pattern of pictures, or `test`.
        alpha: total magnification factor, 1 = unchanged; None: that of the preset, or 20, or 10
            for a live source without filter and preset.
        filter: filter that selects the motion, or its text such as "48-72bpm"; None: that of the
            preset; else Temporal(0.4, 3) for a live source, as for `rtmag camera`, and Static() for
            others.
        preset: name of a preset: `pulse`, `breath`, `machine`, `building` or `micro`.
        model: name or path of a model; by default the packaged one.
        size: requested (width, height) of a camera in pixels.
        fps: requested frames per second of a camera, or rate of pictures in a folder.
        capture_fps: frames per second at which a slow-motion file was filmed.
        motion_scale: size at which motion is estimated, relative to the picture: 1, 1/2 or 1/4.
        unsafe: True to allow `.pt2` models, which may run any code when they are opened.

    Yields:
        Frames with (H, W, 3) uint8 BGR images, time in seconds and index from 0.

    Raises:
        SourceUnavailable: the source cannot be opened.
        SourceLost: the source failed after it was opened.
        OptionError: alpha is not finite or the band does not fit the frame rate.
    """
    with open_source(source, size=size, fps=fps) as frames:
        if frames.live and filter is None and preset is None:
            filter, alpha = LIVE.filter, LIVE.alpha if alpha is None else alpha
        engine = load_engine(model, motion_scale=motion_scale, unsafe=unsafe)
        magnifier = Magnifier(
            engine,
            alpha=alpha,
            filter=filter,
            preset=preset,
            fps=None if frames.live else frames.fps,
            capture_fps=capture_fps,
        )
        yield from _passed(frames, magnifier, magnifier)


def motion(
    source: str | int | Path,
    *,
    filter: Filter | str | None = None,
    preset: PresetName | None = None,
    model: str | Path | None = None,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    capture_fps: float | None = None,
    motion_scale: float = 1.0,
    unsafe: bool = False,
) -> Iterator[Frame]:
    """Yield the frames of a source as they are, each with the displacement of the scene.

    Args:
        source: as for `stream`; of a live source, the newest frames.
        filter: filter that selects the motion, as for `stream`.
        preset: name of a preset, whose filter is used if `filter` is None.
        model: name or path of a model; by default the packaged one.
        size: requested (width, height) of a camera in pixels.
        fps: requested frames per second of a camera, or rate of pictures in a folder.
        capture_fps: frames per second at which a slow-motion file was filmed.
        motion_scale: size at which motion is estimated, relative to the picture: 1, 1/2 or 1/4.
            Cells then have sides of 4, 8 or 16 pixels.
        unsafe: True to allow `.pt2` models, which may run any code when they are opened.

    Yields:
        Frames with `field`, a `MotionField` in pixels, to the right and down.

    Raises:
        SourceUnavailable: the source cannot be opened.
        SourceLost: the source failed after it was opened.
        ModelIncompatible: the model does not return the displacement.
        OptionError: the band does not fit the frame rate.
    """
    with open_source(source, size=size, fps=fps) as frames:
        if frames.live and filter is None and preset is None:
            filter = LIVE.filter
        magnifier = Magnifier(
            load_engine(model, motion_scale=motion_scale, unsafe=unsafe),
            filter=filter,
            preset=preset,
            fps=None if frames.live else frames.fps,
            capture_fps=capture_fps,
        )
        yield from _passed(
            frames, magnifier, lambda frame: replace(frame, field=magnifier.motion(frame))
        )


def _passed(
    source: FrameSource, magnifier: Magnifier, step: Callable[[Frame], Frame]
) -> Iterator[Frame]:
    """Yield the result of a step for each frame, or the newest ones of a live source.

    Raises:
        OptionError: the magnifier cannot use the frame rate.
    """
    with closing(newest(source) if source.live else source) as reader:
        for frame in reader:
            result = step(frame)
            if magnifier.warning is not None:  # nothing was magnified or measured
                raise OptionError(magnifier.warning)
            yield result
