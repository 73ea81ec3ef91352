"""Time engines on this machine, for `rtmag bench`.

Only the engine's step is timed, with moving images and the state of the previous step, but without
capture and display. Every engine is timed in every round, so that other load on the machine affects
all of them equally. Medians are compared. In each round an engine takes two steps, and only the
second one counts. The first one is slower, because the caches hold another engine's data and the
threads sleep. For a step of 10 ms, this adds more time than a pause of one second does. The lower
bound of a step is the roofline's (rtmag/realtime/bench/roofline.py).

With several streams, one step of each stream is timed; the streams have different images. A network
that takes several streams per run is timed both ways: all streams in one run, and one stream after
the other. The figure of merit is streams x fps: images per second, of all streams together.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from rtmag.realtime.bench.costs import (
    bound_ms,
    describe_costs,
    memory_traffic,
    open_with_baseline,
    roofline_device,
)
from rtmag.realtime.bench.roofline import Roofline, best_rates, measure_rooflines
from rtmag.realtime.engines.engine import Engine
from rtmag.realtime.engines.spec import AUTO, MOTION_SCALES, EngineSpec
from rtmag.realtime.environment import machine
from rtmag.realtime.filters import Temporal
from rtmag.realtime.frame import Image
from rtmag.realtime.run.watchdog import PATIENT, Watchdog
from rtmag.realtime.sections import Sections, State
from rtmag.realtime.sources.scene.scene import SceneSource

WARM_UP_ROUNDS = 1
"""Rounds that do not count, because engines allocate memory in them."""

QUICK = ((160, 120),)
"""Image sizes of `rtmag bench --quick`."""

BASELINE = "oh2018"
"""The network of Oh et al., which `rtmag.export.onnx_export` exports."""

ALPHA = 20.0
"""Magnification factor of all timed steps."""


def bench(
    models: Sequence[str | Path],
    sizes: Sequence[tuple[int, int]] = ((640, 480),),
    *,
    spec: EngineSpec | None = None,
    scales: Sequence[float] = tuple(MOTION_SCALES),
    runtimes: Sequence[str] = (AUTO,),
    precisions: Sequence[str] = (AUTO,),
    rounds: int = 30,
    streams: Sequence[int] = (1,),
    baseline: str | Path | None = None,
    extra: Sequence[Engine] = (),
    print_line: Callable[[str], object] = lambda line: None,
) -> dict[str, Any]:
    """Time every model at every scale and size, with every number of streams.

    Args:
        models: Names or paths. Without a separate `baseline`, the last one is the baseline. The
            other models' speed is relative to it on the same runtime, with one stream after the
            other. It runs in float32 if `precisions` contains that.
        sizes: (width, height) of the images, px.
        spec: Threads and permissions for all models. With `compiled`, `.pt2` files are timed
            compiled and plain.
        scales: Motion scales; models that support scale 1 only run at that.
        runtimes: `engine` of `load_engine`.
        precisions: `precision` of `load_engine`, where it makes a difference.
        rounds: Steps timed for each engine.
        streams: Numbers of streams.
        baseline: One more model, run with one stream only.
        extra: Other engines, timed in the same rounds. Their speed is relative to the baseline on
            its fastest runtime.
        print_line: Called with each line about costs, before anything is timed.

    Returns:
        The document that `rtmag bench` prints: one row per engine, size and number of streams.

    Raises:
        ModelIncompatible, ProviderUnavailable: as `load_engine`.
    """
    groups = [
        open_with_baseline(
            replace(spec or EngineSpec(), engine=runtime), models, scales, precisions, baseline
        )
        for runtime in reversed(runtimes)
    ]
    baselines = [group[-1] for group in groups]
    engines = [engine for group in groups for engine in group]
    devices, environment = [roofline_device(engine) for engine in engines], machine()
    rooflines = measure_rooflines(devices)
    sections = Temporal(0.5, 3).sections(30.0)
    for line in describe_costs(environment, rooflines, engines, sizes, sections):
        print_line(line)
    timed = []
    for size in sizes:
        candidates = [  # made for each size, because states of one size do not fit another
            candidate
            for engine in (*extra, *engines)
            for candidate in candidates_for(
                engine, (1,) if baseline and engine in baselines else streams
            )
        ]
        timed.append((size, candidates, time_steps(candidates, size, sections, rounds)))
        rooflines = best_rates(
            rooflines, measure_rooflines(devices)
        )  # other load on the machine varies
    rows = [row for each in timed for row in result_rows(*each, rooflines, baselines, sections)]
    return {
        "benchmark": "fps",
        "baseline": engines[-1].described,
        "provider": engines[-1].runtime,
        **environment,
        "floor": asdict(rooflines.pop("cpu")),
        "gpu_floors": {name: asdict(each) for name, each in rooflines.items()},
        "commits": {engine.name: training_commit(engine) for engine in engines},
        "rows": rows,
    }


class Candidate:
    """An engine and the states of its streams, which take their steps in one run or one by one."""

    def __init__(self, engine: Engine, streams: int = 1, *, together: bool = False) -> None:
        self.engine, self.streams, self.together = engine, streams, together
        self._states: list[State | None] = [None] * streams

    def step(self, images: Sequence[Image], sections: Sections) -> None:
        """Take one step of each stream."""
        if self.together:
            alphas, filters = [ALPHA] * self.streams, [sections] * self.streams
            _, states = self.engine.step_many(images, alphas, filters, self._states)
            self._states = [*states]
        else:
            for k, image in enumerate(images):
                _, self._states[k] = self.engine.step(image, ALPHA, sections, self._states[k])


def candidates_for(engine: Engine, streams: Sequence[int]) -> list[Candidate]:
    """Candidates of an engine: streams one by one, and in one run if its network takes several."""
    candidates = []
    for count in streams:
        candidates.append(Candidate(engine, count))
        if count > 1 and engine.streams_per_run > 1:
            candidates.append(Candidate(engine, count, together=True))
    return candidates


def time_steps(
    candidates: Sequence[Candidate], size: tuple[int, int], sections: Sections, rounds: int
) -> list[list[float]]:
    """Time the candidates.

    Returns:
        For each candidate, the milliseconds of the second step of all streams in each round.
    """
    with SceneSource(size, frames=16) as scene:
        images = [frame.image for frame in scene]
    times: list[list[float]] = [[] for _ in candidates]
    with Watchdog(PATIENT) as watchdog:
        for number in range(rounds + WARM_UP_ROUNDS):
            for k, candidate in enumerate(candidates):
                for repeat in range(2):
                    first = 2 * number + repeat
                    shown = [images[(first + n) % 16] for n in range(candidate.streams)]
                    with watchdog.step():
                        start = time.perf_counter_ns()
                        candidate.step(shown, sections)
                        took = time.perf_counter_ns() - start
                if number >= WARM_UP_ROUNDS:
                    times[k].append(took / 1e6)
    return times


def baseline_times(
    candidates: Sequence[Candidate], times: Sequence[list[float]], baselines: Sequence[Engine]
) -> dict[str, float]:
    """Median milliseconds of the baseline per stream, by runtime."""
    return {
        candidate.engine.runtime: float(np.median(times_ms)) / candidate.streams
        for candidate, times_ms in zip(candidates, times, strict=True)
        if not candidate.together and any(candidate.engine is engine for engine in baselines)
    }


def result_rows(
    size: tuple[int, int],
    candidates: Sequence[Candidate],
    times: Sequence[list[float]],
    rooflines: dict[str, Roofline],
    baselines: Sequence[Engine],
    sections: Sections,
) -> Iterator[dict[str, Any]]:
    """The result's rows of one image size."""
    base_times = baseline_times(candidates, times, baselines)
    fastest = min(base_times.values())
    for candidate, times_ms in zip(candidates, times, strict=True):
        engine = candidate.engine
        bound = bound_ms(engine, size, sections, rooflines.get(roofline_device(engine)))
        base = base_times.get(engine.runtime, fastest)
        yield row(candidate, times_ms, bound, size, base, memory_traffic(engine, size, sections))


