"""Statistics of a run: counts while it runs, the final report, JSON lines and progress."""

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
"""`end`: the source ended or the limit was reached; `quit`: by the user; `interrupt`: Ctrl-C."""

STATS_INTERVAL = 1.0
"""Seconds between two lines of statistics."""

_RECENT = 30
"""Number of last frames that the current figures are computed from."""

_KEPT = 3000
"""Number of last frames that the latencies of the report are computed from."""


@dataclass(frozen=True, slots=True)
class Report:
    """Result of a run."""

    frames: int
    """Number of frames magnified."""
    dropped: int
    """Number of frames that were skipped because newer ones had arrived; 0 for `rtmag file`."""
    seconds: float
    """Duration of the run."""
    latency_p50_ms: float | None
    """Median time from grab to write over the last 3000 frames, in ms; None for files."""
    latency_p95_ms: float | None
    """95th percentile of that time, in ms."""
    ending: Ending
    errors: tuple[str, ...] = ()
    """Errors that did not end the run, for example of a recording, or a damaged end of a file."""

    @property
    def fps(self) -> float:
        """Frames per second over the whole run."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0

    def __str__(self) -> str:
        text = f"{self.frames} frames in {self.seconds:.1f} s ({self.fps:.1f} fps)"
        if self.latency_p50_ms is not None:
            text += f", {self.dropped} dropped, latency {self.latency_p50_ms:.0f} ms"
            text += f" (95 %: {self.latency_p95_ms:.0f} ms)"
        elif self.dropped:
            text += f", {self.dropped} dropped"
        return text


class Tally:
    """Counts frames and measures rate and latency during a run.

    Args:
        live: True for a live source, which may drop frames.
        timed: True if the times of its frames are those of their arrival, so that there is a
            latency.
    """

    def __init__(self, *, live: bool, timed: bool = True) -> None:
        self.frames = 0
        self.dropped = 0
        self._live, self._timed = live, live and timed
        self._start = time.monotonic()
        self._last: tuple[int, int] | None = None
        """Epoch and index of the last frame."""
        self._times: deque[float] = deque(maxlen=_RECENT)
        self._latencies: deque[float] = deque(maxlen=_KEPT)

    def count(self, frame: Frame) -> None:
        """Count a frame that was magnified and written, and the frames dropped before it."""
        now = time.monotonic()
        self.frames += 1
        self._times.append(now)
        if self._timed:
            self._latencies.append(1e3 * (now - frame.time))
        if self._live and self._last is not None and frame.epoch == self._last[0]:
            self.dropped += max(frame.index - self._last[1] - 1, 0)
        self._last = frame.epoch, frame.index

    def pause(self) -> None:
        """Do not count frames as dropped that arrive before the next call of `count`."""
        self._last = None
        self._times.clear()

    @property
    def fps(self) -> float:
        """Frames per second over the last 30 frames; 0 if unknown.

        This is the rate of the processed frames. `RateMeter` measures that of the source, in which
        dropped frames count.
        """
        span = self._times[-1] - self._times[0] if len(self._times) > 1 else 0.0
        return (len(self._times) - 1) / span if span > 0 else 0.0

    def snapshot(self, status: Status) -> dict[str, Any]:
        """Return the current figures: rate in 1/s and latencies in ms over the last 30 frames.

        Args:
            status: of the source; its `errors` are damaged packets and pictures.
        """
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
        """Return the result of the run."""
        p50 = p95 = None
        if self._latencies:
            p50, p95 = (float(v) for v in np.percentile(list(self._latencies), (50, 95)))
        seconds = time.monotonic() - self._start
        return Report(self.frames, self.dropped, seconds, p50, p95, ending, errors)


class Stats:
    """Writes statistics as lines of JSON: one per second, and a summary.

    Args:
        write: called with each line.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._due = time.monotonic() + STATS_INTERVAL
        self._snapshot: Callable[[], dict[str, Any]] | None = None

    def tick(self, snapshot: Callable[[], dict[str, Any]]) -> None:
        """Write a line if a second has passed since the last one.

        Args:
            snapshot: returns the current figures, see `Tally.snapshot`.
        """
        self._snapshot = snapshot
        now = time.monotonic()
        if now >= self._due:
            self._due = now + STATS_INTERVAL
            self._write(json.dumps(snapshot()))

    def end(self, report: Report) -> None:
        """Write the summary: the figures over the whole run, and its ending."""
        figures = self._snapshot() if self._snapshot is not None else {}
        summary = {
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
        self._write(json.dumps(figures | summary))

    def fail(self) -> None:
        """Write the last figures of a run that ended with an error, if it had started."""
        if self._snapshot is not None:
            figures = self._snapshot() | {"state": "FAILED", "ending": "failure"}
            self._write(json.dumps(figures))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


class Progress(Protocol):
    """Progress display for one file after another."""

    def begin(self, name: str, frames: int | None) -> None:
        """Start a file; `frames` is its estimated number of frames, None if unknown."""
        ...

    def step(self) -> None:
        """Count a frame as done."""
        ...

    def end(self) -> None:
        """Finish the file, after success or an error."""
        ...


class NoProgress:
    """A progress display that shows nothing."""

    def begin(self, name: str, frames: int | None) -> None:
        """Do nothing."""

    def step(self) -> None:
        """Do nothing."""

    def end(self) -> None:
        """Do nothing."""
