"""Recording while the picture runs."""

import numpy as np
import pytest

from rtmag.realtime.controls import Controls, Layout
from rtmag.realtime.errors import SinkError
from rtmag.realtime.run.loop import run
from tests.support.fakes import FakeMagnifier, FakeSink, FakeSource, FakeView


def test_recording_is_turned_on_and_off() -> None:
    files: list[FakeSink] = []

    def record() -> FakeSink:
        files.append(FakeSink())
        return files[-1]

    view = FakeView("..r...r..r")
    run(FakeSource(14), FakeMagnifier(), Controls(), view=view, record=record)
    assert [frame.index for frame in files[0].frames] == [3, 4, 5, 6]
    assert files[0].finished is True
    assert files[1].finished is True
    assert len(files) == 2


def test_a_recording_keeps_the_layout_it_began_with() -> None:
    file = FakeSink()
    view = FakeView("sr.s..")
    run(FakeSource(9), FakeMagnifier(), Controls(), view=view, record=lambda: file)
    assert {frame.size for frame in file.frames} == {(128, 48)}


@pytest.mark.parametrize(
    ("layout", "grey"),
    [("magnified", {102}), ("side", {2, 102}), ("split", {2, 102, 255}), ("difference", {228}),
     ("original", {2})],
)  # fmt: skip
def test_a_recording_holds_its_layout_without_words(layout: Layout, grey: set[int]) -> None:
    file, controls = FakeSink(), Controls(layout=layout, recording=True)
    run(FakeSource(4), FakeMagnifier(), controls, view=FakeView(), record=lambda: file)
    assert set(np.unique(file.frames[2].image)) == grey


def test_a_recording_that_fails_does_not_end_the_view() -> None:
    file, view = FakeSink(2, SinkError("disk full")), FakeView()
    controls = Controls(recording=True)
    report = run(FakeSource(9), FakeMagnifier(), controls, view=view, record=lambda: file)
    assert report.frames == 9
    assert report.errors == ("disk full",)
    assert not controls.recording
    assert file.finished is False


def test_a_recording_that_fails_unwatched_ends_the_run() -> None:
    file = FakeSink(2, SinkError("disk full"))
    with pytest.raises(SinkError):
        run(FakeSource(9), FakeMagnifier(), Controls(recording=True), record=lambda: file)


def test_a_recording_that_fails_does_not_end_what_others_are_given() -> None:
    """F11: a virtual camera, or a pipe."""
    file, camera = FakeSink(2, SinkError("disk full")), FakeSink()
    controls = Controls(recording=True)
    report = run(FakeSource(9), FakeMagnifier(), controls, [camera], record=lambda: file)
    assert len(camera.frames) == 9
    assert report.errors == ("disk full",)


def test_recording_nowhere_is_said_and_turned_off() -> None:
    controls = Controls(recording=True)
    report = run(FakeSource(2), FakeMagnifier(), controls, view=FakeView())
    assert not controls.recording
    assert report.errors == ()
