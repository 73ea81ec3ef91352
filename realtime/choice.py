"""Which model, and at which motion scale, this machine can keep up with.

Tried from the most faithful down (the order is that of the quality benchmark), on a noisy picture
of the size that will come; the first one fast enough is taken. Motion is found more coarsely before
frames are dropped; the picture always keeps its resolution.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from rtmag.realtime.engine import AUTO, Engine, EngineSpec
from rtmag.realtime.filters import Static
from rtmag.realtime.redaction import logger

CANDIDATES = (
    ("standard", 1.0),
    ("fast", 1.0),
    ("standard", 0.5),
    ("fast", 0.5),
    ("standard", 0.25),
    ("fast", 0.25),
)
SHARE = 0.6
"""Of the time between frames that a step may take: the rest is for capture, display, others."""
TRIALS = 5


def choose(wanted: EngineSpec, size: tuple[int, int], fps: float) -> Engine:
    """The most faithful engine that takes a step in time, or the fastest there is.

    Args:
        wanted: What it names is kept to; `auto`, or no motion scale, leaves the choice.
        size: (width, height) of the pictures that will come.
        fps: How many of them a second.

    Raises:
        ModelIncompatible, ProviderUnavailable: as `load_engine`, of the first that is tried.
    """
    if wanted.model != AUTO and wanted.motion_scale is not None:
        return wanted.load()
    return _first_in_time(_specs(wanted), lambda engine: step_time(engine, size), SHARE / fps)


def _specs(wanted: EngineSpec) -> list[EngineSpec]:
    """What may be tried, most faithful first."""
    if wanted.model != AUTO:
        scales = sorted({scale for _, scale in CANDIDATES}, reverse=True)
        return [replace(wanted, motion_scale=scale) for scale in scales]
    return [
        replace(wanted, model=model, motion_scale=scale)
        for model, scale in CANDIDATES
        if wanted.motion_scale in (None, scale)
    ]


def _first_in_time(
    specs: list[EngineSpec], measure: Callable[[Engine], float], most: float
) -> Engine:
    engine: Engine | None = None
    tried: list[tuple[float, EngineSpec]] = []
    drawing: set[str | None] = set()
    """Models that draw their pictures themselves, at one scale only."""
    for spec in specs:
        if spec.model in drawing:
            continue
        engine = None  # 100 MB and more for a large picture: never two at once
        engine = spec.load()
        seconds = measure(engine)
        tried_out = (spec.model, spec.motion_scale, 1e3 * seconds, 1e3 * most)
        logger().debug("%s, motion at %s takes %.1f ms; may take %.1f", *tried_out)
        if seconds <= most:
            return engine
        tried.append((seconds, spec))
        if not engine.composes:
            drawing.add(spec.model)
    fastest = min(tried, key=lambda trial: trial[0])[1]
    if engine is None or fastest is not tried[-1][1]:
        engine = None
        engine = fastest.load()
    return engine


def step_time(engine: Engine, size: tuple[int, int]) -> float:
    """Median seconds of a step on noise; the first steps, which allocate, do not count."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (2, size[1], size[0], 3)).astype(np.uint8)
    sections = Static().sections(30.0)
    state = None
    times = []
    for number in range(TRIALS + 2):
        began = time.perf_counter()
        _, state = engine.step(images[number % 2], 20.0, sections, state)
        times.append(time.perf_counter() - began)
    return statistics.median(times[2:])
