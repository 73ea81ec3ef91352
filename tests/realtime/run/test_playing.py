"""A file that is shown like a camera: the run, its view, keys, recordings and signals."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from rtmag.realtime.controls import Controls
from rtmag.realtime.engines.spec import EngineSpec
from rtmag.realtime.filters import Temporal
from rtmag.realtime.frame import Frame, Image
from rtmag.realtime.run import live
from rtmag.realtime.run.live import LiveOptions, run_live
from rtmag.realtime.run.recording import Timeline
from rtmag.realtime.sections import Sections, State
from rtmag.realtime.sources import playback as playback_module
from rtmag.realtime.view.viewer import Facts
from tests.support.clips import number
from tests.support.fakes import ENVIRONMENT, FakeEngine, FakeView, blank

MakeClip = Callable[..., Path]


class FakeTime:
    """A clock without waiting: it moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Screen(FakeView):
    """A view that keeps the frames, and calls `act` with the number of each one."""

    def __init__(self, act: Callable[[int], object] = lambda count: None) -> None:
        super().__init__()
        self.pairs: list[tuple[Frame, Frame]] = []
        self.facts: list[Facts] = []
        self._act = act

    def show(self, original: Frame, magnified: Frame, controls: Controls, facts: Facts) -> None:
        if self.pairs and self.pairs[-1][0] is original:
            return
        self.pairs.append((original, magnified))
        self.facts.append(facts)
        self._act(len(self.pairs))

    @property
    def numbers(self) -> list[int]:
        return [number(original.image) for original, _ in self.pairs]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(playback_module, "time", FakeTime())
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Function that plays a file on a screen; it returns the notices."""

    def run(path: Path, screen: FakeView, **options: Any) -> list[str]:
        monkeypatch.setattr(live, "WindowSink", lambda title, controls: screen)
        notes: list[str] = []
        usual: dict[str, Any] = {"controls": Controls(), "engine": EngineSpec(model="none")}
        usual |= {"notice": notes.append, "limit": 30}
        run_live(str(path), LiveOptions(**usual | options))
        return notes

    return run


def test_a_file_is_played_in_a_loop_and_its_position_is_known(
    clip: MakeClip, play: Callable[..., list[str]]
) -> None:
    screen = Screen()
    play(clip(frames=12), screen)
    assert screen.numbers == [k % 12 for k in range(30)]
    assert screen.facts[0].duration == pytest.approx(0.4)
    assert screen.facts[0].latency_ms is None
    assert [original.epoch for original, _ in screen.pairs] == [k // 12 for k in range(30)]


def test_options_limit_the_part_and_set_the_speed(
    clip: MakeClip, play: Callable[..., list[str]]
) -> None:
    screen, controls = Screen(), Controls()
    part = {"start": 2 / 30, "end": 4 / 30, "speed": 0.25, "loop": False}
    screen = Screen(lambda count: setattr(controls, "quit", count == 3))
    play(clip(frames=12), screen, playback=part, controls=controls)
    assert screen.numbers == [2, 3, 4]
    assert controls.playback is not None
    assert controls.playback.speed == 0.25


def test_a_pause_shows_single_frames_and_what_is_searched(
    clip: MakeClip, play: Callable[..., list[str]]
) -> None:
    controls = Controls()

    def act(count: int) -> None:
        playback = controls.playback
        assert playback is not None
        controls.paused = count < 5
        if count == 1:
            playback.seek(9 / 30)
        elif count < 5:
            playback.step(-1 if count == 3 else 1)

    screen = Screen(act)
    play(clip(frames=12), screen, controls=controls, limit=8)
    assert screen.numbers == [0, 9, 10, 9, 10, 11, 0, 1]


def test_a_recording_goes_on_where_the_file_jumps(
    clip: MakeClip, play: Callable[..., list[str]]
) -> None:
    play(clip(frames=12), Screen(), record=Path("out.mp4"))
    with av.open("out.mp4") as container:
        times = [float(frame.time or 0) for frame in container.decode(video=0)]
    steps = 30 * np.diff(times)  # above 1 where a slow machine has skipped frames
    assert steps == pytest.approx(np.rint(steps), abs=0.03)
    assert 0.9 < steps.min() <= steps.max() < 11


def test_times_of_recordings_follow_each_other() -> None:
    timeline = Timeline()
    given = [(5.0, 0), (5.1, 0), (5.2, 0), (9.0, 1), (9.1, 1), (3.0, 2), (3.4, 2), (8.0, 3)]
    frames = [Frame(blank(), time, 0, epoch) for time, epoch in given]
    times = [timeline.continued(frame).time for frame in frames]
    assert times == pytest.approx([5.0, 5.1, 5.2, 5.3, 5.4, 5.5, 5.9, 6.3])


def test_without_a_view_a_file_is_read_once_as_fast_as_possible(
    clip: MakeClip, play: Callable[..., list[str]]
) -> None:
    play(clip(frames=12), FakeView(), view="none", record=Path("out.mp4"), limit=None)
    with av.open("out.mp4") as container:
        assert sum(1 for _ in container.decode(video=0)) == 12


class Whitening(FakeEngine):
    """Returns white pictures, so that magnified pictures can be recognised."""

    def step(
        self, image: Image, alpha: float, sections: Sections, state: State | None
    ) -> tuple[Image, State]:
        return np.full_like(image, 255), np.zeros((1, 2, 1, 1), np.float32)


def test_a_band_is_magnified_in_the_fast_part_of_slow_motion(
    clip: MakeClip, play: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Phones store most of a slow-motion film at 30 frames per second, and a part at 240."""
    monkeypatch.setattr(live, "choose", lambda *_: Whitening())
    ticks = np.cumsum([0] + [8] * 124 + [1] * 93 + [8] * 62)
    path = clip(ticks=ticks.tolist(), time_base=Fraction(1, 240))
    screen = Screen()
    notes = play(path, screen, controls=Controls(filter=Temporal(36, 44)), limit=280)
    assert "frames per second, and 240 in some parts" in notes[0]
    white = np.array([bool((magnified.image == 255).all()) for _, magnified in screen.pairs])
    assert not white[:125].any()
    assert white[151:218].all()
    assert not white[230:].any()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to send")
def test_ctrl_c_ends_a_file_that_is_played(clip: MakeClip, tmp_path: Path) -> None:
    code = "from rtmag.realtime.cli.main import main; main()"
    path = clip(frames=12)
    command = [sys.executable, "-c", code, "camera", str(path), "--view", "web", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--model", "none", "--stats", "json"],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert '"frames"' in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    told, said = process.communicate(timeout=20)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert '"ending": "interrupt"' in told


@pytest.mark.gui
@pytest.mark.skipif(not os.environ.get("DISPLAY"), reason="no display: run under xvfb-run")
def test_the_window_of_the_command_opens(clip: MakeClip) -> None:
    """OpenCV's window on X11 never opens if FFmpeg's libraries were loaded first."""
    path = clip(frames=12)
    command = ["camera", str(path), "--frames", "5", "--model", "none", "--speed", "2"]
    code = "from rtmag.realtime.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *command],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("5 frames in ")
