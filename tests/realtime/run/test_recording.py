"""Recording that is turned on and off during a run."""

import time
from itertools import pairwise

import numpy as np
import pytest

from rtmag.realtime.controls import Controls, Layout
from rtmag.realtime.errors import SinkError
from rtmag.realtime.frame import Frame
from rtmag.realtime.run.loop import Pipeline, run
from tests.support.fakes import FakeMagnifier, FakeSink, FakeSource, FakeView


def test_key_r_turns_recording_on_and_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtmag.realtime.run.recording._RECORDING_INTERVAL", 0.0)
    files: list[FakeSink] = []

    def record() -> FakeSink:
        files.append(FakeSink())
        return files[-1]

    view = FakeView("..r...r..r")
    run(Pipeline(FakeSource(14), FakeMagnifier(), Controls(), view=view, open_recording=record))
    assert [frame.index for frame in files[0].frames] == [3, 4, 5, 6]
    assert files[0].finished is True
    assert files[1].finished is True
    assert len(files) == 2


def test_two_recordings_do_not_start_within_a_second() -> None:
    """A page can press the key far more often than a person; each file would stay on the disk."""
    files: list[FakeSink] = []
    starts: list[float] = []

    def record() -> FakeSink:
        starts.append(time.monotonic())
        files.append(FakeSink())
        return files[-1]

    source, view = FakeSource(140), FakeView("r" * 140)

    def wait(original: Frame, magnified: Frame) -> None:
        time.sleep(0.01)

    run(
        Pipeline(
            source, FakeMagnifier(), Controls(), view=view, open_recording=record, on_frame=wait
        )
    )
    assert len(files) > 1  # without the limit, one for every second frame
    assert all(later - start >= 1.0 for start, later in pairwise(starts))
    assert all(file.finished for file in files)


def test_recording_keeps_its_initial_layout() -> None:
    file = FakeSink()
    view = FakeView("sr.s..")
    run(
        Pipeline(FakeSource(9), FakeMagnifier(), Controls(), view=view, open_recording=lambda: file)
    )
    assert {frame.size for frame in file.frames} == {(128, 48)}


@pytest.mark.parametrize(
    ("layout", "grey"),
    [("magnified", {102}), ("side", {2, 102}), ("split", {2, 102, 255}), ("difference", {228}),
     ("original", {2})],
)  # fmt: skip
def test_recording_has_its_layout_without_text(layout: Layout, grey: set[int]) -> None:
    file, controls = FakeSink(), Controls(layout=layout, recording=True)
    run(
        Pipeline(
            FakeSource(4), FakeMagnifier(), controls, view=FakeView(), open_recording=lambda: file
        )
    )
    assert set(np.unique(file.frames[2].image)) == grey


def test_failing_recording_does_not_end_the_view() -> None:
    file, view = FakeSink(2, SinkError("disk full")), FakeView()
    controls = Controls(recording=True)
    report = run(
        Pipeline(FakeSource(9), FakeMagnifier(), controls, view=view, open_recording=lambda: file)
    )
    assert report.frames == 9
    assert report.errors == ("disk full",)
    assert not controls.recording
    assert file.finished is False


def test_failing_recording_ends_a_run_without_view() -> None:
    file = FakeSink(2, SinkError("disk full"))
    with pytest.raises(SinkError):
        run(
            Pipeline(
                FakeSource(9),
                FakeMagnifier(),
                Controls(recording=True),
                open_recording=lambda: file,
            )
        )


def test_failing_recording_does_not_end_a_run_with_other_sinks() -> None:
    """F11: the other sink is a virtual camera or a pipe."""
    file, camera = FakeSink(2, SinkError("disk full")), FakeSink()
    controls = Controls(recording=True)
    report = run(
        Pipeline(FakeSource(9), FakeMagnifier(), controls, [camera], open_recording=lambda: file)
    )
    assert len(camera.frames) == 9
    assert report.errors == ("disk full",)


def test_recording_is_turned_off_where_it_is_not_possible() -> None:
    controls = Controls(recording=True)
    report = run(Pipeline(FakeSource(2), FakeMagnifier(), controls, view=FakeView()))
    assert not controls.recording
    assert report.errors == ()
