"""The frame loop: files, live sources, keys, sinks, errors and closing."""

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from rtmag.realtime.controls import Controls
from rtmag.realtime.errors import OptionError, SinkError, SourceLost
from rtmag.realtime.filters import Dynamic, Static, Temporal
from rtmag.realtime.frame import Frame, Image
from rtmag.realtime.magnifier import Magnifier
from rtmag.realtime.run.loop import Pipeline, run
from rtmag.realtime.sections import Sections, State
from tests.support.fakes import FakeEngine, FakeMagnifier, FakeSink, FakeSource, FakeView, blank


def interrupt_at(index: int) -> Callable[[Frame], None]:
    def check(frame: Frame) -> None:
        if frame.index >= index:
            raise KeyboardInterrupt

    return check


def test_all_frames_of_a_file_are_magnified() -> None:
    sink = FakeSink()
    seen: list[tuple[int, int]] = []
    report = run(
        Pipeline(
            FakeSource(40),
            FakeMagnifier(lambda frame: time.sleep(0.001)),
            Controls(),
            [sink],
            on_frame=lambda a, b: seen.append((int(a.image[0, 0, 0]), int(b.image[0, 0, 0]))),
        )
    )
    assert [frame.index for frame in sink.frames] == list(range(40))
    assert seen[7] == (7, 107)
    assert sink.finished is True
    assert (report.frames, report.dropped, report.ending) == (40, 0, "end")
    assert report.latency_p50_ms is None
    assert report.fps > 0


@pytest.mark.alone
def test_live_frames_are_dropped_and_the_delay_is_bounded() -> None:
    source = FakeSource(None, live=True, every=0.005)
    report = run(
        Pipeline(source, FakeMagnifier(lambda frame: time.sleep(0.03)), Controls(), limit=12)
    )
    assert report.frames == 12
    assert report.dropped > 20
    assert report.latency_p50_ms is not None
    assert report.latency_p95_ms is not None
    assert 25 < report.latency_p50_ms < report.latency_p95_ms + 1 < 100
    assert source.left


def test_run_ends_at_the_limit() -> None:
    sink = FakeSink()
    report = run(Pipeline(FakeSource(None), FakeMagnifier(), Controls(), [sink], limit=3))
    assert (report.frames, report.ending, sink.finished) == (3, "end", True)


def test_magnifier_follows_the_controls() -> None:
    magnifier = FakeMagnifier()
    controls = Controls(alpha=5, filter=Dynamic())
    run(Pipeline(FakeSource(2), magnifier, controls))
    assert magnifier.alpha == 5
    assert magnifier.filter == Dynamic()


def test_sinks_get_the_initial_layout_without_text() -> None:
    sink, view = FakeSink(), FakeView("ss")
    run(Pipeline(FakeSource(4), FakeMagnifier(), Controls(layout="side"), [sink], view=view))
    assert {frame.size for frame in sink.frames} == {(128, 48)}
    assert set(np.unique(sink.frames[2].image)) == {2, 102}
    assert {frame.size for frame in view.frames} == {(128, 48), (64, 48)}
    assert len(np.unique(view.frames[2].image)) > 5


def test_keys_change_a_running_view() -> None:
    view, magnifier = FakeView("+m.hf"), FakeMagnifier()
    controls = Controls(alpha=10)
    run(Pipeline(FakeSource(8), magnifier, controls, view=view))
    assert controls.alpha == magnifier.alpha == 12.5
    assert magnifier.filter == Dynamic()
    assert controls.help
    assert view.fullscreen
    assert view.finished is True


@pytest.mark.parametrize("view", [FakeView("..q"), FakeView(close_after=2)])
@pytest.mark.parametrize("live", [True, False])
def test_quitting_keeps_an_incomplete_file_and_finishes_a_recording(
    view: FakeView, live: bool
) -> None:
    view.polls, view._keys = 0, list("..q")
    sink = FakeSink()
    source = FakeSource(50, live=live, every=0.01)
    report = run(Pipeline(source, FakeMagnifier(), Controls(info=False), [sink], view=view))
    assert report.ending == "quit"
    assert report.frames < 10
    assert sink.finished is live


