"""The loop: frames in, magnified frames out, until the source ends or someone stops it.

A live source is read through the latest-frame slot, so delay stays bounded and frames drop instead;
of a file every frame is magnified. The view shows the layout chosen at the moment with what is
written over it; sinks get the pictures alone, in the layout that was chosen at the start.
"""

import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing, suppress
from typing import Any, Protocol

from rtmag.realtime.controls import Controls
from rtmag.realtime.errors import OptionError, SinkError, SourceLost
from rtmag.realtime.filters import Filter
from rtmag.realtime.frame import Frame
from rtmag.realtime.magnifier import Region
from rtmag.realtime.run.adaptive import Pace
from rtmag.realtime.run.guard import Guard
from rtmag.realtime.run.recording import Recording
from rtmag.realtime.run.report import Ending, Report, Stats, Tally
from rtmag.realtime.signals import deferred
from rtmag.realtime.sinks.sink import Sink
from rtmag.realtime.sources.latest import LatestFrames
from rtmag.realtime.sources.source import FrameSource
from rtmag.realtime.view import overlay
from rtmag.realtime.view.viewer import TICK, View, Viewer

Step = Callable[[Frame], Frame]
"""One frame magnified: the magnifier itself, or what guards it."""


class Magnifies(Protocol):
    """What is needed of a Magnifier."""

    alpha: float
    filter: Filter
    warning: str | None
    """Why the picture is shown unmagnified at present, if it is."""
    region: Region | None
    """Where motion is magnified; None is everywhere."""
    motion_scale: float
    """Size of the picture in which motion is looked for; cannot be changed in every engine."""

    @property
    def described(self) -> str:
        """What runs, for a person to read."""
        ...

    @property
    def fps(self) -> float | None:
        """Measured frame rate, None while unknown."""
        ...

    def __call__(self, frame: Frame) -> Frame:
        """The same moment, with its motion magnified."""
        ...


class Steering:
    """Magnifies frame by frame as the controls ask, and tells when that cannot be.

    Args:
        magnifier: its alpha, filter, region and motion scale follow the controls.
        step: what magnifies a frame by it.
        controls: are told the measured rate in return.
        viewer: shows what there is to say.
        live: whether the source is; a rate that dips for a moment is no error there.
    """

    def __init__(
        self, magnifier: Magnifies, step: Step, controls: Controls, viewer: Viewer, *, live: bool
    ) -> None:
        self.errors: list[str] = []
        """What a run that nobody watches must not keep to itself."""
        self._magnifier, self._step, self._controls = magnifier, step, controls
        self._viewer, self._live = viewer, live

    def __call__(self, frame: Frame) -> Frame:
        """Magnify.

        Raises:
            OptionError: the rate turns out not to allow the band, and nobody sees why.
        """
        self._controls.fps = self._magnifier.fps
        try:
            magnified = self._steered(frame)
        except OptionError as error:
            # A band that the measured rate turns out not to allow must not end a view that runs.
            if not self._viewer.watched or self._controls.filter.band is None:
                raise
            self._viewer.say(str(error))
            self._controls.set_mode("static")
            magnified = self._steered(frame)
        if self._magnifier.warning is not None:
            self._warn(self._magnifier.warning)
        return magnified

    def _steered(self, frame: Frame) -> Frame:
        if self._magnifier.filter != self._controls.filter:
            self._magnifier.filter = self._controls.filter
        if self._magnifier.alpha != self._controls.alpha:
            self._magnifier.alpha = self._controls.alpha
        self._magnifier.region = self._controls.region
        if self._controls.motion_scale is not None:
            self._magnifier.motion_scale = self._controls.motion_scale
        return self._step(frame)

    def _warn(self, words: str) -> None:
        """The magnifier passes frames on as they are: nobody must take them for magnified."""
        if self._viewer.watched:
            self._viewer.say(words)
        # A rate that dips for a moment must not end a run that nobody watches.
        if not (self._viewer.watched and self._live) and not self.errors:  # rates in words vary
            self.errors.append(words)


_CALM_TICK = 0.1
"""Seconds between looks at the keys while a source is away: waiting must cost next to nothing."""

OnFrame = Callable[[Frame, Frame], None]
"""Called with each original and its magnified frame."""


def run(
    source: FrameSource,
    magnifier: Magnifies,
    controls: Controls,
    sinks: Sequence[Sink] = (),
    *,
    guard: Guard | None = None,
    view: View | None = None,
    record: Callable[[], Sink] | None = None,
    limit: int | None = None,
    on_frame: OnFrame | None = None,
    stats: Stats | None = None,
    pace: Pace | None = None,
) -> Report:
    """Magnify a source until it ends, someone quits, `limit` is reached or Ctrl-C comes.

    Args:
        source: left open; its owner closes it.
        magnifier: its alpha and filter follow the controls.
        controls: what the keys change; also the layout of the sinks, fixed at the start.
        sinks: get every magnified frame; closed at the end.
        guard: takes the magnifier's steps, so that a model that fails does not end the run.
        view: shows the frames and gives keys; closed at the end.
        record: opens a file whenever recording is turned on.
        limit: stop after so many frames.
        on_frame: told of every frame, for progress and measurements.
        stats: told of the figures as the run goes on.
        pace: told how long each frame takes; moves the controls' motion scale.

    Returns:
        The counts. Ctrl-C is an ending, not an exception: what was written of a file is kept as a
        part, a live recording is finished.

    Raises:
        RtmagError: of a live source, the magnifier or a sink; what was written of a file is kept as
            a part. A failed recording ends the run only when it has neither view nor sinks. A file
            that ends in damage is an ending, told in the report's errors.
    """
    session = _Session(source, magnifier, controls, sinks, guard, view, record, stats, pace)
    try:
        ending = session.play(limit, on_frame)
    except KeyboardInterrupt:
        ending = "interrupt"
    except BaseException:
        with suppress(SinkError):
            session.close(finished=source.live)
        raise
    session.close(finished=source.live or ending == "end")
    return session.report(ending)


