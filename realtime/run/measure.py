"""`rtmag measure`: measure the motion of regions of a clip, a stream or a camera.

A clip is measured to its end, a live source for a number of seconds or until Ctrl-C. Motion is
measured in the pictures as they are; nothing is magnified.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol, Self

from rtmag.realtime.analysis.measurement import Measurement
from rtmag.realtime.analysis.meter import Meter, grid
from rtmag.realtime.engines.loading import load_spec
from rtmag.realtime.engines.spec import EngineSpec
from rtmag.realtime.errors import OptionError, SourceLost, SourceUnavailable
from rtmag.realtime.filters import Band, Filter, Static, Temporal, parse_band
from rtmag.realtime.frame import Frame, Image, Region
from rtmag.realtime.log import logger, redact
from rtmag.realtime.magnifier import Magnifier
from rtmag.realtime.report.contents import ReportContents, described_settings
from rtmag.realtime.run.live import announce
from rtmag.realtime.run.loop import arrivals
from rtmag.realtime.run.report import Ending, NoProgress, Progress
from rtmag.realtime.run.watchdog import PATIENT, Watchdog
from rtmag.realtime.signals import deferred
from rtmag.realtime.sources.opening import open_source
from rtmag.realtime.sources.scene.scene import SceneSource
from rtmag.realtime.sources.source import Closeable, FrameSource, SourceOptions

WHOLE = "picture"
"""Name of the whole picture as a region."""

SCENE_SECONDS = 10.0
"""Length of the built-in scene."""

ROUNDING = 1e-6
"""Seconds by which the times of frames may be inexact."""


def _log(message: str) -> None:
    logger().warning("%s", message)


_SQUARE = 0.01
"""Largest relative difference between width and height of pixels that count as square."""


class FieldObserver(Protocol):
    """Uses the displacement field of each frame."""

    def add(self, frame: Frame) -> None:
        """Take the next frame, which has a field."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureOptions:
    """Options of a measurement."""

    regions: Mapping[str, Region] = field(default_factory=dict)
    """x, y, width, height in pixels by name; empty: the grid, or the whole picture."""
    grid: tuple[int, int] | None = None
    """Number of columns and rows of equal regions; None: no grid."""
    scale: float | None = None
    """Millimetres per pixel; None: lengths are in pixels."""
    band: Band | None = None
    """Edges in Hz of peaks and levels; None: all frequencies."""
    start: float = 0.0
    """Seconds of a clip that are left out at its beginning."""
    end: float | None = None
    """Second of a clip at which the measurement ends; None: its last frame."""
    seconds: float | None = None
    """Length of the measurement; None: to the end of a clip, or until Ctrl-C."""
    capture_fps: float | None = None
    """Slow motion: rate in 1/s at which the scene was filmed; None: the rate of the times."""
    source: SourceOptions = field(default_factory=SourceOptions)
    observers: Sequence[FieldObserver] = ()
    """Receive each measured frame with its displacement field. The network runs for them only."""
    filter: Filter = field(default_factory=Static)
    """Filter that the displacement of the fields has passed."""
    engine: EngineSpec = field(default_factory=EngineSpec)
    """The model that gives the fields."""
    progress: Progress = field(default_factory=NoProgress)
    notice: Callable[[str], None] = _log
    """Prints a message."""


@dataclass(frozen=True, slots=True)
class MeasuredRun:
    """Result of a measurement."""

    contents: ReportContents
    ending: Ending
    lost: bool
    """True if a live source was lost before the measurement ended."""


def run_measure(spec: str, options: MeasureOptions) -> MeasuredRun:
    """Measure a source until its end, the end of the requested part, or Ctrl-C.

    Args:
        spec: the source, see `open_source`; `test` is the built-in scene.
        options: everything else.

    Raises:
        KeyboardInterrupt: Ctrl-C before the first frame.
        SourceUnavailable: the source cannot be opened, or has no frames in the requested part.
        OptionError: a region is outside the picture, the band does not fit the frame rate, or the
            size of the picture changes.
    """
    if options.end is not None and options.end <= options.start:
        raise OptionError(f"--end {options.end:g} must be later than --start {options.start:g}")
    with _open(spec, options) as source, _Fields.opened(source, options) as fields:
        run = _Run(source, options, fields)
        options.progress.begin(source.name, run.expected)
        try:
            ending = run.measure()
        finally:
            options.progress.end()
        contents = run.contents()
    _analyse(contents.measurement, options.progress)
    return MeasuredRun(contents, ending, run.lost)


