"""How fast models run on this machine: `rtmag bench`.

Regimes: the engine's step alone (picture in, picture out, state carried), on moving pictures,
without capture or display. Rounds alternate between the engines, so that whatever else the machine
does hits all of them alike; medians are compared. A turn is two steps, and the second counts: the
first finds the caches as another engine left them, and its threads asleep, which costs a step of
10 ms more than one of a second. The floor is rtmag/realtime/bench/roofline.py's.

Several streams are one step of each, on pictures of their own. A network that takes them at once is
timed so and one stream after the other, others in turn only. The figure of merit is streams x fps:
pictures a second, of all streams together.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from rtmag.realtime.bench.costs import (
    card,
    floor_ms,
    moved,
    open_group,
    place_of,
    precision,
    ran_by,
)
from rtmag.realtime.bench.roofline import Floor, measure_floors, reached
from rtmag.realtime.engines.engine import Engine
from rtmag.realtime.engines.spec import MOTION_SCALES
from rtmag.realtime.environment import machine
from rtmag.realtime.filters import Temporal
from rtmag.realtime.frame import Image
from rtmag.realtime.sections import Sections, State
from rtmag.realtime.sources.scene.scene import SceneSource

WARM = 1
"""Turns that do not count: they allocate."""

QUICK = ((160, 120),)

BASELINE = "oh2018"
"""The network of Oh et al., which `rtmag.export.onnx_export` exports."""


def bench(
    models: Sequence[str | Path],
    sizes: Sequence[tuple[int, int]] = ((640, 480),),
    *,
    scales: Sequence[float] = tuple(MOTION_SCALES),
    runtimes: Sequence[str] = ("auto",),
    threads: int | None = None,
    rounds: int = 30,
    streams: Sequence[int] = (1,),
    precisions: Sequence[str] = ("auto",),
    unsafe: bool = False,
    compiled: bool = False,
    baseline: str | Path | None = None,
    beside: Sequence[Engine] = (),
    tell: Callable[[str], object] = lambda line: None,
) -> dict[str, Any]:
    """Time every model at every scale and size, with every number of streams.

    Args:
        models: Names or paths; the last one is what the others' speed is compared with, on the
            same runtime, one stream in turn, and in float32 where that is asked for too, unless
            there is a `baseline`.
        sizes: (width, height) of the pictures.
        scales: Motion scales; a model that draws its pictures itself is run at 1 only.
        runtimes: Each as `engine` of `load_engine`.
        threads: As of `load_engine`.
        rounds: Steps timed for each; as many again are not.
        streams: How many are stepped.
        precisions: Each as `precision` of `load_engine`, where that makes a difference.
        unsafe: As of `load_engine`.
        compiled: Time `.pt2` files compiled as well.
        baseline: One more model, stepped with one stream only, that the others are compared with.
        beside: Whatever else takes steps, timed in the same turns; its speed is compared with the
            baseline's where that is fastest.
        tell: Takes the lines of the card, what is known before anything is timed.

    Raises:
        ModelIncompatible, ProviderUnavailable: as `load_engine`.
    """
    groups = [  # what the others are compared with comes last
        open_group(
            models, baseline, scales, runtime, threads, precisions, unsafe=unsafe, compiled=compiled
        )
        for runtime in reversed(runtimes)
    ]
    compared = [group[-1] for group in groups]
    opened = [engine for group in groups for engine in group]
    places, place = [place_of(engine) for engine in opened], machine()
    floors = measure_floors(places)
    sections = Temporal(0.5, 3).sections(30.0)
    for line in card(place, floors, opened, sizes, sections):
        tell(line)
    timed = []
    for size in sizes:  # states of one size do not fit another
        runs = [
            run
            for engine in (*beside, *opened)
            for run in runs_of(engine, (1,) if baseline and engine in compared else streams)
        ]
        timed.append((size, runs, time_steps(runs, size, sections, rounds)))
        floors = reached(floors, measure_floors(places))  # a shared machine has slow moments
    rows = [line for measured in timed for line in lines(*measured, floors, compared, sections)]
    return {
        "benchmark": "fps",
        "baseline": opened[-1].described,
        "provider": ran_by(opened[-1]),
        **place,
        "floor": asdict(floors.pop("cpu")),
        "gpu_floors": {name: asdict(each) for name, each in floors.items()},
        "commits": {e.name: commit(e) for e in opened},
        "rows": rows,
    }


class Run:
    """One engine, so many streams, at once or in turn; keeps their states."""

    def __init__(self, engine: Engine, streams: int = 1, *, together: bool = False) -> None:
        self.engine, self.streams, self.together = engine, streams, together
        self._states: list[State | None] = [None] * streams

    def step(self, images: Sequence[Image], sections: Sections) -> None:
        """One step of each stream."""
        if self.together:
            alphas, filters = [20.0] * self.streams, [sections] * self.streams
            _, states = self.engine.step_many(images, alphas, filters, self._states)
            self._states = [*states]
        else:
            for k, image in enumerate(images):
                _, self._states[k] = self.engine.step(image, 20.0, sections, self._states[k])


def runs_of(engine: Engine, streams: Sequence[int]) -> list[Run]:
    """In turn, and at once where the engine's network takes several."""
    runs = []
    for count in streams:
        runs.append(Run(engine, count))
        if count > 1 and engine.at_once > 1:
            runs.append(Run(engine, count, together=True))
    return runs


