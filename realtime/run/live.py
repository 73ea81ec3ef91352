"""Magnifies a camera, or any other source of frames, before one's eyes."""

from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from rtmag.realtime.controls import Controls, LiveViewKind
from rtmag.realtime.engines.engine import Engine
from rtmag.realtime.engines.loading import EngineSpec
from rtmag.realtime.errors import SinkError, SourceAbsent, needing
from rtmag.realtime.log import redact
from rtmag.realtime.magnifier import Magnifier
from rtmag.realtime.run.adaptive import Pace, choose
from rtmag.realtime.run.guard import Guard
from rtmag.realtime.run.loop import run
from rtmag.realtime.run.provenance import describe, note_of, write_note
from rtmag.realtime.run.report import Report, Stats, Tally
from rtmag.realtime.run.startup import Left, attended, resting_at
from rtmag.realtime.sinks.background import BackgroundSink, check_space
from rtmag.realtime.sinks.paths import check_free, numbered, with_suffix
from rtmag.realtime.sinks.pipe import PipeSink
from rtmag.realtime.sinks.sink import Sink
from rtmag.realtime.sinks.video_file import VideoSink
from rtmag.realtime.sinks.virtual_camera import FIRST, VirtualCameraSink
from rtmag.realtime.sources.opening import open_source
from rtmag.realtime.sources.retry import RetryPolicy, wait_until_available
from rtmag.realtime.sources.scene.scene import SceneSource
from rtmag.realtime.sources.source import FrameSource, SourceOptions, Status
from rtmag.realtime.view.viewer import View
from rtmag.realtime.view.window import WindowSink

_UNNAMED = Path("rtmag-camera.mp4")

_PIPE_SECONDS = 1.0
"""Seconds for a reader to take the last frames."""


