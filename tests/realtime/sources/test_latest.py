"""The newest frame counts; nothing waits for ever, and no error is lost."""

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


def test_waiting_is_bounded_and_ends_when_something_comes() -> None:
    slot: LatestSlot[int] = LatestSlot()
    start = time.monotonic()
    assert slot.get(0.05) is None
    assert 0.04 < time.monotonic() - start < 1
    threading.Timer(0.05, slot.put, [7]).start()
    assert slot.get(5) == 7
    assert time.monotonic() - start < 2


def test_a_closed_slot_gives_its_last_item_and_takes_none() -> None:
    slot: LatestSlot[int] = LatestSlot()
    slot.put(1)
    slot.close()
    assert not slot.put(2)
    assert not slot.ended
    assert slot.get(0) == 1
    assert slot.ended
    assert slot.get(5) is None


def test_an_error_comes_once_and_after_the_last_item() -> None:
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
        indices = []
        for frame in itertools.islice(latest, 5):
            assert time.monotonic() - frame.time < 0.1
            indices.append(frame.index)
            time.sleep(0.05)
    assert all(b - a > 1 for a, b in itertools.pairwise(indices))
    assert latest.dropped > 10


def test_the_end_of_the_source_ends_the_iteration() -> None:
    with LatestFrames(FakeSource(3, live=True, every=0.03)) as latest:
        assert [frame.index for frame in latest] == [0, 1, 2]
    assert latest.ended


def test_what_the_source_raises_reaches_the_consumer() -> None:
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


def test_a_driver_that_never_returns_does_not_hold_up_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = FakeSource(None, live=True, every=3600)
    latest = LatestFrames(source)
    monkeypatch.setattr(latest._thread, "join", lambda timeout: time.sleep(0))
    start = time.monotonic()
    latest.close()
    assert time.monotonic() - start < 1
    assert all(thread.daemon for thread in readers())
