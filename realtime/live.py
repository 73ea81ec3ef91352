"""Magnifies a camera, or any other source of frames, before one's eyes."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from rtmag.realtime.choice import choose
from rtmag.realtime.engine import EngineSpec
from rtmag.realtime.filters import Temporal
from rtmag.realtime.keys import Controls
from rtmag.realtime.loop import run
from rtmag.realtime.magnifier import Magnifier
from rtmag.realtime.options import ViewKind
from rtmag.realtime.outputs import check_free, numbered, with_suffix
from rtmag.realtime.recorder import VideoSink
from rtmag.realtime.report import Report
from rtmag.realtime.scene import SceneSource
from rtmag.realtime.sinks import WindowSink
from rtmag.realtime.sources import FrameSource, open_source
from rtmag.realtime.stats import Stats

_UNNAMED = Path("rtmag-camera.mp4")


@dataclass(slots=True, kw_only=True)
class Live:
    """How a live source is magnified and shown."""

    controls: Controls
    note: Callable[[str], None]
    size: tuple[int, int] | None = None
    fps: float | None = None
    record: Path | None = None
    """Recorded to from the start; without it the key r records to rtmag-camera.mp4."""
    overwrite: bool = False
    view: ViewKind = "window"
    engine: EngineSpec = field(default_factory=EngineSpec)
    limit: int | None = None
    stats: Stats | None = None
    """Told of the figures as the run goes on, and at its end."""

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
            rate = source.fps or self.fps or 30.0
            engine = choose(self.engine, source.size, rate)
            magnifier = Magnifier(engine, alpha=self.controls.alpha, filter=self.controls.filter())
            self.note(f"{source.name}, {engine.described} on {engine.provider}; keys: h")
            return run(
                source,
                magnifier,
                self.controls,
                view=view,
                record=lambda: self._open_recorder(rate),
                limit=self.limit,
                stats=self.stats,
            )

    def _open(self, spec: str) -> FrameSource:
        if spec == "test":
            return SceneSource(self.size or (640, 480), self.fps or 30.0, live=True)
        return open_source(spec, size=self.size, fps=self.fps)

    def _open_recorder(self, fps: float) -> VideoSink:
        """The file that was asked for; after that, or without it, numbered ones."""
        path, self.record = self.record, None
        overwrite = self.overwrite and path is not None
        if path is None:
            suffix = _UNNAMED.suffix
            path = with_suffix(numbered(_UNNAMED.with_suffix(""), (suffix,)), suffix)
        self.note(f"recording to {path}")
        return VideoSink(path, fps=fps, overwrite=overwrite)