@dataclass(slots=True, kw_only=True)
class Live:
    """How a live source is magnified and shown."""

    controls: Controls
    note: Callable[[str], None]
    invite: Callable[[str], None] = lambda words: None
    """Told the address of the page, with its token."""
    wanted: SourceOptions = field(default_factory=SourceOptions)
    record: Path | None = None
    """Recorded to from the start; without it the key r records to rtmag-camera.mp4."""
    overwrite: bool = False
    view: LiveViewKind = "window"
    host: str = "127.0.0.1"
    """Of the view in a browser, as are the next three."""
    port: int | None = None
    max_viewers: int = 16
    token: str | None = field(default=None, repr=False)
    """What others must know to see the page; None is one by chance."""
    engine: EngineSpec = field(default_factory=EngineSpec)
    limit: int | None = None
    out: str | None = None
    """`-` passes the frames on to another program too."""
    virtual_camera: str | None = None
    """Name of the device that shows them to other programs too, or `first`."""
    _settings: Callable[[], dict[str, object]] = field(default=dict, init=False)
    _whole: bool = field(default=False, init=False)
    """Whether the source waits for us: then no frame of it is left out anywhere."""
    _invited: bool = field(default=False, init=False)
    stats: Stats | None = None
    """Told of the figures as the run goes on, and at its end."""

    def run(self, spec: str) -> Report:
        """Magnify until the view is closed, the limit is reached or Ctrl-C comes."""
        if self.record is not None:
            check_free(self.record, overwrite=self.overwrite)
        self.controls.recording = self.record is not None
        with ExitStack() as opened:
            waits = self.wanted.wait is not None and "://" in spec
            view = self._shown(redact(spec), opened) if waits else None
            if hasattr(view, "url"):
                self._announce(spec, view)
            try:
                source = opened.enter_context(self._open(spec, view))
            except Left:
                return Tally(live=True).report("quit", ())
            if source.fps is not None:
                self.controls.filter.check(source.fps)
            view = view or self._shown(source.name, opened)
            rate = source.fps or self.wanted.fps or 30.0
            engine = choose(self.engine, source.size, rate)
            magnifier = Magnifier(engine, alpha=self.controls.alpha, filter=self.controls.filter)
            guard = opened.enter_context(Guard(magnifier, self.engine.load, self.note))
            self._settings = partial(self._describe, engine, source)
            self._whole = not source.live
            self._announce(f"{source.name}, {magnifier.described}", view)
            self.controls.whole = engine.size is not None
            report = run(
                source,
                magnifier,
                self.controls,
                self._open_sinks(source.size, rate, opened),
                guard=guard,
                view=view,
                record=lambda: self._open_recorder(rate),
                limit=self.limit,
                stats=self.stats,
                pace=Pace.following(self.controls, engine, self.engine, live=source.live),
            )
            failed = guard.failures
        words = (f"the model failed: {failed} frames were not magnified",) if failed else ()
        return replace(report, errors=report.errors + words)

    def _announce(self, words: str, view: View | None) -> None:
        """Say what is shown, and the first time where."""
        shown, address = redact(words), getattr(view, "url", None)
        if address is not None and not self._invited:
            self._invited = True
            self.invite(f"{shown}; open {address}")
        else:
            self.note(f"{shown}; keys: h" if view is not None and address is None else shown)

    def _open(self, spec: str, view: View | None) -> FrameSource:
        if spec == "test":
            return SceneSource(self.wanted.size or (640, 480), self.wanted.fps or 30.0, live=True)
        try:
            source = self._opened(spec, view)
        except SourceAbsent as error:
            raise SourceAbsent(f"{error} (--wait waits for it)") from error
        source.on_status = lambda status: self.note(_told(source.name, status))
        for refused in source.refused:
            self.note(f"{source.name} does not let us stop its {refused}")
        return source

    def _opened(self, spec: str, view: View | None) -> FrameSource:
        """Opened at once, or waited for at the view; raises Left when that is left."""
        told = self.wanted.wait
        if told is None or "://" not in spec:
            return open_source(spec, options=self.wanted)
        opener = partial(open_source, spec, options=replace(self.wanted, wait=None))
        rest = resting_at(view, self.controls, redact(spec))
        return wait_until_available(partial(attended, opener, rest), told, RetryPolicy(), rest)

    def _open_sinks(self, size: tuple[int, int], fps: float, opened: ExitStack) -> list[Sink]:
        """Whoever else sees the frames."""
        width, height = size
        size = (2 * width, height) if self.controls.layout == "side" else size
        sinks: list[Sink] = []
        if self.virtual_camera is not None:
            named = None if self.virtual_camera == FIRST else self.virtual_camera
            shown = VirtualCameraSink(size, fps, named)
            opened.callback(shown.close)
            self.note(f"virtual camera: {shown.device}")
            sinks.append(shown)
        if self.out is not None:
            lacks = partial(self._tell_dropped, "the pipe")
            sinks.append(
                BackgroundSink(
                    PipeSink(fps=fps, size=size),
                    on_end=lacks,
                    close_timeout=_PIPE_SECONDS,
                    whole=self._whole,
                )
            )
        return sinks

    def _shown(self, name: str, opened: ExitStack) -> View | None:
        view = self._open_view(name)
        if view is not None:
            opened.callback(view.close)
        return view

    def _open_view(self, name: str) -> View | None:
        if self.view == "window":
            return WindowSink(f"rtmag: {name}")
        if self.view == "none":
            return None
        with needing("--view web", "web"):
            from rtmag.realtime.web.view import WebView
        return WebView(
            self.controls,
            name,
            host=self.host,
            port=self.port,
            max_viewers=self.max_viewers,
            token=self.token,
        )

    def _open_recorder(self, fps: float) -> BackgroundSink:
        """The file that was asked for; after that, or without it, numbered ones."""
        path, self.record = self.record, None
        overwrite = self.overwrite and path is not None
        if path is None:
            suffix = _UNNAMED.suffix
            path = with_suffix(numbered(_UNNAMED.with_suffix(""), (suffix,)), suffix)
        check_space(path)
        self.note(f"recording to {path}")
        sink, settings = VideoSink(path, fps=fps, overwrite=overwrite), self._settings()
        self._note_settings(sink.partial_path, settings)  # now, for we may be killed
        return BackgroundSink(
            sink,
            check=partial(check_space, path),
            on_end=partial(self._recorded, sink, settings),
            whole=self._whole,
        )

    def _describe(self, engine: Engine, source: FrameSource) -> dict[str, object]:
        return describe(
            self.controls,
            engine,
            self.engine,
            source=source.name,
            size=source.size,
            fps=self.controls.fps or source.fps,
        )

    def _recorded(self, sink: VideoSink, settings: dict[str, object], dropped: int) -> None:
        self._tell_dropped(str(sink.path), dropped)
        if sink.path_written is not None:  # or no frame came
            self._note_settings(sink.path, settings)
        with suppress(OSError):
            note_of(sink.partial_path).unlink()

    def _note_settings(self, path: Path, settings: dict[str, object]) -> None:
        try:
            write_note(path, settings)
        except SinkError as error:
            self.note(f"warning: {error}")

    def _tell_dropped(self, what: str, dropped: int) -> None:
        if dropped:
            self.note(f"warning: {what} lacks {dropped} frames, for which it was too slow")


def _told(name: str, status: Status) -> str:
    """A line about a new state."""
    told = f"{name}: {status.state.lower()}"
    if status.state in ("RUNNING", "ENDED"):
        return told
    return f"warning: {told}; {status.message.removeprefix(name).lstrip()}"
