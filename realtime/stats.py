"""A run's figures for programs: `--stats json`, a line a second and a summary at the end."""

import json
import time
from collections.abc import Callable
from typing import Any

from rtmag.realtime.report import Report

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
