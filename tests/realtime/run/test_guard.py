"""F10: a model that raises errors, returns invalid values or hangs does not end a live view."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from rtmag.realtime.controls import Controls
from rtmag.realtime.engines.engine import IdentityEngine
from rtmag.realtime.errors import ModelError, OptionError
from rtmag.realtime.filters import Temporal
from rtmag.realtime.frame import Frame
from rtmag.realtime.magnifier import Magnifier
from rtmag.realtime.run import guard, watchdog
from rtmag.realtime.run.guard import Guard
from rtmag.realtime.run.loop import Pipeline, run
from rtmag.realtime.view.viewer import Facts
from tests.support.fakes import ENVIRONMENT, FakeSink, FakeSource, FakeView


class Engine(IdentityEngine):
    """Adds 100 grey levels; after step `at` it returns the result of `fault`, if there is one."""

    def __init__(self, fault: Callable[[], Any], at: int = 3) -> None:
        super().__init__()
        self.steps, self._fault, self._at = 0, fault, at

    def step(self, image: Any, alpha: float, sections: Any, state: Any) -> tuple[Any, Any]:
        self.steps += 1
        if self.steps > self._at:
            wrong: tuple[Any, Any] | None = self._fault()
            if wrong is not None:
                return wrong
        return image + np.uint8(100), np.zeros((1, 2, 3, 4), np.float32)


def broken() -> None:
    raise RuntimeError("CUDA error 700")


def nan_state() -> tuple[Any, Any]:
    memory = np.zeros((1, 2, 3, 4), np.float32)
    memory[0, 1, 2, 3] = np.nan
    return np.zeros((48, 64, 3), np.uint8), memory


def infinite_state() -> tuple[Any, Any]:
    return np.zeros((48, 64, 3), np.uint8), np.full((1, 2, 3, 4), np.inf, np.float32)


def nan_picture() -> tuple[Any, Any]:
    return np.full((48, 64, 3), np.nan), np.zeros((1, 2, 3, 4), np.float32)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_RELOAD_PAUSE", 0.05)


@pytest.fixture
def guarded() -> Iterator[Callable[..., tuple[Guard, list[str]]]]:
    made: list[Guard] = []

    def make(engine: Engine, reload: Any = None, **options: Any) -> tuple[Guard, list[str]]:
        notes: list[str] = []
        magnifier = Magnifier(engine, alpha=20)
        made.append(Guard(magnifier, reload or (lambda: engine), notes.append, **options))
        return made[-1], notes

    yield make
    for each in made:
        each.close()


@pytest.mark.parametrize("fault", [broken, nan_state, infinite_state, nan_picture])
def test_frames_pass_unmagnified_with_a_message_while_the_model_fails(
    fault: Any, guarded: Any
) -> None:
    guard, notes = guarded(Engine(fault))
    sink, view = FakeSink(), FakeView()
    controls = Controls(info=False)
    source = FakeSource(40, live=True, every=0.02)
    report = run(Pipeline(source, guard.magnifier, controls, [sink], guard=guard, view=view))
    assert report.ending == "end"
    shown = [(int(f.image[0, 0, 0]), f.index) for f in sink.frames]
    assert all(value == index or value == index + 100 for value, index in shown)
    passed = [index for value, index in shown if value == index]
    assert len(passed) == guard.failures > 20
    assert notes
    assert all(note.startswith("error: not magnified: ") for note in notes)
    assert len(notes) < 3
    assert len(np.unique(view.frames[-1].image)) > 5  # text is drawn over it


def test_state_on_a_gpu_is_checked_every_few_steps(
    guarded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "_GPU_CHECK_STEPS", 4)
    fetched: list[int] = []

    class OnGpu:
        shape = (1, 2, 3, 4)

        def __array__(self, *_: object, **__: object) -> Any:
            fetched.append(engine.steps)
            return np.full(self.shape, np.nan if engine.steps > 3 else 0, np.float32)

    engine = Engine(lambda: (np.zeros((48, 64, 3), np.uint8), OnGpu()), at=0)
    kept, notes = guarded(engine)
    frames = [Frame(np.zeros((48, 64, 3), np.uint8), k / 30, k) for k in range(5)]
    for frame in frames[:4]:
        kept(frame)
    assert (fetched, kept.failures) == ([1], 0)
    kept(frames[4])
    assert (fetched, kept.failures) == ([1, 5], 1)
    assert notes == ["error: not magnified: the model returned NaN or infinite values"]


class Page(FakeView):
    """A view that draws by itself and keeps the warnings it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.warnings: list[str | None] = []

    def show(self, original: Frame, magnified: Frame, controls: Controls, facts: Facts) -> None:
        self.write(magnified)
        self.warnings.append(facts.warning)