@pytest.mark.parametrize("live", [True, False])
def test_ctrl_c_ends_the_run(live: bool) -> None:
    sink, view = FakeSink(), FakeView()
    source = FakeSource(50, live=live, every=0.005)
    report = run(Pipeline(source, FakeMagnifier(interrupt_at(3)), Controls(), [sink], view=view))
    assert report.ending == "interrupt"
    assert report.frames == len(sink.frames) > 0
    assert sink.finished is live
    assert view.finished is not None


def test_pause_shows_the_same_frame_and_answers_keys() -> None:
    view = FakeView(" ..i. ")
    controls = Controls()
    report = run(Pipeline(FakeSource(5), FakeMagnifier(), controls, view=view))
    assert report.frames == 5
    assert not controls.info
    indices = [frame.index for frame in view.frames]
    assert indices.count(0) == 6
    assert indices[-4:] == [1, 2, 3, 4]


def test_frames_during_a_pause_do_not_count_as_dropped() -> None:
    view = FakeView(" " + "." * 8 + " ")
    source = FakeSource(40, live=True, every=0.012)
    report = run(Pipeline(source, FakeMagnifier(), Controls(), view=view))
    assert report.frames < 35
    assert report.dropped < 5


def test_keys_work_while_the_source_sends_nothing() -> None:
    start = time.monotonic()
    source = FakeSource(3, live=True, every=0.4)
    report = run(Pipeline(source, FakeMagnifier(), Controls(), view=FakeView("...q")))
    assert report.ending == "quit"
    assert time.monotonic() - start < 1.5


def test_key_c_shows_the_original() -> None:
    view, sink = FakeView("c.c"), FakeSink()
    run(Pipeline(FakeSource(4), FakeMagnifier(), Controls(info=False), [sink], view=view))
    shown = [int(frame.image[24, -1, 0]) for frame in view.frames]
    assert shown == [100, 1, 2, 103]
    assert [int(frame.image[0, -1, 0]) for frame in sink.frames] == [100, 101, 102, 103]


def test_reader_thread_ends_before_the_error_is_raised() -> None:
    source = FakeSource(None, live=True, every=0.002)
    sink = FakeSink(3, SinkError("disk full"))
    before = threading.enumerate()
    try:
        run(Pipeline(source, FakeMagnifier(), Controls(), [sink]))
    except SinkError:
        # The error is still being handled here, as in the `with` block of a caller.
        assert source.left
        assert set(threading.enumerate()) <= set(before)
    assert len(sink.frames) == 3


def test_recording_of_a_lost_source_is_finished() -> None:
    sink = FakeSink()
    source = FakeSource(3, live=True, every=0.02, error=SourceLost("unplugged"))
    with pytest.raises(SourceLost, match="unplugged"):
        run(Pipeline(source, FakeMagnifier(), Controls(), [sink]))
    assert len(sink.frames) == 3
    assert sink.finished is True


def test_damaged_end_of_a_file_ends_the_run() -> None:
    sink = FakeSink()
    source = FakeSource(3, error=SourceLost("damaged after frame 3"))
    report = run(Pipeline(source, FakeMagnifier(), Controls(), [sink]))
    assert report.frames == len(sink.frames) == 3
    assert report.errors == ("damaged after frame 3",)
    assert sink.finished is True


def test_failing_sink_ends_the_run_and_closes_the_others() -> None:
    full, good = FakeSink(2, SinkError("disk full")), FakeSink()
    with pytest.raises(SinkError, match="disk full"):
        run(Pipeline(FakeSource(9), FakeMagnifier(), Controls(), [good, full]))
    assert good.finished is False
    assert full.finished is False


def test_error_of_close_is_raised_after_all_sinks_are_closed() -> None:
    class Unclosable(FakeSink):
        def close(self, *, finished: bool = True) -> None:
            raise SinkError("disk full")

    good = FakeSink()
    with pytest.raises(SinkError, match="disk full"):
        run(Pipeline(FakeSource(2), FakeMagnifier(), Controls(), [Unclosable(), good]))
    assert good.finished is True