def row(
    candidate: Candidate,
    times: list[float],
    bound: float | None,
    size: tuple[int, int],
    base: float,
    frame_bytes: int | None = None,
) -> dict[str, Any]:
    """One row of the result.

    Args:
        candidate: Engine and streams.
        times: Milliseconds per step of all streams.
        bound: Roofline bound per stream, ms.
        size: (width, height), px.
        base: The baseline's time per stream, ms.
        frame_bytes: Bytes that a step must read and write, per stream.
    """
    engine, streams = candidate.engine, candidate.streams
    bound = bound and streams * bound
    p50, p95, p99 = (float(np.percentile(times, p)) for p in (50, 95, 99))
    macs, parameters = (engine.metadata.get(f"rtmag.{key}") for key in ("macs", "parameters"))
    return {
        "model": engine.name, "provider": engine.runtime, "precision": engine.precision,
        "motion_scale": engine.motion_scale,
        "width": size[0], "height": size[1],
        "parameters": parameters and int(parameters), "macs_per_px": macs and int(macs),
        "bytes_per_frame": frame_bytes,
        "p50_ms": round(p50, 2), "p95_ms": round(p95, 2), "p99_ms": round(p99, 2),
        "fps": round(1000 / p50, 1), "floor_ms": bound and round(bound, 2),
        "floor_share": bound and round(bound / p50, 3), "speed": round(base * streams / p50, 2),
        "streams": streams, "together": candidate.together, "stream_ms": round(p50 / streams, 2),
        "streams_fps": round(1000 * streams / p50, 1),
    }  # fmt: skip


def training_commit(engine: Engine) -> str:
    """The commit of the code that trained the model; `untrained` if the metadata names none."""
    return str(json.loads(engine.metadata.get("rtmag.training", "{}")).get("commit", "untrained"))
