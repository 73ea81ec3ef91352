"""What a run counts, as programs are told."""

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
        tally.arrived(frame)
        tally.delivered(frame)
    return tally


def test_before_the_first_frame_there_are_no_figures() -> None:
    assert Tally(live=True).snapshot() == {
        "frames": 0, "dropped": 0, "fps": 0.0, "latency_ms": None, "latency_p95_ms": None,
        "state": "RUNNING", "reconnects": 0, "stalls": 0, "errors": 0,
    }  # fmt: skip


def test_a_snapshot_counts_and_times() -> None:
    told = json.loads(json.dumps(counted((0, 1, 4)).snapshot()))
    assert (told["frames"], told["dropped"]) == (3, 2)
    assert told["latency_ms"] == pytest.approx(100, abs=60)
    assert told["latency_ms"] <= told["latency_p95_ms"]
    assert told["fps"] > 0


def test_files_have_no_delay() -> None:
    told = counted((0, 1, 2), live=False).snapshot()
    assert (told["dropped"], told["latency_ms"], told["latency_p95_ms"]) == (0, None, None)


def test_the_source_says_how_it_does() -> None:
    told = Tally(live=True).snapshot(Status("RECONNECTING", reconnects=2, stalls=3, errors=4))
    assert (told["state"], told["reconnects"], told["stalls"], told["errors"]) == (
        "RECONNECTING", 2, 3, 4,
    )  # fmt: skip