def test_view_that_draws_by_itself_gets_the_warning(guarded: Any) -> None:
    good, page = Engine(broken, at=10**9), Page()
    guard, _ = guarded(Engine(broken), reload=lambda: good)
    source = FakeSource(30, live=True, every=0.02)
    run(Pipeline(source, guard.magnifier, Controls(), guard=guard, view=page))
    for frame, warning in zip(page.frames, page.warnings, strict=True):
        passed = int(frame.image[0, 0, 0]) == frame.index
        assert warning == ("not magnified: CUDA error 700" if passed else None)
    assert len(set(page.warnings)) == 2


def test_reloaded_model_magnifies_again(guarded: Any) -> None:
    good = Engine(broken, at=10**9)
    guard, _ = guarded(Engine(broken), reload=lambda: good)
    source = FakeSource(30, live=True, every=0.02)
    sink = FakeSink()
    run(Pipeline(source, guard.magnifier, Controls(), [sink], guard=guard))
    assert good.steps > 5
    assert guard.alert is None
    assert 0 < guard.failures < 10
    assert int(sink.frames[-1].image[0, 0, 0]) == sink.frames[-1].index + 100


def test_model_is_reloaded_at_most_five_times_a_minute(guarded: Any) -> None:
    loads = []

    def reload() -> Engine:
        loads.append(time.monotonic())
        raise ModelError("no memory on the device")

    guard, _ = guarded(Engine(broken, at=0), reload=reload)
    frame = Frame(np.zeros((48, 64, 3), np.uint8), 0.0, 0)
    for index in range(100):
        guard(Frame(frame.image, index / 30, index))
        time.sleep(0.01)
    assert len(loads) == 5
    assert guard.failures == 100


def test_invalid_settings_are_still_raised(guarded: Any) -> None:
    guard, _ = guarded(Engine(broken, at=10**9))
    for index in range(20):
        guard(Frame(np.zeros((48, 64, 3), np.uint8), index / 30, index))
    guard.magnifier.capture_fps = 30.0  # bands above a rate that is only measured are cut
    with pytest.raises(OptionError):
        guard.magnifier.filter = Temporal(5, 20)
    with pytest.raises(OptionError):
        guard.magnifier.alpha = float("nan")


def test_hang_is_detected(guarded: Any) -> None:
    hung: list[str] = []

    def hang() -> None:
        deadline = time.monotonic() + 5
        while not hung and time.monotonic() < deadline:
            time.sleep(0.02)

    guard, _ = guarded(Engine(hang, at=8), hang=0.4, on_hang=hung.append)
    for index in range(10):
        guard(Frame(np.zeros((48, 64, 3), np.uint8), index / 30, index))
    assert len(hung) == 1
    assert "has not returned" in hung[0]


HANGS = """
import sys, time
from tests.support.fakes import FakeSource
from rtmag.realtime.run.guard import Guard
from rtmag.realtime.engines.engine import IdentityEngine
from rtmag.realtime.controls import Controls
from rtmag.realtime.run.loop import Pipeline, run
from rtmag.realtime.magnifier import Magnifier
class Hangs(IdentityEngine):
    steps = 0
    def step(self, image, alpha, sections, state):
        self.steps += 1
        if self.steps > 10:
            time.sleep(15)
        return super().step(image, alpha, sections, state)
engine = Hangs()
magnifier = Magnifier(engine)
guard = Guard(magnifier, lambda: engine, print, hang=float(sys.argv[1]))
run(Pipeline(FakeSource(None, live=True, every=0.01), magnifier, Controls(), guard=guard))
"""


@pytest.mark.parametrize("seconds", [2, pytest.param(watchdog.HANG, marks=pytest.mark.slow)])
def test_a_hang_ends_the_process_with_70(seconds: float) -> None:
    """F10: a hang of 15 s ends the process within 20 s."""
    run = [sys.executable, "-c", HANGS, str(seconds)]
    begun = time.monotonic()
    done = subprocess.run(run, capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert done.returncode == watchdog.EXIT_HANG == 70
    assert time.monotonic() - begun < 20
    assert done.stderr.startswith(f"error: the model has not returned for {seconds:.0f} s")


def test_close_ends_the_watchdog(guarded: Any) -> None:
    before = threading.active_count()
    guard, _ = guarded(Engine(broken))
    assert threading.active_count() == before + 1
    guard.close()
    assert threading.active_count() == before


SLOW_STEPS = """
import time
from rtmag.realtime.run.watchdog import Watchdog
with Watchdog(1.0) as watchdog:
    for number in range(40):
        with watchdog.step():
            if number == 9:
                print("ready", flush=True)
            time.sleep(0.1)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_suspension_within_a_step_is_not_a_hang() -> None:
    """F08: the process is stopped for twice the time that a step may take."""
    run = [sys.executable, "-c", SLOW_STEPS]
    with subprocess.Popen(run, stdout=subprocess.PIPE, env=ENVIRONMENT) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        time.sleep(0.05)
        child.send_signal(signal.SIGSTOP)
        time.sleep(2)
        child.send_signal(signal.SIGCONT)
        assert child.wait() == 0