def _arrivals(source: FrameSource) -> Generator[Frame | None, None, None]:
    """Every frame of a file; the newest of a live source, and None when none came for a moment."""
    if not source.live:
        yield from source
        return
    polled = source.polled
    if polled is not None:
        while not polled.ended:
            yield polled.get(TICK if source.status.state == "RUNNING" else _CALM_TICK)
        return
    with LatestFrames(source) as latest:
        while not latest.ended:
            yield latest.get(TICK)


class _Session:
    """The parts of one run."""

    def __init__(
        self,
        source: FrameSource,
        magnifier: Magnifies,
        controls: Controls,
        sinks: Sequence[Sink],
        guard: Guard | None,
        view: View | None,
        record: Callable[[], Sink] | None,
        stats: Stats | None,
        pace: Pace | None,
    ) -> None:
        self._source, self._magnifier, self._controls = source, magnifier, controls
        self._guard = guard
        self._sinks, self._layout = sinks, controls.layout
        self._tally = Tally(live=source.live)
        self._recording = Recording(record, controls)
        self._viewer = Viewer(view, controls, self._info, self._alerts, self._facts)
        self._steering = Steering(
            magnifier, guard or magnifier, controls, self._viewer, live=source.live
        )
        self._stats, self._pace = stats, pace
        self._errors: list[str] = []

    def play(self, limit: int | None, on_frame: OnFrame | None) -> Ending:
        try:
            # Closed at once, whatever happens: its thread must not read a source that is closed.
            with closing(_arrivals(self._source)) as arrivals:
                return self._play(arrivals, limit, on_frame)
        except SourceLost as error:
            if self._source.live:
                raise
            self._errors.append(str(error))
            return "end"

    def _play(
        self, arrivals: Iterable[Frame | None], limit: int | None, on_frame: OnFrame | None
    ) -> Ending:
        for frame in arrivals:
            if frame is None:
                self._viewer.idle()
            else:
                self._handle(frame, on_frame)
                self._viewer.poll()
            self._tell()
            if self._controls.paused:
                self._viewer.wait(self._tell)
                self._tally.paused()
            if self._controls.quit:
                return "quit"
            if self._tally.frames == limit:
                break
        return "end"

    def _handle(self, frame: Frame, on_frame: OnFrame | None) -> None:
        began = time.monotonic()
        self._tally.arrived(frame)
        magnified = self._steering(frame)
        with deferred():  # written, and counted as written
            self._deliver(frame, magnified)
        if on_frame is not None:
            on_frame(frame, magnified)
        said = self._pace.took(frame, time.monotonic() - began) if self._pace else None
        if said is not None:
            self._viewer.say(said)

    def close(self, *, finished: bool) -> None:
        """Close everything, then raise the first failure."""
        failures = []
        for sink in self._sinks:
            try:
                sink.close(finished=finished)
            except SinkError as error:
                failures.append(error)
        try:
            self._recording.close(finished=finished)
        except SinkError as error:
            failures.append(error)
        self._viewer.close()
        if failures:
            raise failures[0]

    def report(self, ending: Ending) -> Report:
        return self._tally.report(ending, (*self._errors, *self._steering.errors))

    def _deliver(self, frame: Frame, magnified: Frame) -> None:
        if self._sinks:
            picture = overlay.lay_out(frame.image, magnified.image, self._layout)
            for sink in self._sinks:
                sink.write(magnified.with_image(picture))
        self._record(frame, magnified)
        self._viewer.show(frame, magnified)
        self._tally.delivered(frame)

    def _record(self, frame: Frame, magnified: Frame) -> None:
        try:
            notice = self._recording.write(frame, magnified)
        except SinkError as error:
            if not self._viewer.watched and not self._sinks:
                raise
            self._errors.append(str(error))
            notice = str(error)
        if notice is not None:
            self._viewer.say(notice)

    def _tell(self) -> None:
        if self._stats is not None:
            self._stats.tick(self._figures)

    def _figures(self) -> dict[str, Any]:
        return self._tally.snapshot(self._source.status)

    def _alerts(self) -> list[str]:
        """What is wrong at present with the source and with the model."""
        alerts = (self._source.status.alert(), self._guard and self._guard.alert)
        return [words for words in alerts if words]

    def _facts(self) -> dict[str, Any]:
        failing = self._guard.alert if self._guard else None
        return {
            **self._figures(),
            "words": self._source.status.alert() or "",
            "rate": self._controls.fps,
            "recording": self._recording.running,
            "warning": failing or self._magnifier.warning,
            "model": self._magnifier.described,
        }

    def _info(self) -> list[str]:
        return overlay.info_lines(
            fps=self._tally.fps,
            latency_ms=self._tally.latency_ms,
            dropped=self._tally.dropped,
            alpha=self._controls.alpha,
            mode=str(self._controls.filter),
            recording=self._recording.running,
        )
