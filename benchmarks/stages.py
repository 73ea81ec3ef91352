"""The stages of a frame's way through the live loop, each timed where it is called from outside.

`capture` lasts from the moment when a camera would have delivered the picture until the loop has
it, `pre` until the network has its inputs, `infer` until it gave its outputs, `post` until the
picture is made of them. `encode` is a recording's, in a thread of its own. Nothing in rtmag knows
of this: the parts are wrapped, and where nobody measures there is nothing.
"""

import time
from copy import copy
from typing import Any

import numpy as np

from rtmag.realtime.frame import Frame
from rtmag.realtime.magnifier import Magnifier
from rtmag.realtime.sinks.sink import BaseSink, Sink

STAGES = ("capture", "pre", "infer", "post", "encode")


class Stages:
    """Seconds of every frame in each stage, by the frame's index."""

    def __init__(self) -> None:
        self._took: dict[str, dict[int, float]] = {stage: {} for stage in STAGES}

    def add(self, stage: str, index: int, seconds: float) -> None:
        """One frame has been through a stage."""
        self._took[stage][index] = seconds

    def summary(self, first: int) -> dict[str, dict[str, float]]:
        """Median and 95th percentile in ms from frame `first` on, of the stages there were."""
        found = {}
        for stage, took in self._took.items():
            times = [1e3 * seconds for index, seconds in took.items() if index >= first]
            if times:
                p50, p95 = (round(float(v), 2) for v in np.percentile(times, (50, 95)))
                found[stage] = {"p50_ms": p50, "p95_ms": p95}
        return found


class TimedSession:
    """What runs an engine's network; notes when it last began and ended."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.began = self.ended = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, *args: Any) -> Any:
        """Pass on."""
        self.began = time.monotonic()
        out = self._session.run(*args)
        self.ended = time.monotonic()
        return out


class TimedMagnifier(Magnifier):
    """A magnifier whose steps are told apart; of an engine without a session all is `infer`."""

    def __init__(self, engine: Any, stages: Stages, **settings: Any) -> None:
        self._stages = stages
        self._session: TimedSession | None = None
        if hasattr(engine, "_session"):
            engine = copy(engine)  # another run may measure it too
            self._session = engine._session = TimedSession(engine._session)
        super().__init__(engine, **settings)

    def magnify(self, frame: Frame) -> Frame:
        """Magnify one frame and add the time of each part."""
        taken = time.monotonic()
        out = super().magnify(frame)
        made = time.monotonic()
        self._stages.add("capture", frame.index, taken - frame.time)
        if self._session is None:
            self._stages.add("infer", frame.index, made - taken)
            return out
        self._stages.add("pre", frame.index, self._session.began - taken)
        self._stages.add("infer", frame.index, self._session.ended - self._session.began)
        self._stages.add("post", frame.index, made - self._session.ended)
        return out


class TimedEncoder(BaseSink):
    """A sink that codes pictures."""

    def __init__(self, sink: Sink, stages: Stages) -> None:
        self._sink, self._stages = sink, stages

    def write(self, frame: Frame) -> None:
        """Pass on."""
        began = time.monotonic()
        self._sink.write(frame)
        self._stages.add("encode", frame.index, time.monotonic() - began)

    def close(self, *, finished: bool = True) -> None:
        """Pass on."""
        self._sink.close(finished=finished)
