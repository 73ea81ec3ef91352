"""What is told of a source."""

from rtmag.realtime.sources.source import Status
from tests.support.fakes import FakeSource


def test_a_source_that_tells_nothing_is_running() -> None:
    assert FakeSource().status.state == "RUNNING"
    assert FakeSource().status.alert() is None


def test_what_passes_is_told_with_its_time() -> None:
    assert Status("STALLED", 10.0).alert(13.4) == "no picture (3 s)"
    assert Status("CONNECTING", 10.0).alert(10.0) == "connecting (0 s)"
    assert Status("ENDED", 10.0).alert(12.0) is None
