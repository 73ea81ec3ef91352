"""Check that memory does not grow over millions of frames in the real loop.

A source of noise, 160x120, is lost and opened again every 20 000 frames. Its frames pass the
reconnecting source, the guard, the magnifier and the loop, with the identity engine in place of a
model. Memory, file descriptors, threads and Python objects are sampled. After a tenth of the
run, which fills the caches, none of them may grow. 2 600 000 frames are a day at 30 fps.

    python -m benchmarks.soak [--frames 2600000] [--out FILE.json] [--plot FILE.png]

In the background: nohup nice -n 10 python -m benchmarks.soak --out soak.json > soak.log 2>&1 &
Samples are written during the run. The last line of stdout is one JSON document.
"""

import gc
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import psutil
import typer

from rtmag.realtime.controls import Controls
from rtmag.realtime.engines.loading import load_engine
from rtmag.realtime.environment import machine
from rtmag.realtime.errors import SourceLost
from rtmag.realtime.frame import Frame
from rtmag.realtime.magnifier import Magnifier
from rtmag.realtime.run.guard import Guard
from rtmag.realtime.run.loop import Pipeline, run
from rtmag.realtime.sinks.sink import NullSink
from rtmag.realtime.sources.reconnecting import ReconnectingSource
from rtmag.realtime.sources.retry import RetryPolicy
from rtmag.realtime.sources.source import BaseSource

SIZE = (160, 120)
LOST_EVERY = 20_000
SAMPLES = 200
WARM = 0.1  # share of the run that is not checked
ALLOWED_MB = 20.0
ALLOWED_MB_PER_100K = 1.0  # per 100 000 frames


class Noise(BaseSource):
    """Pictures of noise, one per permit of the semaphore; lost after `LOST_EVERY` frames."""

    live, name, size = True, "noise", SIZE
    frames: int | None = None
    fps: float | None = None

    def __init__(self, permits: threading.Semaphore) -> None:
        self._permits = permits
        rng = np.random.default_rng(0)
        self._images = rng.integers(0, 255, (8, SIZE[1], SIZE[0], 3)).astype(np.uint8)
        self._closed = False

    def __iter__(self) -> Iterator[Frame]:
        """Yield a new array for each frame, like a camera."""
        for index in range(LOST_EVERY):
            self._permits.acquire(timeout=1.0)
            if self._closed:
                return
            yield Frame(self._images[index % 8].copy(), time.monotonic(), index)
        raise SourceLost("noise is lost")

    def close(self) -> None:
        """End the iteration."""
        self._closed = True


class Sampler:
    """Sample the resources of the process at regular intervals."""

    def __init__(self, total: int, out: Path | None) -> None:
        self.permits = threading.Semaphore()
        self.rows: list[dict[str, float]] = []
        self._process = psutil.Process()
        self._every = max(total // SAMPLES, 1)
        self._out, self._count, self._start = out, 0, time.monotonic()

    def __call__(self, _: Frame, magnified: Frame) -> None:
        """Count a frame and release the next one."""
        self.permits.release()
        self._count += 1
        if self._count % self._every:
            return
        gc.collect()
        row = {
            "frames": self._count,
            "seconds": round(time.monotonic() - self._start, 1),
            "rss_mb": round(self._process.memory_info().rss / 1e6, 2),
            "descriptors": self._process.num_fds(),
            "threads": self._process.num_threads(),
            "objects": len(gc.get_objects()),
        }
        self.rows.append(row)
        if self._out is not None:
            self._out.with_suffix(".samples.json").write_text(json.dumps(self.rows) + "\n")


def verdict(rows: list[dict[str, float]]) -> dict[str, Any]:
    """Growth after the first tenth of the run, and `passed`."""
    later = rows[int(WARM * len(rows)) :]
    frames = np.array([row["frames"] for row in later]) / 1e5

    def slope(key: str) -> float:
        return round(float(np.polyfit(frames, [row[key] for row in later], 1)[0]), 3)

    def growth(key: str) -> float:
        """Median of the last tenth minus median of the first tenth, as single samples vary."""
        values = [row[key] for row in later]
        part = max(len(values) // 10, 1)
        return round(float(np.median(values[-part:]) - np.median(values[:part])), 2)

    figures = {
        "rss_mb_per_100k": slope("rss_mb"),
        "objects_per_100k": slope("objects"),
        **{f"{key}_growth": growth(key) for key in ("rss_mb", "descriptors", "threads", "objects")},
    }
    figures["passed"] = bool(
        figures["rss_mb_per_100k"] <= ALLOWED_MB_PER_100K
        and figures["rss_mb_growth"] <= ALLOWED_MB
        and figures["descriptors_growth"] == figures["threads_growth"] == 0
        and abs(figures["objects_growth"]) < 100
    )
    return figures


def draw(document: dict[str, Any], path: Path) -> None:
    """Plot the samples over the frames."""
    keys = {"rss_mb": "memory, MB", "descriptors": "descriptors", "threads": "threads",
            "objects": "objects"}  # fmt: skip
    over = [row["frames"] / 1e6 for row in document["samples"]]
    plot_samples(path, document["samples"], keys, over, "frames, million")


def plot_samples(
    path: Path, rows: list[dict[str, Any]], keys: dict[str, str], over: list[float], along: str
) -> None:
    """Plot several figures below each other over the same axis."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(len(keys), 1, sharex=True, figsize=(7, 7))
    for axis, (key, words) in zip(axes, keys.items(), strict=True):
        axis.plot(over, [row[key] for row in rows], lw=1)
        axis.set_ylabel(words)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    axes[-1].set_xlabel(along)
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def main(
    frames: Annotated[int, typer.Option(min=100, help="Number of frames.")] = 2_600_000,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON to this file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Plot the samples into this file.")] = None,
) -> None:
    """Run, sample and check; the exit code is 1 if something grew."""
    sampler = Sampler(frames, out)
    policy = RetryPolicy(delays=(0.01,), long_outage_delays=(0.01,))
    engine = load_engine("none")
    faults: list[str] = []
    with ReconnectingSource(lambda: Noise(sampler.permits), policy=policy) as source:
        magnifier, sinks = Magnifier(engine, alpha=20), [NullSink()]
        with Guard(magnifier, lambda: engine, faults.append) as guard:
            report = run(
                Pipeline(
                    source,
                    magnifier,
                    Controls(),
                    sinks,
                    guard=guard,
                    limit=frames,
                    on_frame=sampler,
                )
            )
        reconnects = source.status.reconnects
    document = {
        "benchmark": "soak", **machine(), "frames": report.frames,
        "dropped": report.dropped, "seconds": round(report.seconds, 1), "size": SIZE,
        "reconnects": reconnects, "faults": faults, "verdict": verdict(sampler.rows),
        "samples": sampler.rows,
    }  # fmt: skip
    if out is not None:
        out.write_text(json.dumps(document, indent=1) + "\n")
        out.with_suffix(".samples.json").unlink(missing_ok=True)
    if plot is not None:
        draw(document, plot)
    print(json.dumps(document))
    if not document["verdict"]["passed"] or faults:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
