"""A file that is played: pace, speed, jumps, limits, pause and damage, on a clock of its own."""

from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtmag.realtime.controls import Controls, Playback
from rtmag.realtime.engines.loading import load_engine
from rtmag.realtime.errors import SourceLost
from rtmag.realtime.filters import Temporal
from rtmag.realtime.frame import Frame
from rtmag.realtime.magnifier import Magnifier
from rtmag.realtime.sources import playback as playback_module
from rtmag.realtime.sources.image_folder import ImageFolderSource
from rtmag.realtime.sources.playback import PlaybackSource
from rtmag.realtime.sources.source import BaseSource, StoredFrame
from rtmag.realtime.sources.video_file import VideoSource
from tests.support.fakes import blank

MakeClip = Callable[..., Path]


class FakeTime:
    """A clock that moves only when somebody sleeps, or by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += seconds


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    fake = FakeTime()
    monkeypatch.setattr(playback_module, "time", fake)
    return fake


class Stored(BaseSource):
    """A file of 10 frames a second, whose first has the time 5; its grey levels are the numbers."""

    name, live, size, seekable, start, resumes = "stored", False, (64, 48), True, 5.0, False
    fps: float | None = 10.0
    highest_fps: float | None = 10.0

    def __init__(
        self,
        frames: int = 10,
        decoding: Callable[[int], None] = lambda index: None,
        unreadable: tuple[int, ...] = (),
        damaged: bool = False,
    ) -> None:
        self.frames: int | None = frames
        self.seconds = frames / 10
        self.count, self.decoding, self.unreadable, self.lost = (
            frames,
            decoding,
            unreadable,
            damaged,
        )
        self.closed = False

    def __iter__(self) -> Any:
        raise AssertionError("it is read from places only")

    def read_from(self, time: float) -> Generator[StoredFrame | None, None, None]:
        for index in range(self.count):
            self.decoding(index)
            later = self.start + (index + 1) / 10
            if later <= time and index + 1 < self.count:
                yield None
            else:
                image = None if index in self.unreadable else blank(index)
                yield StoredFrame(self.start + index / 10, partial(lambda given: given, image))
        if self.lost:
            raise SourceLost("'stored' is damaged at its end")

    def close(self) -> None:
        self.closed = True


class Player:
    """A playback and what it showed: the number of each frame and when."""

    def __init__(self, source: Any, clock: FakeTime) -> None:
        self.controls = Controls()
        self.notes: list[str] = []
        self.source = PlaybackSource(source, self.controls, self.notes.append)
        self.clock, self.frames, self.moments = clock, list[Frame](), list[float]()

    @property
    def playback(self) -> Playback:
        assert self.controls.playback is not None
        return self.controls.playback

    @property
    def shown(self) -> list[int]:
        return [int(frame.image[0, 0, 0]) for frame in self.frames]

    def run(self, seconds: float, work: float = 0.0) -> list[int]:
        """Play for some seconds, with `work` seconds a frame; return the numbers of the frames."""
        self.frames, self.moments, end = [], [], self.clock.now + seconds
        while self.clock.now < end - 1e-9:
            frame = self.source.get(min(0.03, end - self.clock.now))
            if frame is not None:
                self.frames.append(frame)
                self.moments.append(self.clock.now)
                self.clock.sleep(work)
        return self.shown


@pytest.fixture
def player(clock: FakeTime) -> Player:
    return Player(Stored(), clock)


@pytest.mark.parametrize("speed", [0.125, 0.25, 1.0, 4.0])
def test_the_pace_follows_the_speed_and_the_times_do_not(speed: float, player: Player) -> None:
    player.playback.set_speed(speed)
    assert player.run(0.95 / speed) == list(range(10))
    assert np.diff(player.moments) == pytest.approx([0.1 / speed] * 9)
    assert [frame.time for frame in player.frames] == pytest.approx(5 + np.arange(10) / 10)
    assert player.playback.position == pytest.approx(0.9)
    assert player.source.live


def test_a_change_of_speed_does_not_jump(player: Player) -> None:
    assert player.run(0.25) == [0, 1, 2]
    player.playback.set_speed(0.5)
    player.run(0.7)
    assert player.shown == [3, 4, 5, 6]
    assert player.moments[0] == pytest.approx(100.35)


def test_a_loop_has_the_times_of_the_file_and_a_new_epoch(player: Player) -> None:
    player.run(2.05)
    assert player.shown == [*range(10), *range(10), 0]
    assert np.diff(player.moments) == pytest.approx([0.1] * 20)
    times = [frame.time for frame in player.frames]
    assert times == pytest.approx(5 + np.array(player.shown) / 10)
    assert [frame.index for frame in player.frames] == player.shown
    assert [frame.epoch for frame in player.frames] == [0] * 10 + [1] * 10 + [2]


def test_the_played_part_is_limited_and_its_frames_are_exact(player: Player) -> None:
    player.playback.set_start(0.3)
    player.playback.set_end(0.5)
    player.playback.seek(0.3)
    assert player.run(0.85) == [3, 4, 5] * 3
    player.playback.seek(0.75)  # outside: on to the end of the file
    assert player.run(0.55) == [7, 8, 9, 3, 4, 5]


def test_a_limit_at_the_shown_frame_holds_at_once(player: Player) -> None:
    assert player.run(0.45)[-1] == 4
    player.playback.set_end(player.playback.position)
    assert player.run(0.2) == [0, 1]


def test_without_a_loop_it_pauses_at_the_end_and_starts_again(player: Player) -> None:
    player.playback.loop = False
    assert player.run(5.0) == list(range(10))
    assert player.controls.paused
    player.controls.paused = False
    assert player.run(0.25) == [0, 1, 2]
    assert player.frames[0].epoch == 1


def test_a_pause_drops_nothing(player: Player) -> None:
    assert player.run(0.35) == [0, 1, 2, 3]
    player.controls.paused = True
    assert player.run(7.0) == []
    player.controls.paused = False
    assert player.run(0.35) == [4, 5, 6]
    assert [(frame.index, frame.epoch) for frame in player.frames] == [(4, 0), (5, 0), (6, 0)]


def test_a_pause_at_the_last_frame_keeps_it(player: Player) -> None:
    player.run(0.95)
    player.controls.paused = True
    assert player.run(1.0) == []
    player.controls.paused = False
    assert player.run(0.15) == [0, 1]


def test_single_frames_and_jumps_while_paused(player: Player) -> None:
    player.run(0.35)
    player.controls.paused = True
    for step, number, epoch in ((1, 4, 0), (1, 5, 0), (-1, 4, 1), (-1, 3, 2), (1, 4, 2)):
        player.playback.step(step)
        assert player.run(0.5) == [number]
        assert player.frames[0].epoch == epoch
    player.playback.seek(0.85)
    assert player.run(0.5) == [8]
    assert player.playback.position == pytest.approx(0.8)
    assert player.playback.target is None


@pytest.mark.parametrize("index", range(10))
def test_a_jump_to_the_time_of_a_frame_shows_this_frame(index: int, player: Player) -> None:
    """Also if the time was rounded on its way."""
    player.run(0.05)
    player.playback.seek(round(index / 10 - 5e-7, 7))
    assert player.run(0.09)[0] == index
    assert player.frames[0].epoch == 1


def test_the_latest_of_many_jumps_wins_and_each_that_began_is_shown(clock: FakeTime) -> None:
    player = Player(Stored(decoding=lambda index: clock.sleep(0.02)), clock)
    player.run(0.05)
    player.controls.paused = True
    shown = []
    for position in (0.9, 0.1, 0.2, 0.7, 0.5):  # faster than they can be shown
        player.playback.seek(position)
        shown += player.run(0.05)
    shown += player.run(1.0)
    assert shown[0] == 9
    assert shown[-1] == 5
    assert len(shown) < 5


def test_jumps_leave_the_view_alive_while_they_decode(clock: FakeTime) -> None:
    player = Player(Stored(frames=200, decoding=lambda index: clock.sleep(0.01)), clock)
    player.playback.seek(19.0)
    begin = clock.now
    assert player.source.get(0.03) is None
    assert clock.now - begin < 0.06
    assert player.run(3.0)[0] == 190


def test_a_slow_model_drops_frames_and_the_delay_does_not_grow(clock: FakeTime) -> None:
    player = Player(Stored(frames=1000), clock)
    player.run(20.0, work=0.35)
    steps = np.diff([frame.index for frame in player.frames])
    assert set(steps) <= {3, 4}
    late = np.array(player.moments) - [frame.time for frame in player.frames]
    assert late.max() - late[0] < 0.11


def test_a_slow_model_slows_a_complete_playback_down(clock: FakeTime) -> None:
    """No frame is dropped, and the pace is the usual one again when the model is fast."""
    player = Player(Stored(frames=1000), clock)
    player.playback.complete = True
    assert player.playback.fps == 10.0
    player.run(20.0, work=0.35)
    assert np.diff([frame.index for frame in player.frames]).tolist() == [1] * 57
    player.run(5.0)
    assert np.diff(player.moments)[5:] == pytest.approx(0.1, abs=0.01)


def test_nothing_is_passed_over_after_a_long_wait(player: Player, clock: FakeTime) -> None:
    """The opening of a window takes a second."""
    player.run(0.15)
    clock.sleep(2.0)
    assert player.run(0.25) == [2, 3, 4]
    player.run(0.5)
    clock.sleep(2.0)  # at the end of the file
    assert player.run(0.25) == [0, 1, 2]


def test_a_slow_decoder_slows_the_playback_down(clock: FakeTime) -> None:
    """Every get returns something, however many frames are due."""
    player = Player(Stored(frames=1000, decoding=lambda index: clock.sleep(0.2)), clock)
    player.run(20.0)
    assert len(player.frames) > 20
    assert np.diff(player.moments).max() < 0.7


def test_damage_at_the_end_is_said_once_and_the_rest_is_played(clock: FakeTime) -> None:
    player = Player(Stored(frames=3, damaged=True, unreadable=(1,)), clock)
    assert player.run(0.85) == [0, 2, 0, 2, 0, 2]
    assert player.notes == ["warning: 'stored' is damaged at its end"]
    assert player.source.damaged == 3
    assert player.source.status.errors == 3


def test_a_file_without_frames_ends_the_run(clock: FakeTime) -> None:
    player = Player(Stored(frames=0), clock)
    with pytest.raises(SourceLost, match="no frame can be read"):
        player.run(1.0)


def test_a_single_frame_is_shown_again_without_haste(clock: FakeTime) -> None:
    player = Player(Stored(frames=1), clock)
    assert player.run(0.95) == [0] * 10


def test_closing_closes_the_file(player: Player) -> None:
    source = player.source.stored
    assert isinstance(source, Stored)
    player.run(0.2)
    with player.source:
        pass
    assert source.closed
    assert player.source.ended
    assert list(player.source) == []


def vibrating(index: int, size: tuple[int, int]) -> Any:
    """A texture that vibrates by 0.3 px at 3 of 30 Hz."""
    y, x = np.mgrid[0 : size[1], 0 : size[0]].astype(float)
    shift = 0.3 * np.sin(2 * np.pi * 3 * index / 30)
    grey = 128 + 60 * np.sin((x - shift) / 3) + 50 * np.sin(y / 4 + x / 9)
    return np.repeat(grey[..., None], 3, 2).astype(np.uint8)


def test_a_vibration_is_magnified_alike_at_every_speed(clip: MakeClip, clock: FakeTime) -> None:
    path = clip(frames=36, picture=vibrating, size=(96, 64), options={"g": "12"})
    engine = load_engine("fast", engine="onnx", threads=1)
    results = []
    for speed in (1.0, 0.25):
        player = Player(VideoSource(path), clock)
        player.playback.set_speed(speed)
        player.run(1.35 / speed)  # into the second round
        magnifier = Magnifier(engine, alpha=10, filter=Temporal(2, 4))
        results.append([magnifier(frame) for frame in player.frames])
        assert magnifier.fps == pytest.approx(30)
        assert len(player.frames) == 41
        player.source.close()
    changed = 0
    for once, slowly, original in zip(*results, player.frames, strict=True):
        assert np.array_equal(once.image, slowly.image)
        changed += not np.array_equal(once.image, original.image)
    assert changed > 20
    # The first frame of the second round is a new reference.
    assert np.array_equal(results[0][36].image, player.frames[36].image)


def test_pictures_of_a_folder_are_played(tmp_path: Path, clock: FakeTime) -> None:
    for index in range(6):
        Path(tmp_path / f"{index}.pgm").write_bytes(b"P5 32 32 255\n" + bytes([index]) * 1024)
    player = Player(ImageFolderSource(tmp_path, fps=10), clock)
    assert player.run(0.75) == [0, 1, 2, 3, 4, 5, 0, 1]
    player.controls.paused = True
    for number in range(6):
        player.playback.seek(number / 10)
        assert player.run(0.1) == [number]
    player.playback.step(-1)
    assert player.run(0.1) == [4]
