"""Choice of model and motion scale at the start, and changes of the scale during a run."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import pytest

from rtmag.realtime.controls import Controls
from rtmag.realtime.engines.loading import load_engine
from rtmag.realtime.engines.spec import EngineSpec
from rtmag.realtime.errors import ModelIncompatible
from rtmag.realtime.frame import Frame, Image
from rtmag.realtime.magnifier import Magnifier
from rtmag.realtime.models import model_names
from rtmag.realtime.run import adaptive
from rtmag.realtime.run.adaptive import (
    CANDIDATES,
    FAST_SECONDS,
    SLOW_SHARE,
    STEP_SHARE,
    Pace,
    choose,
    step_time,
)
from rtmag.realtime.run.loop import Pipeline, run
from rtmag.realtime.run.report import Report
from rtmag.realtime.sections import Sections, State
from tests.support.fakes import FakeEngine, FakeSource, SlowEngine, blank, identity_model

ANY = EngineSpec(model="auto", motion_scale=None)
SIZE = (64, 48)


class Loaded:
    """An engine that only remembers its spec and counts its instances."""

    alive = 0
    most = 0
    """Largest number of instances at the same time."""

    def __init__(self, spec: EngineSpec) -> None:
        self.spec = spec
        self.scalable = spec.model != "drawing"
        Loaded.alive += 1
        Loaded.most = max(Loaded.most, Loaded.alive)

    def __del__(self) -> None:
        Loaded.alive -= 1


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str | None, float | None]]:
    """Specs in the order in which they were loaded; no engine is really loaded."""
    specs: list[tuple[str | None, float | None]] = []
    Loaded.alive = Loaded.most = 0

    def load(spec: EngineSpec) -> Loaded:
        specs.append((spec.model, spec.motion_scale))
        return Loaded(spec)

    monkeypatch.setattr(adaptive, "load_spec", load)
    return specs


def set_times(monkeypatch: pytest.MonkeyPatch, seconds: dict[tuple[Any, Any], float]) -> None:
    def measure(engine: Any, size: tuple[int, int], budget: float) -> float:
        assert size == SIZE
        return seconds[engine.spec.model, engine.spec.motion_scale]

    monkeypatch.setattr(adaptive, "step_time", measure)


def chosen(spec: EngineSpec, fps: float = 30) -> tuple[Any, Any]:
    engine: Any = choose(spec, SIZE, fps)
    return engine.spec.model, engine.spec.motion_scale


def test_first_candidate_that_is_fast_enough_is_chosen(
    loaded: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_times(monkeypatch, {each: 0.05 / (1 + n) for n, each in enumerate(CANDIDATES)})
    limit = STEP_SHARE / 30
    wanted = next(each for n, each in enumerate(CANDIDATES) if 0.05 / (1 + n) <= limit)
    assert chosen(ANY) == wanted
    assert loaded == list(CANDIDATES[: CANDIDATES.index(wanted) + 1])
    assert chosen(ANY, fps=1) == CANDIDATES[0]


def test_fastest_candidate_is_chosen_if_all_are_too_slow(
    loaded: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_times(monkeypatch, {each: 0.03 + 0.01 * (each != ("fast", 0.5)) for each in CANDIDATES})
    assert chosen(ANY) == ("fast", 0.5)
    assert loaded == [*CANDIDATES, ("fast", 0.5)]
    assert Loaded.most == 1, "each engine takes much memory"


def test_candidates_that_cannot_be_fast_enough_are_not_loaded(
    loaded: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As at 3840x2160: a quarter of the time at motion scale 1 is far above the limit."""
    set_times(monkeypatch, dict.fromkeys(CANDIDATES, 1.0) | {("fast", 0.25): 0.05})
    notices: list[str] = []
    engine: Any = choose(ANY, SIZE, 30, notices.append)
    assert (engine.spec.model, engine.spec.motion_scale) == ("fast", 0.25)
    assert loaded == [("standard", 1.0), ("fast", 1.0), ("fast", 0.25)]
    assert notices == ["choosing a model for 64x48 at 30 frames/s ..."]


