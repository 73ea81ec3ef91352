"""`with` closes what it holds, whatever happens in between."""

import pytest

from rtmag.realtime.sources.source import Closeable


class Door(Closeable):
    """Something that is open until it is closed."""

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def test_the_end_of_with_closes() -> None:
    with Door() as door:
        assert isinstance(door, Door)
        before = door.closed
    assert (before, door.closed) == (0, 1)


def test_an_error_closes_too_and_goes_on() -> None:
    door = Door()
    with pytest.raises(KeyError), door:
        raise KeyError
    assert door.closed == 1