def refuse_bands(magnifier: FakeMagnifier) -> Callable[[Frame], None]:
    def check(frame: Frame) -> None:
        if isinstance(magnifier.filter, Temporal):
            raise OptionError("need 2 fh < fps")

    return check


def test_band_that_does_not_fit_the_rate_does_not_end_a_view() -> None:
    magnifier = FakeMagnifier()
    magnifier._before_step = refuse_bands(magnifier)
    controls = Controls(filter=Temporal(0.5, 3))
    report = run(Pipeline(FakeSource(3), magnifier, controls, view=FakeView()))
    assert report.frames == 3
    assert magnifier.filter == Static()


def test_band_that_does_not_fit_the_rate_ends_a_run_without_view() -> None:
    magnifier = FakeMagnifier()
    magnifier._before_step = refuse_bands(magnifier)
    with pytest.raises(OptionError):
        run(Pipeline(FakeSource(3), magnifier, Controls(filter=Temporal(0.5, 3))))


@pytest.mark.parametrize("live", [True, False])
def test_unmagnified_frames_are_marked_or_reported(live: bool) -> None:
    magnifier = FakeMagnifier()
    magnifier.warning = "need fh < fps/2"
    controls = Controls(info=False)
    source = FakeSource(3, live=live, every=0.02)
    view = FakeView()
    run(Pipeline(source, magnifier, controls, view=view))
    assert len(np.unique(view.frames[0].image)) > 2
    report = run(Pipeline(source, magnifier, controls))
    assert report.errors == ("need fh < fps/2",)
    assert report.frames > 0


class Filtering(FakeEngine):
    """An engine that applies the filter to the brightness of each picture and keeps the results."""

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__()
        self.results: list[float] = []
        self._seconds = seconds

    def step(
        self, image: Image, alpha: float, sections: Sections, state: State | None
    ) -> tuple[Image, State]:
        time.sleep(self._seconds)
        value = float(image[0, 0, 0])
        memory = np.zeros((1, 2 * len(sections), 1, 1), np.float32) if state is None else state
        out = memory.copy()
        for number, (b0, b1, b2, a1, a2) in enumerate(sections):
            if state is None and number == 0:
                memory[0, :2, 0, 0] = -b0 * value, b2 * value
            z1, z2 = memory[0, 2 * number : 2 * number + 2, 0, 0]
            result = b0 * value + z1
            out[0, 2 * number : 2 * number + 2, 0, 0] = (
                b1 * value - a1 * result + z2,
                b2 * value - a2 * result,
            )
            value = float(result)
        self.results.append(value)
        return image, out


class Swinging(FakeSource):
    """Sixty frames per second with brightness that oscillates at 1 Hz."""

    def __iter__(self) -> Iterator[Frame]:
        start = time.monotonic()
        for index in range(self.frames or 0):
            due = start + index / 60
            if self.live:
                time.sleep(max(due - time.monotonic(), 0))
            level = 128 + 100 * np.sin(2 * np.pi * index / 60)
            yield Frame(blank(round(level)), due, index)


@pytest.mark.alone
def test_a_model_slower_than_the_camera() -> None:
    """F09: the delay is bounded, frames are dropped, and the gain at 1 Hz is as without drops."""
    gains = []
    for seconds, live in ((0.0, False), (0.1, True)):
        engine = Filtering(seconds)
        magnifier = Magnifier(engine, filter=Temporal(0.5, 2))
        source = Swinging(480, live=live)
        controls = Controls(filter=Temporal(0.5, 2))
        sink = FakeSink()
        report = run(Pipeline(source, magnifier, controls, [sink]))
        results = np.array(engine.results[len(engine.results) // 2 :])
        gains.append(results.std())
        if live:
            assert report.latency_p95_ms is not None
            assert report.latency_p95_ms <= 250
            shown = sink.frames[-1].index - sink.frames[0].index + 1
            assert report.dropped == shown - report.frames
            assert 9 <= len(engine.results) / report.seconds <= 10.1
    assert gains[1] == pytest.approx(gains[0], rel=0.1)