class PixelEngine(FakeEngine):
    """An engine whose steps take a time per pixel; it keeps the numbers of pixels."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds, self.pixels = seconds, list[int]()

    def step(
        self, image: Image, alpha: float, sections: Sections, state: State | None
    ) -> tuple[Image, State]:
        pixels = image.shape[0] * image.shape[1]
        self.pixels.append(pixels)
        time.sleep(self._seconds * pixels)
        return image, np.zeros((1, 2, 1, 1), np.float32)


@pytest.mark.parametrize(
    ("seconds", "size", "steps"),
    [
        (1e-7, (1920, 1080), [640 * 480] * 2),  # 0.2 s a step, of which none is tried
        (1e-6, (640, 480), [640 * 480] * 2),  # 0.3 s a step
        (1e-9, (1920, 1080), [640 * 480] * 2 + [1920 * 1080] * 7),
        (1e-9, (640, 480), [640 * 480] * 7),
    ],
)
def test_slow_engines_are_recognised_by_few_steps(
    seconds: float, size: tuple[int, int], steps: list[int]
) -> None:
    engine = PixelEngine(seconds)
    estimate = step_time(engine, size, STEP_SHARE / 30)
    assert engine.pixels == steps
    assert (estimate > 2 * STEP_SHARE / 30) is (seconds > 1e-8)


def test_model_with_one_scale_is_tried_once(
    loaded: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    candidates = (("drawing", 1.0), ("fast", 1.0), ("drawing", 0.5), ("fast", 0.5))
    monkeypatch.setattr(adaptive, "CANDIDATES", candidates)
    set_times(monkeypatch, {("drawing", 1.0): 3.0, ("fast", 1.0): 2.0, ("fast", 0.5): 1.0})
    assert chosen(ANY, fps=0.5) == ("fast", 0.5)
    assert loaded == [("drawing", 1.0), ("fast", 1.0), ("fast", 0.5)]


def test_requested_model_or_scale_is_kept(
    loaded: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_times(
        monkeypatch, {("mine", s): s for s in (1.0, 0.5, 0.25)} | dict.fromkeys(CANDIDATES, 9.0)
    )
    assert chosen(EngineSpec(model="mine", motion_scale=1.0)) == ("mine", 1.0)
    assert chosen(EngineSpec(model="mine", motion_scale=None), fps=1) == ("mine", 0.5)
    loaded.clear()
    chosen(EngineSpec(model="auto", motion_scale=0.5))
    assert loaded[:2] == [("standard", 0.5), ("fast", 0.5)]


def test_model_that_draws_its_pictures_has_one_scale(tmp_path: Path) -> None:
    path = str(identity_model(tmp_path / "identity.onnx"))
    engine = choose(EngineSpec(model=path, motion_scale=None), SIZE, 1e9)
    assert engine.motion_scale == 1
    with pytest.raises(ModelIncompatible, match="supports motion scale 1 only"):
        choose(EngineSpec(model=path, motion_scale=0.5), SIZE, 30)


def test_steps_are_timed_on_pictures_of_the_frame_size(tmp_path: Path) -> None:
    engine = load_engine(identity_model(tmp_path / "identity.onnx"))
    assert 0 < step_time(engine, SIZE) < 0.1
    assert step_time(engine, (1280, 960)) > step_time(engine, (16, 16))


def test_all_candidates_are_in_the_package() -> None:
    assert {model for model, _ in CANDIDATES} == set(model_names())


def test_candidates_are_in_the_order_of_the_quality_benchmark() -> None:
    results = Path(__file__).parents[3] / "benchmarks" / "results" / "quality.json"
    scores: dict[str, dict[str, list[float]]] = {}
    for row in json.loads(results.read_text())["pairs"]:
        scores.setdefault(row["method"], {}).setdefault(row["set"], []).append(row["ssim"])

    def quality(candidate: tuple[str, float]) -> float:
        model, scale = candidate
        sets = scores[model if scale == 1 else f"{model} 1/{1 / scale:.0f}"]
        return mean(mean(each) for each in sets.values())

    assert sorted(CANDIDATES, key=quality, reverse=True) == list(CANDIDATES)


DT = 1 / 30


class Watched:
    """A Pace, with its controls and messages."""

    def __init__(self, scale: float | None = 1.0) -> None:
        self.controls = Controls(motion_scale=scale)
        self.pace = Pace(self.controls)
        self.messages: list[str] = []
        self.index = 0

    def see(self, count: int, share: float, every: int = 1) -> None:
        """Process frames that each take a share of the frame interval of the source."""
        for _ in range(count):
            self.index += every
            frame = Frame(blank(), self.index * DT, self.index)
            message = self.pace.update(frame, share * DT)
            self.messages += [message] if message is not None else []


def test_scale_is_halved_before_frames_are_dropped() -> None:
    watched = Watched()
    for share in np.linspace(0.3, 0.99, 60):  # below 1, so no frame is late yet
        watched.see(1, share)
        if watched.controls.motion_scale != 1:
            break
    assert watched.controls.motion_scale == 0.5
    assert watched.messages == ["measuring motion at 1/2 size to keep up"]
    watched.see(40, SLOW_SHARE + 0.1)
    assert watched.controls.motion_scale == 0.25
    watched.see(100, 3)
    assert watched.controls.motion_scale == 0.25
    assert len(watched.messages) == 2


def test_dropped_frames_count_in_the_rate_of_the_source() -> None:
    watched = Watched()
    watched.see(16, 1.9, every=2)  # every other frame is dropped
    assert watched.controls.motion_scale == 0.5


def test_short_slowdowns_do_not_change_the_scale() -> None:
    watched = Watched()
    for _ in range(9):
        watched.see(20, 0.5)
        watched.see(5, 3)
    assert watched.messages == []


def test_scale_is_doubled_after_ten_fast_seconds() -> None:
    watched = Watched(0.5)
    watched.see(16, 1)
    assert watched.controls.motion_scale == 0.25
    frames = round(FAST_SECONDS / DT)
    watched.see(5 * frames, 0.2)  # at twice the scale it would be four times as much
    assert watched.controls.motion_scale == 0.25
    watched.see(frames - 10, 0.1)
    assert watched.controls.motion_scale == 0.25
    watched.see(40, 0.1)
    assert watched.controls.motion_scale == 0.5
    watched.see(frames + 40, 0.01)
    assert watched.controls.motion_scale == 1
    watched.see(2 * frames, 0.01)
    assert watched.messages[1:] == [
        f"measuring motion at {size} size as the machine is fast enough" for size in ("1/2", "full")
    ]


@pytest.mark.parametrize("again", [False, True])
def test_scale_selected_by_the_user_is_kept(again: bool) -> None:
    watched = Watched()
    watched.see(20, 0.5)
    watched.controls.motion_scale = 0.5
    watched.see(1, 0.5)
    if again:
        watched.controls.motion_scale = 1.0
    watched.see(100, 2)
    assert watched.controls.motion_scale == (1.0 if again else 0.5)


def test_model_with_one_scale_is_left_unchanged() -> None:
    watched = Watched(None)
    watched.see(100, 2)
    assert watched.controls.motion_scale is None


class Ticking(FakeSource):
    """A live source at 25 frames per second."""

    def __iter__(self) -> Iterator[Frame]:
        start = time.monotonic()
        for index in range(self.frames or 0):
            due = start + index / 25
            time.sleep(max(due - time.monotonic(), 0))
            yield Frame(blank(), due, index)


def run_on_slow_engine(*, follow: bool) -> tuple[Report, Controls]:
    """Run live for six seconds; after 1.5 s each step takes seven times as long."""
    controls = Controls(motion_scale=1.0)
    began = time.monotonic()
    engine = SlowEngine(lambda: 0.014 if time.monotonic() - began < 1.5 else 0.1)
    pace = Pace(controls) if follow else None
    source = Ticking(150, live=True)
    return run(Pipeline(source, Magnifier(engine), controls, pace=pace)), controls


@pytest.mark.alone
def test_live_loop_drops_fewer_frames_with_pace() -> None:
    left, _ = run_on_slow_engine(follow=False)
    assert left.dropped > 40
    followed, controls = run_on_slow_engine(follow=True)
    assert controls.motion_scale is not None
    assert controls.motion_scale < 1
    assert followed.dropped < left.dropped / 2


def test_slow_engine_starts_at_a_smaller_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        adaptive, "load_spec", lambda spec: SlowEngine(lambda: 0.06, spec.motion_scale or 1.0)
    )
    engine = choose(EngineSpec(model="slow", motion_scale=None), (64, 48), 30)
    assert engine.motion_scale == 0.5
