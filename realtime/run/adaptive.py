"""Which model, and at which motion scale, this machine can keep up with.

Tried from the most faithful down (the order is that of the quality benchmark), on a noisy picture
of the size that will come; the first one fast enough is taken. Motion is found more coarsely before
frames are dropped; the picture always keeps its resolution.
"""

import statistics
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from statistics import median

import numpy as np

from rtmag.realtime.controls import Controls
from rtmag.realtime.engines.engine import Engine
from rtmag.realtime.engines.loading import EngineSpec
from rtmag.realtime.engines.spec import AUTO, MOTION_SCALES, scale_name
from rtmag.realtime.filters import Static
from rtmag.realtime.frame import Frame
from rtmag.realtime.log import logger

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


MOST = 0.85
"""Of the time between frames that one may take; beyond it frames are about to drop."""

ROOM = 10.0
"""Seconds for which the next larger scale would have had room, until it is tried."""

_RECENT = 15

_GROWTH = 4.0
"""A scale twice as large takes at most so many times as long: it has four times the pixels."""


class Pace:
    """Moves the controls' motion scale."""

    def __init__(self, controls: Controls) -> None:
        self._controls = controls
        self._scale = controls.motion_scale
        """The scale now; None where it cannot be changed, or somebody else has changed it."""
        self._spent: deque[float] = deque(maxlen=_RECENT)
        self._intervals: deque[float] = deque(maxlen=_RECENT)
        self._last: Frame | None = None
        self._room: float | None = None

    def took(self, frame: Frame, seconds: float) -> str | None:
        """A frame took the loop so many seconds; returns what to tell when the scale changes."""
        last, self._last = self._last, frame
        if self._controls.motion_scale != self._scale:
            self._scale = None
        if self._scale is None:
            return None
        if last is not None and frame.index > last.index and frame.epoch == last.epoch:
            # Frames that dropped in between came at the source's rate too.
            self._intervals.append((frame.time - last.time) / (frame.index - last.index))
        self._spent.append(seconds)
        if len(self._intervals) < _RECENT or len(self._spent) < _RECENT:
            return None
        share = median(self._spent) / median(self._intervals)
        if share > MOST:
            self._room = None
            smaller = self._scale / 2
            return self._move(smaller, "is too slow") if smaller in MOTION_SCALES else None
        if self._scale * 2 not in MOTION_SCALES or share * _GROWTH > SHARE:
            self._room = None
        elif self._room is None:
            self._room = frame.time
        elif frame.time - self._room >= ROOM:
            return self._move(self._scale * 2, "has room")
        return None

    @classmethod
    def following(
        cls, controls: Controls, engine: Engine, wanted: EngineSpec, *, live: bool
    ) -> "Pace | None":
        """Tell the controls the engine's scale; one that moves it if nobody chose and none wait."""
        controls.motion_scale = engine.motion_scale if engine.composes else None
        return cls(controls) if wanted.motion_scale is None and live else None

    def _move(self, scale: float, why: str) -> str:
        self._scale = self._controls.motion_scale = scale
        self._spent.clear()
        self._room = None
        return f"motion at {scale_name(scale)}: the machine {why}"
