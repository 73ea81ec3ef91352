"""The frame loop: read a frame, magnify it, write it to the sinks, show it, apply keys.

Every frame of a file is magnified. A live source drops frames that are not the newest, so that the
delay stays bounded. The view shows pictures in the present layout, with text. Sinks write pictures
without text, in the layout at the start of the run.
"""

import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from dataclasses import dataclass
from typing import Any

from rtmag.realtime.controls import Controls
from rtmag.realtime.errors import OptionError, SinkError, SourceLost
from rtmag.realtime.filters import Filter
from rtmag.realtime.frame import Frame
from rtmag.realtime.magnifier import Magnifier
from rtmag.realtime.run.adaptive import Pace
from rtmag.realtime.run.guard import Guard
from rtmag.realtime.run.mapping import LiveMap, Shown
from rtmag.realtime.run.recording import Recording, Timeline
from rtmag.realtime.run.report import Ending, Report, Stats, Tally
from rtmag.realtime.run.searching import LiveSearch, search_filter
from rtmag.realtime.run.watchdog import PATIENT, Watchdog
from rtmag.realtime.signals import deferred
from rtmag.realtime.sinks.sink import Sink
from rtmag.realtime.sources.latest import LatestFrames
from rtmag.realtime.sources.source import FrameSource, PolledSource
from rtmag.realtime.view import overlay
from rtmag.realtime.view.viewer import TICK, Facts, View, Viewer

_SLOW_TICK = 0.1
"""Seconds between two checks of the keys after a second without a frame; saves CPU time."""

_REPORT_INTERVAL = 0.25
"""Seconds between two looks at what the magnifier has measured and noted."""

GREETING_SECONDS = 8.0
"""Seconds for which the first message is shown."""

OnFrame = Callable[[Frame, Frame], None]
"""Callback with each original frame and its magnified frame."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The parts of one run: a source, a magnifier, and the places that frames go to."""

    source: FrameSource
    """Read until its end; not closed by the loop."""
    magnifier: Magnifier
    """Its alpha, filter, region and motion scale follow the controls."""
    controls: Controls
    """Changed by keys. The layout at the start is the layout of the sinks."""
    sinks: Sequence[Sink] = ()
    """Write every magnified frame; closed at the end."""
    guard: Guard | None = None
    """Calls the magnifier, so that an error of the model does not end the run."""
    view: View | None = None
    """Shows the frames and reads keys; closed at the end."""
    open_recording: Callable[[], Sink] | None = None
    """Opens a file each time recording is turned on; None if recording is not possible."""
    limit: int | None = None
    """Number of frames after which the run ends; None: no limit."""
    on_frame: OnFrame | None = None
    """Called after each frame, for progress and measurements."""
    stats: Stats | None = None
    """Prints statistics during the run."""
    pace: Pace | None = None
    """Changes the motion scale of the controls so that the model keeps up with the camera."""
    greeting: str | None = None
    """Message to show over the first pictures."""
    notice: Callable[[str], None] = lambda message: None
    """Prints a message if the band that is in use changes with the frame rate, and the notes of the
    magnifier."""


def run(pipeline: Pipeline) -> Report:
    """Magnify frames until the source ends, the user quits, the limit is reached or Ctrl-C.

    Returns:
        The counts of the run. Ctrl-C is a normal ending: an unfinished file is kept under its
        temporary name, and a live recording is finished.

    Raises:
        RtmagError: the live source, the magnifier or a sink failed. An unfinished file is kept
            under its temporary name. A recording that fails ends the run only if there is neither
            a view nor another sink. A damaged end of a file raises nothing: it is listed in
            `Report.errors`.
    """
    loop = _Loop(pipeline)
    live = pipeline.source.live
    try:
        ending = loop.process_all()
    except KeyboardInterrupt:
        ending = "interrupt"
    except BaseException:
        with suppress(SinkError):
            loop.close(finished=live)
        raise
    loop.close(finished=live or ending == "end")
    return loop.report(ending)


def arrivals(source: FrameSource) -> Generator[Frame | None, None, None]:
    """Yield every frame of a file, or the newest frames of a live source.

    While a live source has no new frame, None is yielded about 30 times per second, and less often
    after a second.
    """
    if not source.live:
        yield from source
        return
    polled, waited = source.polled, 0.0
    reader: AbstractContextManager[PolledSource]
    reader = LatestFrames(source) if polled is None else nullcontext(polled)
    with reader as latest:
        while not latest.ended:
            frame = latest.get(TICK if waited < 1 else _SLOW_TICK)
            waited = 0.0 if frame is not None else waited + TICK
            yield frame


