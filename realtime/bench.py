"""How fast models run on this machine: `rtmag bench`.

Regimes: the engine's step alone (picture in, picture out, state carried), on moving pictures,
without capture or display. Rounds alternate between the engines, so that whatever else the machine
does hits all of them alike; medians are compared. The floor is rtmag/realtime/floor.py's.
"""

import json
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from rtmag.realtime.engine import Engine, load_engine
from rtmag.realtime.errors import ModelIncompatible
from rtmag.realtime.filters import Sections, State, Temporal
from rtmag.realtime.floor import Floor, measure_floor
from rtmag.realtime.installed import rtmag_version
from rtmag.realtime.motion_scale import MOTION_SCALES
from rtmag.realtime.providers import runtime, usable_cores
from rtmag.realtime.scene import SceneSource

WARM = 3
"""Steps that do not count: they allocate."""
QUICK = ((160, 120),)


def bench(
    models: Sequence[str | Path],
    sizes: Sequence[tuple[int, int]] = ((640, 480),),
    *,
    scales: Sequence[float] = tuple(MOTION_SCALES),
    runtimes: Sequence[str] = ("auto",),
    threads: int | None = None,
    rounds: int = 30,
    unsafe: bool = False,
    beside: Sequence[Engine] = (),
) -> dict[str, Any]:
    """Time every model at every scale and size.

    Args:
        models: Names or paths; the last one, on the first runtime, is what the others' speed is
            compared with.
        sizes: (width, height) of the pictures.
        scales: Motion scales; a model that draws its pictures itself is run at 1 only.
        runtimes: Each as `engine` of `load_engine`.
        threads: As of `load_engine`.
        rounds: Steps timed for each.
        unsafe: As of `load_engine`.
        beside: Whatever else takes steps, timed in the same turns.

    Raises:
        ModelIncompatible, ProviderUnavailable: as `load_engine`.
    """
    opened = [  # what the others are compared with comes last
        engine
        for runtime in reversed(runtimes)
        for engine in open_engines(models, scales, runtime, threads, unsafe=unsafe)
    ]
    engines = [*beside, *opened]
    floor = measure_floor()
    sections = Temporal(0.5, 3).sections(30.0)
    rows = []
    for size in sizes:
        times = time_steps(engines, size, sections, rounds)
        least = [floor_ms(engine, size, sections, floor) for engine in engines]
        baseline = float(np.median(times[-1]))
        rows += [row(*each, size, baseline) for each in zip(engines, times, least, strict=True)]
    return {
        "benchmark": "fps",
        "baseline": engines[-1].described,
        "provider": opened[-1].provider,
        **machine(),
        "floor": asdict(floor),
        "commits": {e.name: commit(e) for e in opened},
        "rows": rows,
    }


def open_engines(
    models: Sequence[str | Path],
    scales: Sequence[float],
    engine: str,
    threads: int | None,
    *,
    unsafe: bool = False,
) -> list[Engine]:
    """Every model at every scale that it knows."""
    engines = []
    for model in models:
        for scale in scales:
            try:
                opened = load_engine(
                    model, engine=engine, threads=threads, motion_scale=scale, unsafe=unsafe
                )
            except ModelIncompatible:
                if scale == 1:
                    raise
                break  # it draws its pictures itself
            engines.append(opened)
    return engines


def time_steps(
    engines: Sequence[Engine], size: tuple[int, int], sections: Sections, rounds: int
) -> list[list[float]]:
    """Milliseconds of each step, per engine, taking turns."""
    with SceneSource(size, frames=16) as scene:
        images = [frame.image for frame in scene]
    states: list[State | None] = [None] * len(engines)
    times: list[list[float]] = [[] for _ in engines]
    for turn in range(rounds + WARM):
        for k, engine in enumerate(engines):
            began = time.perf_counter_ns()
            _, states[k] = engine.step(images[turn % 16], 20.0, sections, states[k])
            if turn >= WARM:
                times[k].append((time.perf_counter_ns() - began) / 1e6)
    return times


def floor_ms(
    engine: Engine, size: tuple[int, int], sections: Sections, floor: Floor
) -> float | None:
    """The least a step can take; None for a model that does not tell what it costs."""
    facts = engine.metadata
    if "rtmag.macs" not in facts:
        return None
    pixels = size[0] * size[1]
    seen = pixels * engine.motion_scale**2
    elements = 2 * len(sections) * int(facts["rtmag.channels"]) / int(facts["rtmag.stride"]) ** 2
    moved = 2 * 3 * pixels + 2 * 4 * elements * seen  # the picture and the state, in and out
    return floor.ms(int(facts["rtmag.macs"]) * seen, moved)


def row(
    engine: Engine, times: list[float], least: float | None, size: tuple[int, int], base: float
) -> dict[str, Any]:
    """One line of the table."""
    p50, p95, p99 = (float(np.percentile(times, p)) for p in (50, 95, 99))
    macs, parameters = (engine.metadata.get(f"rtmag.{key}") for key in ("macs", "parameters"))
    return {
        "model": engine.name, "provider": engine.provider, "motion_scale": engine.motion_scale,
        "width": size[0], "height": size[1],
        "parameters": parameters and int(parameters), "macs_per_px": macs and int(macs),
        "p50_ms": round(p50, 2), "p95_ms": round(p95, 2), "p99_ms": round(p99, 2),
        "fps": round(1000 / p50, 1), "floor_ms": least and round(least, 2),
        "floor_share": least and round(least / p50, 3), "speed": round(base / p50, 2),
    }  # fmt: skip


def machine() -> dict[str, Any]:
    """Where and with what a benchmark ran."""
    return {
        "machine": {"cpu": processor(), "cores": usable_cores(), "system": platform.platform()},
        "versions": {
            "rtmag": rtmag_version(),
            "numpy": np.__version__,
            "onnxruntime": runtime().__version__,
        },
    }


def processor() -> str:
    """What the operating system calls the CPU."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def commit(engine: Engine) -> str:
    """Of the code that trained the model."""
    return str(json.loads(engine.metadata.get("rtmag.training", "{}")).get("commit", "untrained"))
