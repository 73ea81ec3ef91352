"""Recordings in a thread of their own: the picture never waits, the file is always whole."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rtmag.realtime import writer
from rtmag.realtime.errors import SinkError, SinkUnavailable
from rtmag.realtime.frame import Frame
from rtmag.realtime.recorder import VideoSink
from rtmag.realtime.video import VideoSource
from rtmag.realtime.writer import Writer

MakeFrames = Callable[..., list[Frame]]


def test_every_frame_is_written_when_the_encoder_keeps_up(
    tmp_path: Path, frames: MakeFrames
) -> None:
    told: list[tuple[Path, int]] = []
    recording = Writer(VideoSink(tmp_path / "out.mp4"), lambda *each: told.append(each))
    for frame in frames(40):
        recording.write(frame)
        time.sleep(0.01)
    recording.close()
    recording.close()
    assert told == [(tmp_path / "out.mp4", 0)]
    assert VideoSource(tmp_path / "out.mp4").frames == 40


def test_a_slow_encoder_costs_frames_of_the_recording_and_no_time(
    tmp_path: Path, frames: MakeFrames, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = threading.Event()
    add = VideoSink.write

    def wait(sink: VideoSink, frame: Frame) -> None:
        free.wait(10)
        add(sink, frame)

    monkeypatch.setattr(VideoSink, "write", wait)
    recording = Writer(VideoSink(tmp_path / "out.mp4"))
    began = time.monotonic()
    for frame in frames(60):
        recording.write(frame)
    assert time.monotonic() - began < 2
    free.set()
    recording.close()
    assert recording.dropped >= 60 - writer._WAITING - 1
    assert VideoSource(tmp_path / "out.mp4").frames == 60 - recording.dropped


def test_what_fails_in_the_thread_is_told_once_and_closed(
    tmp_path: Path, frames: MakeFrames, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "no space")

    recording = Writer(VideoSink(tmp_path / "out.mp4"))
    first, *others = frames(5)
    recording.write(first)
    time.sleep(0.2)
    monkeypatch.setattr("rtmag.realtime.encoder.VideoEncoder.encode", full)
    recording.write(others[0])
    recording._thread.join(10)
    with pytest.raises(SinkError, match=r"the disk is full; what was written is .*part\.mp4"):
        recording.write(others[1])
    recording.close(finished=False)
    monkeypatch.undo()
    assert len(list(VideoSource(tmp_path / "out.part.mp4"))) == 1


def test_a_disk_that_runs_full_ends_the_recording_in_time(
    tmp_path: Path, frames: MakeFrames, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F11: below 500 MB the file is finished while there is room to."""
    recording = Writer(VideoSink(tmp_path / "out.mp4"))
    monkeypatch.setattr(writer, "_LOOK_EVERY", 0.0)
    monkeypatch.setattr(Writer, "_free", lambda self: writer.LEAST_FREE + 1)
    first, *others = frames(3)
    recording.write(first)
    time.sleep(0.2)
    monkeypatch.setattr(Writer, "_free", lambda self: writer.LEAST_FREE - 1)
    recording.write(others[0])
    recording._thread.join(10)
    with pytest.raises(SinkError, match=r"ended: less than 500 MB .* it is '.*out\.mp4'"):
        recording.write(others[1])
    assert VideoSource(tmp_path / "out.mp4").frames == 1


def test_no_recording_begins_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "LEAST_FREE", 1 << 60)
    with pytest.raises(SinkUnavailable, match="are free"):
        Writer(VideoSink(tmp_path / "out.mp4"))
    assert list(tmp_path.iterdir()) == []
