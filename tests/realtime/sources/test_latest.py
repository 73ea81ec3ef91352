"""Newest frame of a live source: bounded waits, counted drops, no lost errors."""

import itertools
import threading
import time

import pytest

from rtmag.realtime.errors import SourceLost
from rtmag.realtime.sources.latest import LatestFrames, LatestSlot
from tests.support.fakes import FakeSource


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "rtmag reader"]


def test_the_newest_item_replaces_an_older_one() -> None:
    slot: LatestSlot[int] = LatestSlot()
    assert all(slot.put(number) for number in range(5))
    assert slot.get(0) == 4
    assert slot.dropped == 4
    assert slot.get(0) is None


def test_get_waits_until_an_item_comes_or_the_timeout_ends() -> None:
    slot: LatestSlot[int] = LatestSlot()
    start = time.monotonic()
    assert slot.get(0.05) is None
    assert 0.04 < time.monotonic() - start < 1
    threading.Timer(0.05, slot.put, [7]).start()
    assert slot.get(5) == 7
    assert time.monotonic() - start < 2


def test_a_closed_slot_returns_its_last_item_and_accepts_none() -> None:
    slot: LatestSlot[int] = LatestSlot()
    slot.put(1)
    slot.close()
    assert not slot.put(2)
    assert not slot.ended
    assert slot.get(0) == 1
    assert slot.ended
    assert slot.get(5) is None


def test_an_error_is_raised_once_after_the_last_item() -> None:
    slot: LatestSlot[int] = LatestSlot()
    slot.put(1)
    slot.close(SourceLost("unplugged"))
    slot.close(SourceLost("later"))
    assert slot.get(0) == 1
    assert not slot.ended
    with pytest.raises(SourceLost, match="unplugged"):
        slot.get(0)
    assert slot.ended


def test_a_slow_consumer_gets_new_frames_only() -> None:
    with LatestFrames(FakeSource(None, live=True, every=0.005)) as latest:
        indices, ages = [], []
        for frame in itertools.islice(latest, 5):
            ages.append(time.monotonic() - frame.time)
            indices.append(frame.index)
            time.sleep(0.05)
    assert min(ages) < 0.1
    assert all(b - a > 1 for a, b in itertools.pairwise(indices))
    assert latest.dropped > 10


def test_the_end_of_the_source_ends_the_iteration() -> None:
    with LatestFrames(FakeSource(3, live=True, every=0.03)) as latest:
        assert [frame.index for frame in latest] == [0, 1, 2]
    assert latest.ended


def test_errors_of_the_source_reach_the_consumer() -> None:
    source = FakeSource(2, live=True, every=0.03, error=SourceLost("unplugged"))
    seen = []
    with LatestFrames(source) as latest, pytest.raises(SourceLost, match="unplugged"):
        for frame in latest:
            seen.append(frame.index)
    assert seen == [0, 1]


def test_an_interrupted_consumer_ends_the_thread() -> None:
    source = FakeSource(None, live=True, every=0.01)
    with pytest.raises(KeyboardInterrupt), LatestFrames(source) as latest:
        for _ in latest:
            raise KeyboardInterrupt
    assert readers() == []
    assert source.left


def test_close_does_not_wait_for_a_driver_that_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = FakeSource(None, live=True, every=3600)
    latest = LatestFrames(source)
    monkeypatch.setattr(latest._thread, "join", lambda timeout: time.sleep(0))
    start = time.monotonic()
    latest.close()
    assert time.monotonic() - start < 1
    assert all(thread.daemon for thread in readers())
