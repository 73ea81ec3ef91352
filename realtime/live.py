"""Magnifies a camera, or any other source of frames, before one's eyes."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from rtmag.realtime.choice import choose
from rtmag.realtime.engine import EngineSpec
from rtmag.realtime.filters import Temporal
from rtmag.realtime.guard import Guard
from rtmag.realtime.keys import Controls
from rtmag.realtime.loop import run
from rtmag.realtime.magnifier import Magnifier
from rtmag.realtime.options import ViewKind
from rtmag.realtime.outputs import check_free, numbered, with_suffix
from rtmag.realtime.recorder import VideoSink
from rtmag.realtime.report import Report
from rtmag.realtime.scene import SceneSource
from rtmag.realtime.sinks import WindowSink
from rtmag.realtime.sources import FrameSource, Wanted, open_source
from rtmag.realtime.status import Status
from rtmag.realtime.supervisor import Supervisor

_UNNAMED = Path("rtmag-camera.mp4")


@dataclass(slots=True, kw_only=True)
class Live:
    """How a live source is magnified and shown."""

    controls: Controls
    note: Callable[[str], None]
    wanted: Wanted = field(default_factory=Wanted)
    record: Path | None = None
    """Recorded to from the start; without it the key r records to rtmag-camera.mp4."""
    overwrite: bool = False
    view: ViewKind = "window"
    engine: EngineSpec = field(default_factory=EngineSpec)
    limit: int | None = None

    def run(self, spec: str) -> Report:
        """Magnify until the view is closed, the limit is reached or Ctrl-C comes."""
        if self.record is not None:
            check_free(self.record, overwrite=self.overwrite)
        self.controls.recording = self.record is not None
        with ExitStack() as opened:
            source = opened.enter_context(self._open(spec))
            if source.fps is not None:
                self.controls.filter().check(source.fps)
            view = None
            if self.view == "window":
                Temporal(1, 2)  # a key may ask for a band, which loads a large library
                view = WindowSink(f"rtmag: {source.name}")
                opened.callback(view.close)
            rate = source.fps or self.wanted.fps or 30.0
            engine = choose(self.engine, source.size, rate)
            magnifier = Magnifier(engine, alpha=self.controls.alpha, filter=self.controls.filter())
            guard = opened.enter_context(Guard(magnifier, self.engine.load, self.note))
            self.note(f"{source.name}, {engine.described} on {engine.provider}; keys: h")
            report = run(
                source,
                guard,
                self.controls,
                view=view,
                record=lambda: self._open_recorder(rate),
                limit=self.limit,
            )
            failed = guard.failures
        words = (f"the model failed: {failed} frames were not magnified",) if failed else ()
        return replace(report, errors=report.errors + words)

    def _open(self, spec: str) -> FrameSource:
        if spec == "test":
            return SceneSource(self.wanted.size or (640, 480), self.wanted.fps or 30.0, live=True)
        source = open_source(spec, wanted=self.wanted)
        if isinstance(source, Supervisor):
            source.on_status = lambda status: self.note(_told(source.name, status))
            for refused in source.refused:
                self.note(f"{source.name} does not let us stop its {refused}")
        return source

    def _open_recorder(self, fps: float) -> VideoSink:
        """The file that was asked for; after that, or without it, numbered ones."""
        path, self.record = self.record, None
        overwrite = self.overwrite and path is not None
        if path is None:
            suffix = _UNNAMED.suffix
            path = with_suffix(numbered(_UNNAMED.with_suffix(""), (suffix,)), suffix)
        self.note(f"recording to {path}")
        return VideoSink(path, fps=fps, overwrite=overwrite)


def _told(name: str, status: Status) -> str:
    """A line about a new state."""
    state = status.state.lower()
    if not status.words or status.state == "RUNNING":
        return f"{name}: {state}"
    return f"{name}: {state}; {status.words.removeprefix(name).lstrip()}"
