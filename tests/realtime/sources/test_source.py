"""Base classes and status of sources."""

import pytest

from rtmag.realtime.sources.source import Closeable, Status
from tests.support.fakes import FakeSource


class Door(Closeable):
    """Counts the calls of close()."""

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def test_the_end_of_a_with_block_closes() -> None:
    with Door() as door:
        assert isinstance(door, Door)
        before = door.closed
    assert (before, door.closed) == (0, 1)


def test_an_error_closes_too_and_is_raised() -> None:
    door = Door()
    with pytest.raises(KeyError), door:
        raise KeyError
    assert door.closed == 1


def test_a_source_is_running_by_default() -> None:
    assert FakeSource().status.state == "RUNNING"
    assert FakeSource().status.alert() is None


def test_temporary_states_have_an_alert_with_their_duration() -> None:
    assert Status("STALLED", 10.0).alert(13.4) == "no picture (3 s)"
    assert Status("CONNECTING", 10.0).alert(10.0) == "connecting (0 s)"
    assert Status("ENDED", 10.0).alert(12.0) is None