def time_steps(
    runs: Sequence[Run], size: tuple[int, int], sections: Sections, rounds: int
) -> list[list[float]]:
    """Milliseconds of the second step of each turn, of all its streams, per run."""
    with SceneSource(size, frames=16) as scene:
        images = [frame.image for frame in scene]
    times: list[list[float]] = [[] for _ in runs]
    for turn in range(rounds + WARM):
        for k, run in enumerate(runs):
            for again in range(2):
                pictures = [images[(2 * turn + again + n) % 16] for n in range(run.streams)]
                began = time.perf_counter_ns()
                run.step(pictures, sections)
            if turn >= WARM:
                times[k].append((time.perf_counter_ns() - began) / 1e6)
    return times


def baselines(
    runs: Sequence[Run], times: Sequence[list[float]], compared: Sequence[Engine]
) -> dict[str, float]:
    """Milliseconds of the baseline for a stream, by what runs it."""
    return {
        ran_by(run.engine): float(np.median(took)) / run.streams
        for run, took in zip(runs, times, strict=True)
        if not run.together and any(run.engine is engine for engine in compared)
    }


def lines(
    size: tuple[int, int],
    runs: Sequence[Run],
    times: Sequence[list[float]],
    floors: dict[str, Floor],
    compared: Sequence[Engine],
    sections: Sections,
) -> Iterator[dict[str, Any]]:
    """The table's lines of one size."""
    bases = baselines(runs, times, compared)
    fastest = min(bases.values())
    for run, took in zip(runs, times, strict=True):
        least = floor_ms(run.engine, size, sections, floors.get(place_of(run.engine)))
        base = bases.get(ran_by(run.engine), fastest)
        yield row(run, took, least, size, base, moved(run.engine, size, sections))


def row(
    run: Run,
    times: list[float],
    least: float | None,
    size: tuple[int, int],
    base: float,
    frame_bytes: int | None = None,
) -> dict[str, Any]:
    """One line of the table; `base` is the baseline's time for a stream."""
    engine, streams = run.engine, run.streams
    least = least and streams * least
    p50, p95, p99 = (float(np.percentile(times, p)) for p in (50, 95, 99))
    macs, parameters = (engine.metadata.get(f"rtmag.{key}") for key in ("macs", "parameters"))
    return {
        "model": engine.name, "provider": ran_by(engine), "precision": precision(engine),
        "motion_scale": engine.motion_scale,
        "width": size[0], "height": size[1],
        "parameters": parameters and int(parameters), "macs_per_px": macs and int(macs),
        "bytes_per_frame": frame_bytes,
        "p50_ms": round(p50, 2), "p95_ms": round(p95, 2), "p99_ms": round(p99, 2),
        "fps": round(1000 / p50, 1), "floor_ms": least and round(least, 2),
        "floor_share": least and round(least / p50, 3), "speed": round(base * streams / p50, 2),
        "streams": streams, "together": run.together, "stream_ms": round(p50 / streams, 2),
        "streams_fps": round(1000 * streams / p50, 1),
    }  # fmt: skip


def commit(engine: Engine) -> str:
    """Of the code that trained the model."""
    return str(json.loads(engine.metadata.get("rtmag.training", "{}")).get("commit", "untrained"))
