"""Choice of model and motion scale on fast, slow and very slow machines."""

import json
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

from rtmag.realtime.engines.loading import EngineSpec, load_engine
from rtmag.realtime.errors import ModelIncompatible
from rtmag.realtime.models import model_names
from rtmag.realtime.run import adaptive as choice
from rtmag.realtime.run.adaptive import CANDIDATES, STEP_SHARE, choose, step_time
from tests.support.fakes import identity_model

ANY = EngineSpec(model="auto", motion_scale=None)
SIZE = (64, 48)


class Loaded:
    """An engine that only remembers its spec and counts its instances."""

    alive = 0
    most = 0
    """Largest number of instances at the same time."""

    def __init__(self, spec: EngineSpec) -> None:
        self.spec = spec
        self.composes = spec.model != "drawing"
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

    monkeypatch.setattr(EngineSpec, "load", load)
    return specs


def set_times(monkeypatch: pytest.MonkeyPatch, seconds: dict[tuple[Any, Any], float]) -> None:
    def measure(engine: Any, size: tuple[int, int]) -> float:
        assert size == SIZE
        return seconds[engine.spec.model, engine.spec.motion_scale]

    monkeypatch.setattr(choice, "step_time", measure)


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
    set_times(monkeypatch, {each: 1.0 + (each != ("fast", 0.5)) for each in CANDIDATES})
    assert chosen(ANY) == ("fast", 0.5)
    assert loaded == [*CANDIDATES, ("fast", 0.5)]
    assert Loaded.most == 1, "each engine takes much memory"


def test_model_with_one_scale_is_tried_once(
    loaded: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    candidates = (("drawing", 1.0), ("fast", 1.0), ("drawing", 0.5), ("fast", 0.5))
    monkeypatch.setattr(choice, "CANDIDATES", candidates)
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
    with pytest.raises(ModelIncompatible, match="draws its pictures itself"):
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
