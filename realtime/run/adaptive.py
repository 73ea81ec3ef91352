"""Choice of model and motion scale so that this machine keeps up with the camera.

`choose` runs before the first frame. It tries (model, motion scale) pairs from the highest quality
down, in the order of the quality benchmark, on noise of the frame size. It takes the first pair
that is fast enough. Pairs that are much too slow are recognised by one step on a small picture, or
by the time of the same model at a larger scale. `Pace` runs afterwards. It changes the motion scale
when the machine becomes slower or faster. Motion is measured at a smaller size before frames are
dropped; the picture always keeps its resolution.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count, islice
from statistics import median

import numpy as np

from rtmag.realtime.controls import Controls
from rtmag.realtime.engines.engine import Engine
from rtmag.realtime.engines.loading import load_spec
from rtmag.realtime.engines.spec import AUTO, MOTION_SCALES, EngineSpec, scale_name
from rtmag.realtime.filters import Static
from rtmag.realtime.frame import Frame
from rtmag.realtime.log import logger
from rtmag.realtime.rate import RateMeter
from rtmag.realtime.run.watchdog import PATIENT, Watchdog

CANDIDATES = (
    ("standard", 1.0),
    ("fast", 1.0),
    ("standard", 0.5),
    ("fast", 0.5),
    ("standard", 0.25),
    ("fast", 0.25),
)
"""(model, motion scale), highest quality first."""

STEP_SHARE = 0.6
"""Share of the frame interval that a step of the model may take. Capture, display and other
programs need the rest."""

TRIALS = 5
"""Number of timed steps per candidate."""

SLOW_SHARE = 0.85
"""Share of the frame interval above which the next smaller motion scale is taken, because frames
are about to be dropped."""

FAST_SECONDS = 10.0
"""Seconds for which the next larger motion scale must be fast enough before it is taken."""

_WINDOW = 15
"""Number of frames over which the medians are taken."""

_COST_RATIO = 4.0
"""Largest possible time at a motion scale, relative to half that scale: four times the pixels."""

_PROBE = (640, 480)
"""Width and height of the small picture."""

_HOPELESS = 2.0
"""A pair is not tried any further if a rough estimate of its time exceeds the limit this often."""

_PATIENCE = 2.0
"""Seconds after which the pairs that are tried are printed."""


def choose(
    spec: EngineSpec,
    size: tuple[int, int],
    fps: float,
    notice: Callable[[str], None] = lambda message: None,
) -> Engine:
    """Load the engine of the highest quality that is fast enough, or else the fastest one.

    Args:
        spec: the requested engine. A model `auto` and a motion scale None are chosen here.
        size: (width, height) of the frames in pixels.
        fps: frames per second of the source.
        notice: prints messages about the progress, which may take seconds.

    Raises:
        ModelIncompatible, ProviderUnavailable: see `load_engine`, for the first candidate.
    """
    if spec.model != AUTO and spec.motion_scale is not None:
        return load_spec(spec)
    notice(f"choosing a model for {size[0]}x{size[1]} at {fps:.3g} frames/s ...")
    budget, start = STEP_SHARE / fps, time.monotonic()

    def measure(engine: Engine, candidate: EngineSpec) -> float:
        if time.monotonic() - start > _PATIENCE:
            notice(f"trying {candidate.model}, motion scale {scale_name(engine.motion_scale)} ...")
        with watchdog.step():
            return step_time(engine, size, budget)

    with Watchdog(PATIENT) as watchdog:
        return _first_within(budget, _candidates(spec), measure)


def _candidates(spec: EngineSpec) -> list[EngineSpec]:
    """Return the candidates that agree with the spec, highest quality first."""
    if spec.model != AUTO:
        scales = sorted({scale for _, scale in CANDIDATES}, reverse=True)
        return [replace(spec, motion_scale=scale) for scale in scales]
    return [
        replace(spec, model=model, motion_scale=scale)
        for model, scale in CANDIDATES
        if spec.motion_scale in (None, scale)
    ]


def _first_within(
    budget: float, specs: list[EngineSpec], measure: Callable[[Engine, EngineSpec], float]
) -> Engine:
    """Load one spec after the other; return the first engine that is fast enough, or the fastest.

    Specs are skipped that cannot be fast enough according to the time at a larger scale, except the
    last one, which is the fastest on most machines.

    Args:
        budget: largest time of a step, in seconds.
        specs: the candidates, highest quality first.
        measure: returns the time of a step of an engine in seconds; may be a rough estimate if that
            is far above the budget.
    """
    engine: Engine | None = None
    tried: list[tuple[float, EngineSpec]] = []
    one_scale: set[str | None] = set()
    """Models that have only one motion scale."""
    for spec in specs:
        least = max((_least(spec, *trial) for trial in tried), default=0.0)
        if spec.model in one_scale or (least > _HOPELESS * budget and spec is not specs[-1]):
            continue
        engine = None  # an engine may need 100 MB for large frames: free it before the next one
        engine = load_spec(spec)
        seconds = measure(engine, spec)
        logger().debug(
            "%s at motion scale %s takes %.1f ms per frame; %.1f ms are available",
            spec.model, spec.motion_scale, 1e3 * seconds, 1e3 * budget,
        )  # fmt: skip
        if seconds <= budget:
            return engine
        tried.append((seconds, spec))
        if not engine.scalable:
            one_scale.add(spec.model)
    fastest = min(tried, key=lambda trial: trial[0])[1]
    if engine is None or fastest is not tried[-1][1]:
        engine = None
        engine = load_spec(fastest)
    return engine


def _least(spec: EngineSpec, seconds: float, tried: EngineSpec) -> float:
    """Return the least possible time of a spec, from that of the same model at a larger scale."""
    if spec.model != tried.model or spec.motion_scale is None or tried.motion_scale is None:
        return 0.0
    return seconds * (spec.motion_scale / tried.motion_scale) ** 2


def step_time(engine: Engine, size: tuple[int, int], budget: float | None = None) -> float:
    """Return the median time of a step on noise, in seconds; the first steps are not counted.

    Args:
        engine: called several times.
        size: (width, height) of the pictures in pixels.
        budget: a time far above this limit is estimated from one step, on a small picture if
            `size` is large; None: no limit.
    """
    limit = math.inf if budget is None else _HOPELESS * budget
    share = math.prod(size) / math.prod(_PROBE)
    if budget is not None and share > 2 and engine.size is None:
        _, seconds = islice(_step_times(engine, _PROBE), 2)
        if share * seconds > limit:
            return share * seconds
    times = _step_times(engine, size)
    next(times)
    second = next(times)
    return second if second > limit else median(islice(times, TRIALS))


def _step_times(engine: Engine, size: tuple[int, int]) -> Iterator[float]:
    """Yield the time of each step on noise, in seconds, without end."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (2, size[1], size[0], 3), np.uint8)
    sections = Static().sections(30.0)
    state = None
    for number in count():
        start = time.perf_counter()
        _, state = engine.step(images[number % 2], 20.0, sections, state)
        yield time.perf_counter() - start


