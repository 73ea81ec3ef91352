"""A live run that is served to browsers on real sockets, for tests of the web server and page."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from rtmag.realtime.controls import Controls
from rtmag.realtime.engines.engine import Engine
from rtmag.realtime.engines.loading import load_engine
from rtmag.realtime.magnifier import Magnifier
from rtmag.realtime.run.guard import Guard
from rtmag.realtime.run.live import LiveOptions, Recorder
from rtmag.realtime.run.loop import Pipeline, run
from rtmag.realtime.run.report import Report
from rtmag.realtime.sinks.sink import Sink
from rtmag.realtime.sources.scene.scene import SceneSource
from rtmag.realtime.web.view import WebView
from tests.support.fakes import identity_model


class ServedRun:
    """The built-in scene, magnified in a thread and served until `stop`.

    Args:
        model: ONNX file; None: the packaged model `fast`.
        size: width and height in pixels.
        fps: frames per second.
        name: name of the source on the page.
        frames: number of frames; None: without end.
        engine: used instead of a model, with the guard against failures.
        record: opens a recording.
        record_to: path of the first recording of the program's own recorder, used instead.
        options: further arguments of `WebView`.
    """

    def __init__(
        self,
        model: Path | None,
        *,
        size: tuple[int, int] = (320, 240),
        fps: float = 20.0,
        name: str = "the scene",
        frames: int | None = None,
        engine: Engine | None = None,
        record: Callable[[], Sink] | None = None,
        record_to: Path | None = None,
        **options: Any,
    ) -> None:
        self.controls = Controls()
        self.source = SceneSource(size, fps, frames=frames, live=True)
        self.view = WebView(self.controls, name, **{"port": 0} | options)
        loaded = engine or load_engine(model or "fast", motion_scale=1.0 if model else 0.25)
        self.controls.motion_scale = loaded.motion_scale if loaded.scalable else None
        self.magnifier = Magnifier(loaded)
        self._record = record
        if record_to is not None:
            live = LiveOptions(controls=self.controls, notice=lambda text: None, record=record_to)
            self._record = Recorder(live, fps, dict, self.view)
        # Only with an engine: a guard ends the process, and so all tests, if a test hangs.
        self._guard = Guard(self.magnifier, lambda: loaded, lambda text: None) if engine else None
        self.report: Report | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self.view.server.port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _run(self) -> None:
        with self.source as source, self._guard or nullcontext():
            self.report = run(
                Pipeline(
                    source,
                    self.magnifier,
                    self.controls,
                    guard=self._guard,
                    view=self.view,
                    open_recording=self._record,
                )
            )

    def connect(self, **options: Any) -> ClientConnection:
        """Connect a WebSocket as the page does."""
        defaults: dict[str, Any] = {"origin": self.url, "compression": None, "close_timeout": 1}
        viewer: ClientConnection = connect(f"ws://127.0.0.1:{self.port}/ws", **defaults | options)
        return viewer

    def stop(self) -> None:
        self.controls.quit = True
        self._thread.join(10)


@contextmanager
def serve(folder: Path | None, **options: Any) -> Iterator[ServedRun]:
    """Serve a run; with a folder, a model that changes nothing is made there and used."""
    model = identity_model(folder / "identity.onnx") if folder else None
    served = ServedRun(model, **options)
    try:
        yield served
    finally:
        served.stop()


def send(viewer: ClientConnection, **message: object) -> None:
    """Send a request as JSON."""
    viewer.send(json.dumps(message))


def receive(viewer: ClientConnection, topic: str, timeout: float = 10.0) -> Any:
    """Return the next message of a topic; other messages and pictures are skipped."""
    end = time.monotonic() + timeout
    while True:
        data = viewer.recv(max(end - time.monotonic(), 0.01))
        if isinstance(data, str) and topic in (message := json.loads(data)):
            return message[topic]


def count_pictures(viewer: ClientConnection, seconds: float) -> int:
    """Number of pictures that arrive within the given time."""
    end, count = time.monotonic() + seconds, 0
    while (left := end - time.monotonic()) > 0:
        try:
            count += isinstance(viewer.recv(left), bytes)
        except TimeoutError:
            break
    return count
