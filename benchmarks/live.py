"""How long a picture takes from camera to screen: the whole live loop, at a camera's pace.

A source gives pictures of the built-in scene, drawn beforehand, 30 or 60 times a second; they go
through the latest-frame slot, the magnifier and the loop to a sink that keeps nothing (or, with
--record, into a video file). Latency counts from the moment when a camera would have delivered the
frame until the sink has it. A frame is late when it was dropped, or took longer than two intervals.

    python -m benchmarks.live [--model NAME|PATH|auto] [--motion-scale auto|1|1/2|1/4]
                              [--size 640x480[@30]]... [--seconds 20] [--out FILE.json]

The last line of stdout is one JSON document.
"""

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from rtmag.realtime.bench import commit, machine
from rtmag.realtime.choice import choose
from rtmag.realtime.closing import Closing
from rtmag.realtime.engine import EngineSpec
from rtmag.realtime.filters import Temporal
from rtmag.realtime.frame import Frame, Image
from rtmag.realtime.keys import Controls
from rtmag.realtime.loop import run
from rtmag.realtime.magnifier import Magnifier
from rtmag.realtime.options import LiveScale, parse_size, scale_of
from rtmag.realtime.recorder import VideoSink
from rtmag.realtime.scene import SceneSource
from rtmag.realtime.sinks import NullSink, Sink

WARM = 2.0  # seconds that do not count: the filter settles, caches fill


class Paced(Closing):
    """Pictures that come by the clock; those for which nobody asked in time never existed."""

    live = True
    frames = None
    name = "paced scene"

    def __init__(self, images: list[Image], fps: float, seconds: float) -> None:
        self._images = images
        self.fps = fps
        self.size = (images[0].shape[1], images[0].shape[0])
        self._count = round(seconds * fps)
        self._closed = False

    def __iter__(self) -> Iterator[Frame]:
        """Each at its time."""
        start = time.monotonic()
        for index in range(self._count):
            due = start + index / self.fps
            time.sleep(max(due - time.monotonic(), 0))
            if self._closed:
                return
            yield Frame(self._images[index % len(self._images)], due, index)

    def close(self) -> None:
        """End the iteration."""
        self._closed = True


class Watched:
    """A magnifier and a sink that note how long they take, and when frames are through."""

    def __init__(self, magnifier: Magnifier, sink: Sink) -> None:
        self._magnifier, self._sink = magnifier, sink
        self.magnified: list[float] = []
        self.written: list[float] = []
        self.latencies: list[float] = []
        self.indices: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._magnifier, name)

    def __call__(self, frame: Frame) -> Frame:
        """Magnify."""
        began = time.perf_counter()
        out = self._magnifier(frame)
        self.magnified.append(time.perf_counter() - began)
        return out

    def write(self, frame: Frame) -> None:
        """Pass on."""
        began = time.perf_counter()
        self._sink.write(frame)
        self.written.append(time.perf_counter() - began)
        self.latencies.append(time.monotonic() - frame.time)
        self.indices.append(frame.index)

    def close(self, *, finished: bool = True) -> None:
        """Pass on."""
        self._sink.close(finished=finished)


def parsed(case: str, fps: float) -> tuple[tuple[int, int], float]:
    """Size and rate from '640x480' or '640x480@15'."""
    size, _, rate = case.partition("@")
    return parse_size(size) or (640, 480), float(rate or fps)


def measure(
    spec: EngineSpec, size: tuple[int, int], fps: float, seconds: float, record: Path | None
) -> dict[str, Any]:
    """One line of the table."""
    with SceneSource(size, frames=30) as scene:
        images = [frame.image for frame in scene]
    engine = choose(spec, size, fps)
    magnifier = Magnifier(engine, alpha=20, filter=Temporal(0.5, 3), fps=fps)
    watched = Watched(magnifier, VideoSink(record, fps=fps) if record else NullSink())
    source = Paced(images, fps, WARM + seconds)
    began = time.process_time()
    run(source, watched, Controls(alpha=20, mode="temporal", fl=0.5, fh=3), [watched])
    busy = time.process_time() - began
    first = next(n for n, index in enumerate(watched.indices) if index >= WARM * fps)
    latencies = 1e3 * np.array(watched.latencies[first:])
    due = round(seconds * fps)
    late = due - int((latencies <= 2e3 / fps).sum())
    p50, p95, p99 = (round(float(v), 1) for v in np.percentile(latencies, (50, 95, 99)))
    return {
        "engine": engine.described, "commit": commit(engine),
        "width": size[0], "height": size[1], "fps": fps,
        "frames": due, "shown": len(latencies), "late_percent": round(100 * late / due, 2),
        "p50_ms": p50, "p95_ms": p95, "p99_ms": p99,
        "magnify_ms": round(1e3 * float(np.median(watched.magnified[first:])), 2),
        "write_ms": round(1e3 * float(np.median(watched.written[first:])), 2),
        "cpu_ms": round(1e3 * busy / len(watched.indices), 1),
        "sink": "file" if record else "none",
    }  # fmt: skip


def main(
    model: Annotated[str, typer.Option(help="Name, path or auto.")] = "auto",
    motion_scale: LiveScale = "auto",
    size: Annotated[list[str] | None, typer.Option(help="WxH or WxH@FPS; repeatable.")] = None,
    fps: Annotated[float, typer.Option(help="Of the source, where a size says none.")] = 30.0,
    seconds: Annotated[float, typer.Option(help="Measured, per size.")] = 20.0,
    record: Annotated[bool, typer.Option("--record", help="Into a video file.")] = False,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON here.")] = None,
) -> None:
    """Run the loop at a camera's pace."""
    spec = EngineSpec(model=model, motion_scale=scale_of(motion_scale))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for extent, rate in [parsed(each, fps) for each in size or ["640x480"]]:
            path = Path(folder) / f"{extent[0]}x{extent[1]}.mp4" if record else None
            rows.append(measure(spec, extent, rate, seconds, path))
            print(
                "{width}x{height} at {fps:g} fps: {engine}, latency {p50_ms} ms (95 %: {p95_ms}), "
                "{late_percent} % late, {cpu_ms} ms of CPU per frame".format(**rows[-1])
            )
    commits = {row["engine"]: row.pop("commit") for row in rows}
    document = {"benchmark": "live", **machine(), "commits": commits, "rows": rows}
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(document, indent=2) + "\n")
    print(json.dumps(document))


if __name__ == "__main__":
    typer.run(main)