class Pace:
    """Changes the motion scale of the controls so that the loop keeps up with the source.

    Nothing is changed after the user has selected a scale, or if the engine has only one.

    Args:
        controls: their `motion_scale` is changed.
    """

    def __init__(self, controls: Controls) -> None:
        self._controls = controls
        self._scale = controls.motion_scale
        """The scale that was set by this class; None after the user has selected another one."""
        self._seconds: deque[float] = deque(maxlen=_WINDOW)
        self._rate = RateMeter(_WINDOW, least=_WINDOW)
        self._last: Frame | None = None
        self._fast_since: float | None = None

    @classmethod
    def for_engine(
        cls, engine: Engine, controls: Controls, spec: EngineSpec, *, live: bool
    ) -> "Pace | None":
        """Set the motion scale of the controls to that of the engine, and return a pace for it.

        Returns:
            None if the user gave a motion scale, or if the source is not live.
        """
        controls.motion_scale = engine.motion_scale if engine.scalable else None
        return cls(controls) if spec.motion_scale is None and live else None

    def update(self, frame: Frame, seconds: float) -> str | None:
        """Add the processing time of a frame, in seconds; return a message if the scale changes.

        The rate of the source includes frames that were dropped before this one.
        """
        last, self._last = self._last, frame
        if self._controls.motion_scale != self._scale:
            self._scale = None
        if self._scale is None:
            return None
        if last is not None and (frame.epoch != last.epoch or frame.index <= last.index):
            self._rate.restart()
            last = None
        self._rate.add(frame.time, frame.index - last.index if last is not None else 1)
        self._seconds.append(seconds)
        if self._rate.fps is None or len(self._seconds) < _WINDOW:
            return None
        playback = self._controls.playback
        share = median(self._seconds) * self._rate.fps * (playback.speed if playback else 1.0)
        if share > SLOW_SHARE:
            self._fast_since = None
            smaller = self._scale / 2
            return self._change(smaller, "to keep up") if smaller in MOTION_SCALES else None
        if self._scale * 2 not in MOTION_SCALES or share * _COST_RATIO > STEP_SHARE:
            self._fast_since = None
        elif self._fast_since is None:
            self._fast_since = frame.time
        elif frame.time - self._fast_since >= FAST_SECONDS:
            return self._change(self._scale * 2, "as the machine is fast enough")
        return None

    def _change(self, scale: float, reason: str) -> str:
        self._scale = self._controls.motion_scale = scale
        self._seconds.clear()
        self._fast_since = None
        size = "full" if scale == 1 else scale_name(scale)
        return f"measuring motion at {size} size {reason}"
