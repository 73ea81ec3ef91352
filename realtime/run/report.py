"""What a run does and did: counts, rates and delays."""

import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from rtmag.realtime.frame import Frame
from rtmag.realtime.sources.source import Status

Ending = Literal["end", "quit", "interrupt"]
"""The source ended or the limit was reached; a person quit; Ctrl-C."""

_RECENT = 30

_KEPT = 3000


@dataclass(frozen=True, slots=True)
class Report:
    """What a run did."""

    frames: int
    """Frames magnified."""
    dropped: int
    """Frames never looked at because newer ones had come; always 0 for files."""
    seconds: float
    latency_p50_ms: float | None
    """From grab to write, live only: median and 95th percentile over the last minutes."""
    latency_p95_ms: float | None
    ending: Ending
    errors: tuple[str, ...] = ()
    """What failed without ending the run: recordings in a view, the damaged end of a file."""

    @property
    def fps(self) -> float:
        """Frames per second over the whole run."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0

    def __str__(self) -> str:
        words = f"{self.frames} frames in {self.seconds:.1f} s ({self.fps:.1f} fps)"
        if self.latency_p50_ms is not None:
            words += f", {self.dropped} dropped, latency {self.latency_p50_ms:.0f} ms"
            words += f" (95 %: {self.latency_p95_ms:.0f} ms)"
        return words


class Tally:
    """The counts of a run in progress."""

    def __init__(self, *, live: bool) -> None:
        self.frames = 0
        self.dropped = 0
        self._live = live
        self._start = time.monotonic()
        self._last_index: int | None = None
        self._moments: deque[float] = deque(maxlen=_RECENT)
        self._latencies: deque[float] = deque(maxlen=_KEPT)

    def arrived(self, frame: Frame) -> None:
        """A frame was taken from the source."""
        if self._live and self._last_index is not None:
            self.dropped += max(frame.index - self._last_index - 1, 0)
        self._last_index = frame.index

    def delivered(self, frame: Frame) -> None:
        """The frame was magnified and written."""
        now = time.monotonic()
        self.frames += 1
        self._moments.append(now)
        if self._live:
            self._latencies.append(1e3 * (now - frame.time))

    def paused(self) -> None:
        """Frames that pass now are no loss."""
        self._last_index = None
        self._moments.clear()

    @property
    def fps(self) -> float:
        """Frames per second over the last moments, 0 while unknown."""
        span = self._moments[-1] - self._moments[0] if len(self._moments) > 1 else 0.0
        return (len(self._moments) - 1) / span if span > 0 else 0.0

    @property
    def latency_ms(self) -> float | None:
        """Median over the last moments, None for files."""
        recent = list(self._latencies)[-_RECENT:]
        return float(np.median(recent)) if recent else None

    def snapshot(self, status: Status | None = None) -> dict[str, Any]:
        """The figures of this moment, for programs.

        Rate and delays over the last moments, in 1/s and ms; None while there are none. `status` is
        the source's, if it has one: `errors` are its damaged packets and pictures.
        """
        status = status or Status()
        recent = list(self._latencies)[-_RECENT:]
        p50, p95 = np.percentile(recent, (50, 95)).round(2).tolist() if recent else (None, None)
        return {
            "frames": self.frames,
            "dropped": self.dropped,
            "fps": round(self.fps, 2),
            "latency_ms": p50,
            "latency_p95_ms": p95,
            "state": status.state,
            "reconnects": status.reconnects,
            "stalls": status.stalls,
            "errors": status.errors,
        }

    def report(self, ending: Ending, errors: tuple[str, ...]) -> Report:
        """The final account."""
        p50 = p95 = None
        if self._latencies:
            p50, p95 = (float(v) for v in np.percentile(list(self._latencies), (50, 95)))
        seconds = time.monotonic() - self._start
        return Report(self.frames, self.dropped, seconds, p50, p95, ending, errors)


EVERY = 1.0
"""Seconds between two lines."""

Figures = Callable[[], dict[str, Any]]
"""Those of the moment, as Tally.snapshot has them."""


class Stats:
    """Writes lines of JSON.

    Args:
        write: takes a line.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._due = time.monotonic() + EVERY
        self._figures: Figures | None = None

    def tick(self, figures: Figures) -> None:
        """A line, if it is time for one."""
        self._figures = figures
        now = time.monotonic()
        if now >= self._due:
            self._due = now + EVERY
            self._tell(figures())

    def end(self, report: Report) -> None:
        """The summary: the same keys, but of the whole run, and how it ended."""
        figures = self._figures() if self._figures is not None else {}
        told = {
            "frames": report.frames,
            "dropped": report.dropped,
            "fps": round(report.fps, 2),
            "latency_ms": _rounded(report.latency_p50_ms),
            "latency_p95_ms": _rounded(report.latency_p95_ms),
            "state": "ENDED",
            "ending": report.ending,
            "seconds": round(report.seconds, 2),
            "failures": list(report.errors),
        }
        self._tell(figures | told)

    def fail(self) -> None:
        """The last figures of a run that ended in an error, if it had begun."""
        if self._figures is not None:
            self._tell(self._figures() | {"state": "FAILED", "ending": "failure"})

    def _tell(self, figures: dict[str, Any]) -> None:
        self._write(json.dumps(figures))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


class Progress(Protocol):
    """Told of each frame of one file after another."""

    def begin(self, name: str, frames: int | None) -> None:
        """A file begins; `frames` is how many it may have."""
        ...

    def step(self) -> None:
        """A frame is done."""
        ...

    def end(self) -> None:
        """The file is done, well or not."""
        ...
