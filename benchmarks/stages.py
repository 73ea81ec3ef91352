"""Timing of the stages of the live loop.

`capture` lasts from the moment when a camera would have delivered the picture until the loop has
it, `pre` until the network has its inputs, `infer` until it has its outputs, and `post` until the
picture is ready. `encode` is the recording, in a thread of its own. The classes here wrap the parts
of the loop, so rtmag itself needs no code for timing.
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
        """Add the time of one frame in a stage."""
        self._took[stage][index] = seconds

    def summary(self, first: int) -> dict[str, dict[str, float]]:
        """Median and 95th percentile in ms of each stage with frames, from frame `first` on."""
        found = {}
        for stage, took in self._took.items():
            times = [1e3 * seconds for index, seconds in took.items() if index >= first]
            if times:
                p50, p95 = (round(float(v), 2) for v in np.percentile(times, (50, 95)))
                found[stage] = {"p50_ms": p50, "p95_ms": p95}
        return found


class TimedSession:
    """Wrapper of an engine's session that records the start and end of the last run."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.began = self.ended = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, *args: Any) -> Any:
        """Run the session and record the times."""
        self.began = time.monotonic()
        out = self._session.run(*args)
        self.ended = time.monotonic()
        return out


class TimedMagnifier(Magnifier):
    """A magnifier that times its stages; without a session, everything counts as `infer`."""

    def __init__(self, engine: Any, stages: Stages, **settings: Any) -> None:
        self._stages = stages
        self._session: TimedSession | None = None
        if hasattr(engine, "_session"):
            engine = copy(engine)  # another run may measure it too
            self._session = engine._session = TimedSession(engine._session)
        super().__init__(engine, **settings)

    def magnify(self, frame: Frame) -> Frame:
        """Magnify one frame and add the time of each part."""
        received = time.monotonic()
        out = super().magnify(frame)
        finished = time.monotonic()
        self._stages.add("capture", frame.index, received - frame.time)
        if self._session is None:
            self._stages.add("infer", frame.index, finished - received)
            return out
        self._stages.add("pre", frame.index, self._session.began - received)
        self._stages.add("infer", frame.index, self._session.ended - self._session.began)
        self._stages.add("post", frame.index, finished - self._session.ended)
        return out


class TimedEncoder(BaseSink):
    """Wrapper of a sink that times encoding."""

    def __init__(self, sink: Sink, stages: Stages) -> None:
        self._sink, self._stages = sink, stages

    def write(self, frame: Frame) -> None:
        """Write a frame and add the time that it took."""
        began = time.monotonic()
        self._sink.write(frame)
        self._stages.add("encode", frame.index, time.monotonic() - began)

    def close(self, *, finished: bool = True) -> None:
        """Close the sink."""
        self._sink.close(finished=finished)