class _Loop:
    """State of one run."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._source, self._controls = pipeline.source, pipeline.controls
        self._magnifier, self._guard = pipeline.magnifier, pipeline.guard
        self._sinks, self._layout = pipeline.sinks, pipeline.controls.layout
        # A step of a file may take longer. The guard of a live run has a watchdog of its own.
        self._watchdog = Watchdog(PATIENT) if pipeline.guard is None else None
        played = pipeline.controls.playback is not None
        self._tally = Tally(live=self._source.live, timed=not played)
        self._timeline = Timeline() if played else None
        self._recording = Recording(pipeline.open_recording, self._controls)
        self._search: LiveSearch | None = None
        """Search for what moves; None before the first one."""
        self._map = LiveMap()
        self._viewer = Viewer(pipeline.view, self._controls, self._facts)
        if pipeline.greeting is not None:
            self._viewer.say(pipeline.greeting, GREETING_SECONDS)
        self._has_view = pipeline.view is not None
        self._settings: tuple[object, ...] = ()
        """Settings of the controls that were last passed to the magnifier."""
        self._model = ""
        self._cut: str | None = None
        """Message about the part of the band that is in use; None: all of it."""
        self._cut_filter: Filter | None = None
        """Filter of the last such message that was printed."""
        self._told: set[str] = set()
        """Notes of the magnifier that were printed."""
        self._errors: list[str] = []
        self._warning: str | None = None
        self._shown_warning: str | None = None
        self._report_at = 0.0

    def process_all(self) -> Ending:
        """Read and process frames until the end."""
        try:
            # Close it after an error too: its thread must not read from a closed source.
            with closing(arrivals(self._source)) as frames:
                return self._process_frames(frames)
        except SourceLost as error:
            if self._source.live:
                raise
            self._errors.append(str(error))
            return "end"

    def _process_frames(self, frames: Iterable[Frame | None]) -> Ending:
        stats = self._pipeline.stats
        for frame in frames:
            if frame is None:
                self._viewer.idle()
            else:
                self._process(frame)
                self._viewer.poll()
            if stats is not None:
                stats.tick(self._snapshot)
            if self._controls.paused:
                self._pause()
            if self._controls.quit:
                return "quit"
            if self._tally.frames == self._pipeline.limit:
                break
        return "end"

    def _pause(self) -> None:
        """Show the last frame and apply keys until the pause ends or the user quits."""
        stats = self._pipeline.stats
        # A file that is played waits by itself, and shows single frames on request.
        while self._controls.paused and not self._controls.quit and self._controls.playback is None:
            self._viewer.idle()
            if stats is not None:
                stats.tick(self._snapshot)
            time.sleep(TICK)
        self._tally.pause()

    def _process(self, frame: Frame) -> None:
        """Magnify, write and show a frame."""
        start = time.monotonic()
        magnified = self._magnify(frame)
        writing = bool(self._sinks) or self._is_recording()
        # Ctrl-C must not interrupt between the writing of a frame and its counting.
        with deferred() if writing else nullcontext():
            self._write(frame, magnified)
        pipeline = self._pipeline
        if pipeline.on_frame is not None:
            pipeline.on_frame(frame, magnified)
        if pipeline.pace is not None:
            message = pipeline.pace.update(frame, time.monotonic() - start)
            if message is not None:
                self._viewer.say(message)

    def close(self, *, finished: bool) -> None:
        """Close all sinks and the view, then raise the first error."""
        self._report_magnifier()
        closers: list[Callable[..., object]] = [sink.close for sink in self._sinks]
        errors = []
        for close in (*closers, self._recording.close):
            try:
                close(finished=finished)
            except SinkError as error:
                errors.append(error)
        self._viewer.close()
        if self._search is not None:
            self._search.close()
        if self._watchdog is not None:
            self._watchdog.close()
        if errors:
            raise errors[0]

    def report(self, ending: Ending) -> Report:
        """Return the counts and errors of the whole run."""
        warnings = () if self._warning is None else (self._warning,)
        return self._tally.report(ending, (*self._errors, *warnings))

    # ---- magnification ------------------------------------------------------------------------

    def _magnify(self, frame: Frame) -> Frame:
        try:
            self._apply_controls()
            magnified = self._step(frame)
        except OptionError as error:
            # A band that does not fit the measured frame rate must not end a run with a view.
            if not self._has_view or self._controls.filter.band is None:
                raise
            self._viewer.say(str(error))
            self._controls.set_mode("static")
            self._apply_controls()
            magnified = self._step(frame)
        if self._controls.finding and self._search is None:
            self._search = LiveSearch(self._controls, self._magnifier.capture_fps)
        if self._search is not None:
            self._search.add(magnified)
            if (message := self._search.use_first_line()) is not None:
                self._viewer.say(message)
                self._pipeline.notice(message)
        now = time.monotonic()
        if now >= self._report_at:
            self._report_at = now + _REPORT_INTERVAL
            self._report_magnifier()
        # Frames that pass unmagnified are an error of the run, unless a live view shows the reason.
        if not (self._has_view and self._source.live) and self._warning is None:
            self._warning = self._magnifier.warning
        return magnified

    def _step(self, frame: Frame) -> Frame:
        if self._guard is not None:
            return self._guard(frame)
        with self._watchdog.step() if self._watchdog is not None else nullcontext():
            return self._magnifier.magnify(frame)

    def _apply_controls(self) -> None:
        """Pass the settings of the controls to the magnifier if they changed."""
        controls, magnifier = self._controls, self._magnifier
        magnifier.measures = controls.finding or self._maps
        filter = search_filter() if controls.finding else controls.filter
        settings = (controls.alpha, filter, controls.region, controls.motion_scale)
        if settings == self._settings:
            return
        if magnifier.filter != filter:
            magnifier.filter = self._allowed(filter)
        magnifier.alpha, magnifier.region = controls.alpha, controls.region
        if controls.motion_scale is not None:
            magnifier.motion_scale = controls.motion_scale
        self._settings = settings
        self._model = magnifier.described

    def _allowed(self, filter: Filter) -> Filter:
        """The filter, cut to the rate of the source if that does not change."""
        fps = self._magnifier.fps
        return filter.fitted(fps) if self._magnifier.rate_given and fps is not None else filter

    def _report_magnifier(self) -> None:
        """Pass on the measured rate, and show and print what is new about the magnifier."""
        self._controls.fps = self._magnifier.fps
        self._report_cut()
        self._report_notes()

    def _report_cut(self) -> None:
        """Show and print a message if another part of the band is in use than before."""
        message = None
        if self._magnifier.fps is not None and not self._controls.finding:
            used = self._magnifier.filter_in_use
            message = cut_message(self._controls, used, self._magnifier.fps)
        if message is not None and self._cut is None:
            self._viewer.say(message)
            if self._controls.filter != self._cut_filter:  # once, even if the rate varies
                self._cut_filter = self._controls.filter
                self._pipeline.notice(message)
        self._cut = message

    def _report_notes(self) -> None:
        """Show and print what the magnifier has noted, once."""
        for note in self._magnifier.notes:
            if note not in self._told:
                self._told.add(note)
                self._viewer.say(note)
                self._pipeline.notice(f"warning: {self._source.name!r}: {note}")

    # ---- output -------------------------------------------------------------------------------

    def _write(self, frame: Frame, magnified: Frame) -> None:
        mapped = self._mapped(frame, magnified)
        written = magnified if self._timeline is None else self._timeline.continued(magnified)
        if self._sinks or self._is_recording():
            self._write_files(Shown(frame, written, written.with_image(mapped.image)))
        warning = self._present_warning()
        if warning != self._shown_warning:
            self._shown_warning = warning
            self._viewer.refresh()
        self._viewer.show(frame, mapped if self._controls.layout == "map" else magnified)
        self._tally.count(frame)

    def _is_recording(self) -> bool:
        """True if a recording is on, or its file is still to be closed."""
        return self._controls.recording or self._recording.sink is not None

    def _write_files(self, shown: Shown) -> None:
        if self._sinks:
            picture = overlay.lay_out(
                shown.original.image, shown.of(self._layout).image, self._layout
            )
            for sink in self._sinks:
                sink.write(shown.magnified.with_image(picture))
        if self._is_recording():
            self._record(shown)

    @property
    def _maps(self) -> bool:
        """True if a layout in use shows the map."""
        return "map" in (self._controls.layout, self._recording.layout, self._layout)

    def _mapped(self, frame: Frame, magnified: Frame) -> Frame:
        """The frame with the map, if a layout in use shows it; else the magnified frame."""
        if not self._maps:
            return magnified
        return self._map.draw(frame, magnified, self._magnifier.filter_in_use.band)

    def _record(self, shown: Shown) -> None:
        try:
            message = self._recording.write(shown)
        except SinkError as error:
            if not self._has_view and not self._sinks:
                raise
            message = str(error)
            self._errors.append(message)
        if message is not None:
            self._viewer.say(message)

    # ---- state of the run ---------------------------------------------------------------------

    def _snapshot(self) -> dict[str, Any]:
        return self._tally.snapshot(self._source.status)

    def _present_warning(self) -> str | None:
        """Reason why the last frame was not magnified; None if it was."""
        failure = self._guard.alert if self._guard else None
        return failure or self._magnifier.warning

    def _facts(self) -> Facts:
        recording, status = self._recording.sink is not None, self._source.status
        playback, search = self._controls.playback, self._search
        return Facts(
            finding=None if search is None else search.seconds,
            found=None if search is None else search.lines,
            position=None if playback is None else playback.position,
            duration=None if playback is None else playback.duration,
            message=status.alert() or "",
            outage=status.outage(),
            **self._tally.snapshot(status),
            rate=self._controls.fps,
            recording=recording,
            warning=self._shown_warning,
            model=self._model,
            mode=self._magnifier.filter_in_use.text(self._controls.unit),
        )


def cut_message(controls: Controls, used: Filter, fps: float) -> str | None:
    """Message that a part of the band of the controls is in use; None if all of it is."""
    if used.band is None or used.band == controls.filter.band:
        return None
    part, whole = used.text(controls.unit), controls.filter.text(controls.unit)
    part, whole = (text.removeprefix(f"{used.mode} ") for text in (part, whole))
    return f"{part} in place of {whole}: {fps:.3g} frames/s cannot show faster motion"