def _analyse(measurement: Measurement, progress: Progress) -> None:
    """Find the peaks of all regions, which are kept; of a long recording that takes a while."""
    progress.begin("regions", len(measurement.regions))
    try:
        for region in measurement.regions:
            len(region.peaks)
            progress.step()
    finally:
        progress.end()


def measure(
    source: str | int | Path,
    *,
    regions: Mapping[str, Region] | None = None,
    grid: tuple[int, int] | None = None,
    band: Band | str | None = None,
    mm_per_px: float | None = None,
    start: float = 0.0,
    end: float | None = None,
    seconds: float | None = None,
    capture_fps: float | None = None,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
) -> Measurement:
    """Measure the motion of regions of a source.

    Args:
        source: as for `stream`. Without `seconds`, a camera or a stream is measured until Ctrl-C.
        regions: x, y, width, height in pixels by name; None: the grid, or the whole picture.
        grid: number of columns and rows of equal regions, named A1, B1 ...; None: no grid.
        band: edges in Hz, or text such as "30-45Hz", between which peaks are sought; None: all.
        mm_per_px: scale; lengths of reports are then in millimetres. The arrays stay in pixels.
        start: seconds of a clip that are left out.
        end: second of a clip at which the measurement ends; None: its last frame.
        seconds: length of the measurement; None: to the end.
        capture_fps: frames per second at which a slow-motion file was filmed.
        size: requested (width, height) of a camera in pixels.
        fps: requested frames per second of a camera, or rate of pictures in a folder.

    Returns:
        Displacements, spectra and peaks of each region; `notes` has reasons to doubt them.

    Raises:
        SourceUnavailable: the source cannot be opened, or has no frames in the requested part.
        OptionError: a region is outside the picture, or the band does not fit the frame rate.
    """
    options = MeasureOptions(
        regions=regions or {},
        grid=grid,
        scale=mm_per_px,
        band=parse_band(band) if isinstance(band, str) else band,
        start=start,
        end=end,
        seconds=seconds,
        capture_fps=capture_fps,
        source=SourceOptions(size=size, fps=fps),
    )
    return run_measure(str(source), options).contents.measurement


def _open(spec: str, options: MeasureOptions) -> FrameSource:
    if spec == "test":
        size, fps = options.source.size or (640, 480), options.source.fps or 30.0
        frames = round((options.seconds or SCENE_SECONDS) * fps)
        return SceneSource(size, fps, frames + round(options.start * fps))
    source = open_source(spec, options=options.source)
    announce(source, options.notice)
    return source


class _Fields(Closeable):
    """The displacement fields of the frames, for observers."""

    def __init__(self, magnifier: Magnifier, observers: Sequence[FieldObserver]) -> None:
        self._magnifier, self._observers = magnifier, observers
        self._watchdog = Watchdog(PATIENT)

    @classmethod
    @contextmanager
    def opened(cls, source: FrameSource, options: MeasureOptions) -> Iterator[Self | None]:
        """Load the model; None if there are no observers.

        Raises:
            ModelError, ProviderUnavailable: the model cannot be loaded.
        """
        if not options.observers:
            yield None
            return
        magnifier = Magnifier(
            load_spec(options.engine),
            filter=options.filter,
            fps=None if source.live else source.fps,
            capture_fps=options.capture_fps,
        )
        with cls(magnifier, options.observers) as fields:
            yield fields

    def add(self, frame: Frame) -> None:
        """Measure the field of a frame and pass it on."""
        with self._watchdog.step():
            measured = replace(frame, field=self._magnifier.motion(frame))
        for observer in self._observers:
            observer.add(measured)

    def close(self) -> None:
        """Stop the watchdog."""
        self._watchdog.close()


