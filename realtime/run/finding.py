"""The band of what moves, found before a run: `--band auto` of clips."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from rtmag.realtime.analysis.finding import FINDING, Finder, Line, band_around
from rtmag.realtime.engines.loading import load_spec
from rtmag.realtime.engines.spec import EngineSpec
from rtmag.realtime.errors import SourceLost
from rtmag.realtime.filters import Band
from rtmag.realtime.magnifier import Magnifier
from rtmag.realtime.report.found import found_sentence
from rtmag.realtime.sources.source import FrameSource

MOST_FRAMES = 1200
"""Number of frames of a clip that are looked at, at most."""

LOOK_SECONDS = 30.0
"""Seconds of a clip that are looked at, at most; of slow motion, `MOST_FRAMES`."""


def look(source: FrameSource, engine: EngineSpec, capture_fps: float | None = None) -> Finder:
    """Look at the first part of a source for what moves.

    Args:
        source: read from its start.
        engine: the model.
        capture_fps: rate in 1/s at which slow motion was filmed; None: that of the source.

    Raises:
        ModelError, ProviderUnavailable: the model cannot be loaded, or fails.
    """
    finder = Finder(capture_fps=capture_fps)
    magnifier = Magnifier(
        load_spec(engine),
        filter=FINDING,
        fps=None if source.live else source.fps,
        capture_fps=capture_fps,
    )
    with suppress(SourceLost):  # the run will report it
        for count, frame in enumerate(source):
            finder.add(replace(frame, field=magnifier.motion(frame)))
            if count == MOST_FRAMES or finder.seconds > LOOK_SECONDS:
                break
    return finder


def first_band(finder: Finder) -> tuple[list[Line], Band | None]:
    """Return all lines, and the band around the first real one; None if there is none."""
    lines = finder.lines()
    real = next((line for line in lines if line.real), None)
    return lines, None if real is None else band_around(real, finder.seconds)


def find_band(
    source: FrameSource,
    notice: Callable[[str], None],
    capture_fps: float | None = None,
    engine: EngineSpec | None = None,
) -> Band | None:
    """Look at the first part of a clip and return the band of what moves; None if nothing does.

    Args:
        source: read from its start.
        notice: prints what was found.
        capture_fps: rate in 1/s at which slow motion was filmed; None: that of the source.
        engine: the model; None: the packaged one.

    Raises:
        ModelError, ProviderUnavailable: the model cannot be loaded, or fails.
    """
    finder = look(source, engine or EngineSpec(), capture_fps)
    lines, band = first_band(finder)
    notice(f"--band auto: {found_sentence(lines, band)}")
    return band
