"""Magnifies a camera, or any other source of frames, before one's eyes."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from rtmag.realtime.choice import choose
from rtmag.realtime.engine import EngineSpec
from rtmag.realtime.errors import MissingExtra, RtmagError
from rtmag.realtime.filters import Temporal
from rtmag.realtime.keys import Controls
from rtmag.realtime.loop import run
from rtmag.realtime.magnifier import Magnifier
from rtmag.realtime.options import LiveViewKind
from rtmag.realtime.outputs import check_free, numbered, with_suffix
from rtmag.realtime.recorder import VideoSink
from rtmag.realtime.report import Report
from rtmag.realtime.scene import SceneSource
from rtmag.realtime.sinks import WindowSink
from rtmag.realtime.sources import FrameSource, open_source
from rtmag.realtime.viewer import View

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
    view: LiveViewKind = "window"
    host: str = "127.0.0.1"
    """Of the view in a browser, as are the next two."""
    port: int | None = None
    max_viewers: int = 16
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
            view = self._open_view(source.name)
            if view is not None:
                Temporal(1, 2)  # a key may ask for a band, which loads a large library
                opened.callback(view.close)
            rate = source.fps or self.fps or 30.0
            engine = choose(self.engine, source.size, rate)
            magnifier = Magnifier(engine, alpha=self.controls.alpha, filter=self.controls.filter())
            address = getattr(view, "url", None)
            invitation = f"open {address}" if address else "keys: h"
            self.note(f"{source.name}, {magnifier.described}; {invitation}")
            self.controls.whole = engine.size is not None
            self.controls.motion_scale = engine.motion_scale if engine.composes else None
            return run(
                source,
                magnifier,
                self.controls,
                view=view,
                record=lambda: self._open_recorder(rate),
                limit=self.limit,
            )

    def _open(self, spec: str) -> FrameSource:
        if spec == "test":
            return SceneSource(self.size or (640, 480), self.fps or 30.0, live=True)
        return open_source(spec, size=self.size, fps=self.fps)

    def _open_view(self, name: str) -> View | None:
        if self.view == "window":
            return WindowSink(f"rtmag: {name}")
        if self.view == "none":
            return None
        try:
            from rtmag.realtime.web.sink import WebSink
        except ImportError as error:
            if isinstance(error, RtmagError) or (error.name or "").startswith("rtmag"):
                raise
            raise MissingExtra(
                f"--view web needs {error.name}: pip install 'rtmag[web]'"
            ) from error
        return WebSink(
            self.controls, name, host=self.host, port=self.port, viewers=self.max_viewers
        )

    def _open_recorder(self, fps: float) -> VideoSink:
        """The file that was asked for; after that, or without it, numbered ones."""
        path, self.record = self.record, None
        overwrite = self.overwrite and path is not None
        if path is None:
            suffix = _UNNAMED.suffix
            path = with_suffix(numbered(_UNNAMED.with_suffix(""), (suffix,)), suffix)
        self.note(f"recording to {path}")
        return VideoSink(path, fps=fps, overwrite=overwrite)
