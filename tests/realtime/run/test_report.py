"""Counts of a run, as written to JSON lines."""

import json
import time

import pytest

from rtmag.realtime.frame import Frame
from rtmag.realtime.run.report import Tally
from rtmag.realtime.sources.source import Status
from tests.support.fakes import blank


def counted(indices: tuple[int, ...], *, live: bool = True, late: float = 0.1) -> Tally:
    tally = Tally(live=live)
    for index in indices:
        frame = Frame(blank(), time.monotonic() - late, index)
        tally.count(frame)
    return tally


def test_snapshot_before_the_first_frame() -> None:
    assert Tally(live=True).snapshot(Status()) == {
        "frames": 0, "dropped": 0, "fps": 0.0, "latency_ms": None, "latency_p95_ms": None,
        "state": "RUNNING", "reconnects": 0, "stalls": 0, "errors": 0,
    }  # fmt: skip


def test_snapshot_has_counts_rate_and_latency() -> None:
    snapshot = json.loads(json.dumps(counted((0, 1, 4)).snapshot(Status())))
    assert (snapshot["frames"], snapshot["dropped"]) == (3, 2)
    assert snapshot["latency_ms"] == pytest.approx(100, abs=60)
    assert snapshot["latency_ms"] <= snapshot["latency_p95_ms"]
    assert snapshot["fps"] > 0


def test_files_have_no_latency() -> None:
    snapshot = counted((0, 1, 2), live=False).snapshot(Status())
    assert (snapshot["dropped"], snapshot["latency_ms"], snapshot["latency_p95_ms"]) == (
        0,
        None,
        None,
    )


def test_snapshot_has_the_status_of_the_source() -> None:
    snapshot = Tally(live=True).snapshot(Status("RECONNECTING", reconnects=2, stalls=3, errors=4))
    assert (snapshot["state"], snapshot["reconnects"], snapshot["stalls"], snapshot["errors"]) == (
        "RECONNECTING", 2, 3, 4,
    )  # fmt: skip
