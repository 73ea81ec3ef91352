"""Magnified video in one line: `for frame in stream(0, alpha=20): ...`."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from rtmag.realtime.engines.loading import load_engine
from rtmag.realtime.errors import OptionError
from rtmag.realtime.filters import Filter
from rtmag.realtime.frame import Frame
from rtmag.realtime.magnifier import Magnifier
from rtmag.realtime.sources.latest import newest
from rtmag.realtime.sources.opening import open_source


def stream(
    source: str | int | Path,
    *,
    alpha: float = 20.0,
    filter: Filter | None = None,
    model: str | Path | None = None,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    capture_fps: float | None = None,
    motion_scale: float = 1.0,
    unsafe: bool = False,
) -> Iterator[Frame]:
    """Yield the frames of a source magnified: all of a file, of a live source always the newest.

    Args:
        source: Camera index or name, address of a stream, video file, image folder or glob, or
            `test`.
        alpha: Total magnification factor, 1 = unchanged.
        filter: What counts as motion; Static() by default.
        model: Name or path of a model; the default one lies inside the package.
        size: (width, height) to ask a camera for.
        fps: Frames per second to ask a camera for.
        capture_fps: For slow-motion files, the rate at which the scene was filmed, 1/s.
        motion_scale: Size of the picture in which motion is looked for: 1, 1/2 or 1/4.
        unsafe: Allow `.pt2` models, which may run any code when they are opened.

    Yields:
        Frames with (H, W, 3) uint8 BGR images; time in seconds, index from 0.

    Raises:
        SourceUnavailable: the source cannot be opened.
        SourceLost: it failed midway.
        OptionError: alpha is not finite or the band does not fit the frame rate.
    """
    with open_source(source, size=size, fps=fps) as frames:
        rate = None if frames.live else frames.fps
        engine = load_engine(model, motion_scale=motion_scale, unsafe=unsafe)
        magnifier = Magnifier(engine, alpha=alpha, filter=filter, fps=rate, capture_fps=capture_fps)
        with closing(newest(frames) if frames.live else frames) as each:
            for frame in each:
                shown = magnifier(frame)
                if magnifier.warning is not None:  # it was passed on as it is
                    raise OptionError(magnifier.warning)
                yield shown
