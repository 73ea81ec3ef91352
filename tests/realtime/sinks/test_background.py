"""Sinks in a background thread: the view never waits, and files are complete."""

import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from rtmag.realtime.errors import SinkError, SourceLost
from rtmag.realtime.frame import Frame
from rtmag.realtime.sinks import background
from rtmag.realtime.sinks.background import BackgroundSink, check_space
from rtmag.realtime.sinks.sink import NullSink
from rtmag.realtime.sinks.video_file import VideoSink
from rtmag.realtime.sources.video_file import VideoSource
from tests.support.disk import NoDisk, small_disk
from tests.support.fakes import run_python

MakeFrames = Callable[..., list[Frame]]


def test_every_frame_is_written_when_the_encoder_keeps_up(
    tmp_path: Path, frames: MakeFrames
) -> None:
    ended: list[int] = []
    recording = BackgroundSink(VideoSink(tmp_path / "out.mp4"), on_end=ended.append)
    for frame in frames(40):
        recording.write(frame)
        time.sleep(0.01)
    recording.close()
    recording.close()
    assert ended == [0]
    assert VideoSource(tmp_path / "out.mp4").frames == 40


def test_a_slow_encoder_drops_frames_of_the_recording_and_delays_nothing(
    tmp_path: Path, frames: MakeFrames, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = threading.Event()
    add = VideoSink.write

    def wait(sink: VideoSink, frame: Frame) -> None:
        free.wait(10)
        add(sink, frame)

    monkeypatch.setattr(VideoSink, "write", wait)
    recording = BackgroundSink(VideoSink(tmp_path / "out.mp4"))
    began = time.monotonic()
    for frame in frames(60):
        recording.write(frame)
    assert time.monotonic() - began < 2
    free.set()
    recording.close()
    assert recording.dropped >= 60 - background._QUEUE_LENGTH - 1
    assert VideoSource(tmp_path / "out.mp4").frames == 60 - recording.dropped


def test_whole_recordings_drop_nothing_and_are_finished_despite_ctrl_c(
    tmp_path: Path, frames: MakeFrames, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = VideoSink.write

    def slow(sink: VideoSink, frame: Frame) -> None:
        time.sleep(0.02)
        add(sink, frame)

    monkeypatch.setattr(VideoSink, "write", slow)
    recording = BackgroundSink(VideoSink(tmp_path / "out.mp4"), whole=True)
    for frame in frames(40):
        recording.write(frame)
    wait = recording._join

    def interrupted() -> None:
        signal.raise_signal(signal.SIGINT)
        wait()

    monkeypatch.setattr(recording, "_join", interrupted)
    with pytest.raises(KeyboardInterrupt):
        recording.close()
    assert recording.dropped == 0
    assert VideoSource(tmp_path / "out.mp4").frames == 40


def test_an_error_in_the_thread_is_raised_once_and_closes_the_sink(
    tmp_path: Path, frames: MakeFrames, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "no space")

    recording = BackgroundSink(VideoSink(tmp_path / "out.mp4"))
    first, *others = frames(5)
    recording.write(first)
    time.sleep(0.2)
    monkeypatch.setattr("rtmag.realtime.media.encoder.VideoEncoder.encode", full)
    recording.write(others[0])
    recording._thread.join(10)
    with pytest.raises(
        SinkError, match=r"the disk is full; the part written so far is .*part\.mp4"
    ):
        recording.write(others[1])
    recording.close(finished=False)
    monkeypatch.undo()
    assert len(list(VideoSource(tmp_path / "out.part.mp4"))) == 1


def test_a_recording_is_finished_before_the_disk_is_full(
    tmp_path: Path, frames: MakeFrames, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F11: below 500 MB the file is finished while there is space left."""
    monkeypatch.setattr(background, "_CHECK_INTERVAL", 0.0)
    monkeypatch.setattr(background, "LEAST_FREE", 0)
    path, ended = tmp_path / "out.mp4", list[int]()
    recording = BackgroundSink(
        VideoSink(path), check=lambda: check_space(path), on_end=ended.append
    )
    first, *others = frames(3)
    recording.write(first)
    time.sleep(0.2)
    monkeypatch.setattr(background, "LEAST_FREE", 1 << 60)
    recording.write(others[0])
    recording._thread.join(10)
    with pytest.raises(SinkError, match=r"cannot record to '.*out\.mp4' any more: less than .* MB"):
        recording.write(others[1])
    assert VideoSource(path).frames == 1
    assert ended == [0]


def test_a_sink_that_hangs_is_left_behind(frames: MakeFrames) -> None:
    stuck = threading.Event()

    class Stuck(NullSink):
        def write(self, frame: Frame) -> None:
            stuck.wait(60)

    writer = BackgroundSink(Stuck(), close_timeout=0.2)
    for frame in frames(3):
        writer.write(frame)
    began = time.monotonic()
    writer.close()
    assert time.monotonic() - began < 5
    stuck.set()


_VIEWED = """
import sys
from tests.support.fakes import FakeMagnifier, FakeSource, FakeView
from rtmag.realtime.controls import Controls
from rtmag.realtime.run.loop import Pipeline, run
from rtmag.realtime.sinks.video_file import VideoSink
from rtmag.realtime.sinks.background import BackgroundSink

view, source = FakeView(), FakeSource(150, live=True, every=0.02)
recorder = lambda: BackgroundSink(VideoSink(sys.argv[1]))
controls = Controls(recording=True)
report = run(Pipeline(source, FakeMagnifier(), controls, view=view, open_recording=recorder))
print(report.frames + report.dropped, len(view.frames) >= report.frames, *report.errors, sep="|")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a file size limit")
@pytest.mark.parametrize("real", [False, True], ids=["a limit", "a real disk"])
def test_the_view_continues_when_the_recording_fails(real: bool, tmp_path: Path) -> None:
    """F11: one message; every frame is still shown, and the recorded part plays."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, 4_000))"
    with ExitStack() as stack:
        folder = tmp_path
        if real:
            limit = ""
            try:
                folder = stack.enter_context(small_disk(tmp_path / "disk", 4))
            except NoDisk as error:
                pytest.skip(str(error))
        output = f"import sys; sys.argv[1:] = [{str(folder / 'out.mp4')!r}]"
        said = run_python(f"{limit}\n{output}\n{_VIEWED}")
        frames, shown, *errors = said.strip().split("|")
        assert (int(frames), shown) == (150, "True")
        assert len(errors) == 1
        assert "out.part.mp4" in errors[0]
        assert ("the disk is full" in errors[0]) == real
        assert len(_playable(folder / "out.part.mp4")) > 0


def _playable(path: Path) -> list[Frame]:
    frames: list[Frame] = []
    with suppress(SourceLost):
        frames.extend(VideoSource(path))
    return frames
