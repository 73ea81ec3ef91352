"""Measure the latency of the whole live loop at the rate of a camera.

A source delivers rendered pictures of the built-in scene 15 to 60 times a second. They pass the
latest-frame slot, the magnifier and the loop to a sink that discards them; in a second run they are
also recorded as mp4. Latency counts from the moment when a camera would have delivered the frame
until the sink has it. A frame is late if it was dropped or took longer than two intervals. Model
and motion scale are chosen and adapted as in the program. Stages: benchmarks/stages.py.

    python -m benchmarks.live [--model NAME|PATH|auto] [--motion-scale auto|1|1/2|1/4]
                              [--size 640x480[@30]]... [--seconds 12] [--out FILE.json]

The last line of stdout is one JSON document.
"""

import json
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.stages import Stages, TimedEncoder, TimedMagnifier
from rtmag.realtime.bench.timing import training_commit
from rtmag.realtime.cli.console import notice
from rtmag.realtime.cli.options import LiveScale, parse_size, scale_of
from rtmag.realtime.controls import Controls
from rtmag.realtime.engines.engine import Engine
from rtmag.realtime.engines.loading import load_spec
from rtmag.realtime.engines.spec import EngineSpec
from rtmag.realtime.environment import machine
from rtmag.realtime.filters import Temporal
from rtmag.realtime.frame import Frame, Image
from rtmag.realtime.run.adaptive import Pace, choose
from rtmag.realtime.run.guard import Guard
from rtmag.realtime.run.loop import Pipeline, run
from rtmag.realtime.sinks.background import BackgroundSink
from rtmag.realtime.sinks.sink import BaseSink, Sink
from rtmag.realtime.sinks.video_file import VideoSink
from rtmag.realtime.sources.scene.scene import SceneSource
from rtmag.realtime.sources.source import BaseSource

CAMERAS = ("640x480@30", "640x480@60", "1280x720@30", "1920x1080@15", "1920x1080@30")
WARM = 6.0  # seconds of warm-up: filter, caches and motion scale become stable


class PacedSource(BaseSource):
    """A source that delivers pictures at fixed times, like a camera."""

    live = True
    name = "paced scene"

    def __init__(self, images: list[Image], fps: float, seconds: float) -> None:
        self._images = images
        self.fps: float | None = fps
        self._interval = 1 / fps
        self.size = (images[0].shape[1], images[0].shape[0])
        self._count = round(seconds * fps)
        self._closed = False

    def __iter__(self) -> Iterator[Frame]:
        """Yield each frame at its time."""
        start = time.monotonic()
        for index in range(self._count):
            due = start + index * self._interval
            time.sleep(max(due - time.monotonic(), 0))
            if self._closed:
                return
            yield Frame(self._images[index % len(self._images)], due, index)

    def close(self) -> None:
        """End the iteration."""
        self._closed = True


class LatencySink(BaseSink):
    """A sink that keeps only the latency of each frame."""

    def __init__(self) -> None:
        self.latencies: dict[int, float] = {}

    def write(self, frame: Frame) -> None:
        """Record the latency of a frame."""
        self.latencies[frame.index] = time.monotonic() - frame.time

    def close(self, *, finished: bool = True) -> None:
        """Nothing to close."""


def parse_camera(case: str) -> tuple[tuple[int, int], float]:
    """Size and rate from '640x480@15'; the rate is 30 by default."""
    size, _, rate = case.partition("@")
    return parse_size(size) or (640, 480), float(rate or 30)


def measure(
    engine: Engine,
    wanted: EngineSpec,
    size: tuple[int, int],
    fps: float,
    seconds: float,
    record: Path | None,
) -> dict[str, Any]:
    """Measure one row: `engine` is the model at the end, `chosen` the one at the start."""
    with SceneSource(size, frames=30) as scene:
        images = [frame.image for frame in scene]
    stages, screen = Stages(), LatencySink()
    magnifier = TimedMagnifier(engine, stages, alpha=20, filter=Temporal(0.5, 3), fps=fps)
    sinks: list[Sink] = [screen]
    recording = None
    if record is not None:
        recording = BackgroundSink(TimedEncoder(VideoSink(record, fps=fps), stages))
        sinks.insert(0, recording)
    source = PacedSource(images, fps, WARM + seconds)
    controls = Controls(alpha=20, filter=Temporal(0.5, 3))
    began = time.process_time()
    pace = Pace.for_engine(engine, controls, wanted, live=source.live)
    with Guard(magnifier, partial(load_spec, wanted), notice) as guard:
        run(Pipeline(source, magnifier, controls, sinks, guard=guard, pace=pace))
    if guard.failures:
        raise RuntimeError(f"the model failed for {guard.failures} frames")
    busy = time.process_time() - began
    first = round(WARM * fps)
    latencies = [1e3 * s for index, s in screen.latencies.items() if index >= first]
    due = round(seconds * fps)
    late = due - sum(ms <= 2e3 / fps for ms in latencies)
    p50, p95, p99 = (round(float(v), 1) for v in np.percentile(latencies, (50, 95, 99)))
    return {
        "engine": magnifier.engine.described, "chosen": engine.described,
        "commit": training_commit(engine),
        "width": size[0], "height": size[1], "fps": fps,
        "sink": "none" if recording is None else "mp4",
        "frames": due, "shown": len(latencies), "late_percent": round(100 * late / due, 2),
        "unrecorded": None if recording is None else recording.dropped,
        "p50_ms": p50, "p95_ms": p95, "p99_ms": p99,
        "cpu_ms": round(1e3 * busy / len(screen.latencies), 1),
        "stages": stages.summary(first),
    }  # fmt: skip


def main(
    model: Annotated[str, typer.Option(help="Name, path or auto.")] = "auto",
    motion_scale: LiveScale = "auto",
    size: Annotated[list[str] | None, typer.Option(help="WxH or WxH@FPS; repeatable.")] = None,
    seconds: Annotated[float, typer.Option(help="Measured seconds per run.")] = 12.0,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON to this file.")] = None,
) -> None:
    """Run the loop at the rate of a camera."""
    spec = EngineSpec(model=model, motion_scale=scale_of(motion_scale))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for number, (extent, rate) in enumerate(map(parse_camera, size or CAMERAS)):
            engine = choose(spec, extent, rate)
            for record in (None, Path(folder) / f"{number}.mp4"):
                rows.append(measure(engine, spec, extent, rate, seconds, record))
                print(
                    "{width}x{height} at {fps:g} fps, sink {sink}: {engine}, latency {p50_ms} ms "
                    "(95 %: {p95_ms}), {late_percent} % late, {cpu_ms} ms of CPU per frame".format(
                        **rows[-1]
                    )
                )
    commits = {row["engine"]: row.pop("commit") for row in rows}
    document = {"benchmark": "live", **machine(), "commits": commits, "rows": rows}
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(document, indent=2) + "\n")
    print(json.dumps(document))


if __name__ == "__main__":
    typer.run(main)