class _Run:
    """State of a measurement."""

    def __init__(
        self, source: FrameSource, options: MeasureOptions, fields: _Fields | None
    ) -> None:
        self._source, self._options, self._fields = source, options, fields
        self._check_band()
        self._meter: Meter | None = None
        self._picture: Image | None = None
        self._frames = self._missed = 0
        self._notes: list[str] = []
        self.lost = False

    def _check_band(self) -> None:
        rate = self._options.capture_fps or self._source.fps
        if self._options.band is not None and rate is not None:
            Temporal(*self._options.band).check(rate)

    @property
    def expected(self) -> int | None:
        """Estimated number of frames to read, for the progress; None if unknown."""
        frames, fps, options = self._source.frames, self._source.fps, self._options
        until = options.end
        if options.seconds is not None:
            until = min(options.start + options.seconds, until or math.inf)
        if until is None or fps is None:
            return frames
        return min(round(until * fps), frames or round(until * fps))

    def measure(self) -> Ending:
        """Read and measure frames; after Ctrl-C, what was measured so far is the result."""
        try:
            with closing(arrivals(self._source)) as frames, Watchdog(PATIENT) as watchdog:
                self._add_all(frames, watchdog)
        except KeyboardInterrupt:
            if not self._frames:
                raise
            return "interrupt"
        except SourceLost as error:
            if not self._frames:
                raise
            self._notes.append(str(error))
            self.lost = self._source.live
        return "end"

    def _add_all(self, frames: Iterator[Frame | None], watchdog: Watchdog) -> None:
        """Measure the frames of the requested part."""
        first = last = None
        for frame in frames:
            now = time.monotonic() if frame is None else frame.time
            if first is not None and now - first >= self._seconds:
                return
            if frame is None:
                continue
            self._options.progress.step()
            position = self._position(frame)
            if position > 0:
                return
            if position < 0:
                continue
            first = frame.time if first is None else first
            if self._source.live:
                frame = replace(frame, time=frame.time - first)
            self._missed += max(frame.index - last - 1, 0) if last is not None else 0
            last = frame.index
            # Ctrl-C must not leave a frame half measured.
            with deferred(), watchdog.step():
                if self._fields is not None:
                    self._fields.add(frame)
                self._add(frame)

    @property
    def _seconds(self) -> float:
        """Length of the measurement; a frame at its end is not part of it."""
        return math.inf if self._options.seconds is None else self._options.seconds - ROUNDING

    def _position(self, frame: Frame) -> int:
        """Return -1 before the requested part of a clip, 1 after it, else 0."""
        if self._source.live:
            return 0
        if frame.time < self._options.start - ROUNDING:
            return -1
        return int(self._options.end is not None and frame.time > self._options.end + ROUNDING)

    def _add(self, frame: Frame) -> None:
        if self._meter is None:
            self._picture = frame.image.copy()
            self._meter = self._open_meter(frame.size)
        self._meter.add(frame)
        self._frames += 1

    def _open_meter(self, size: tuple[int, int]) -> Meter:
        options = self._options
        regions: Mapping[str, Region | None] = options.regions or {WHOLE: None}
        if options.grid is not None:
            regions = grid(size, *options.grid)
        return Meter(
            regions,
            band=options.band,
            capture_fps=options.capture_fps,
            scale=options.scale or 1.0,
            unit="px" if options.scale is None else "mm",
        )

    def contents(self) -> ReportContents:
        """Return the result.

        Raises:
            SourceUnavailable: nothing was measured.
        """
        if self._meter is None or self._picture is None:
            part = "" if self._options.start == 0 else f" after {self._options.start:g} s"
            raise SourceUnavailable(f"cannot measure {self._source.name!r}: no frames{part}")
        found = self._meter.result()
        notes = [*found.notes, *self._notes, *self._source_notes()]
        return ReportContents(
            measurement=replace(found, settings=self._settings(found), notes=notes),
            source=redact(self._source.name),
            image=self._picture,
            made=datetime.now().astimezone(),
        )

    def _settings(self, measurement: Measurement) -> dict[str, str]:
        """Return the settings of the run by name, for the reader."""
        options = self._options
        settings = described_settings(measurement, options.capture_fps)
        settings["measured"] = f"{self._frames} frames"
        if options.start or options.end is not None:
            last = "the end" if options.end is None else f"{options.end:g} s"
            settings["part"] = f"{options.start:g} s to {last}"
        return settings

    def _source_notes(self) -> Iterator[str]:
        """Yield what is known of the source that disturbs the measurement."""
        yield from self._source.notes
        if self._missed:
            yield (
                f"{self._missed} frames of the source were missed, because others were being "
                "measured: measure fewer or smaller regions"
            )
        if self._source.damaged:
            yield f"{self._source.damaged} damaged parts of the source were skipped"
        aspect = self._source.sample_aspect
        if aspect is not None and abs(aspect - 1) > _SQUARE:
            yield (
                f"the pixels of the picture are {float(aspect):.4g} times as wide as high: lengths "
                "to the right and down have different scales"
            )
