"""Tests of the quality benchmark and of its pictures, which training never sees."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.signal import sosfilt

pytest.importorskip("torch", reason="needs PyTorch: pip install 'rtmag[train]'")
from benchmarks import classical, gain, heldout, pairs, quality, scores, sequences
from benchmarks import layered_scenes as scenes
from benchmarks.riesz import Riesz
from rtmag.realtime.analysis.tracking import displacement
from rtmag.realtime.filters import Static, Temporal
from rtmag.train.data import textures

ROOT = Path(__file__).parents[2]

CLASSICAL = (
    classical.Unchanged,
    classical.Eulerian,
    classical.Laplacian,
    Riesz,
)


@pytest.fixture(scope="module")
def pictures() -> list[Any]:
    return list(heldout.pictures().values())


class Perfect:
    """A magnifier that returns the true pictures."""

    name = "perfect"

    def __init__(self, answers: Iterator[Any]) -> None:
        self.answers = answers

    def step(self, image: Any, *_: Any) -> tuple[Any, int]:
        return next(self.answers), 0


# ---- kept apart from training -----------------------------------------------------------------


def test_benchmark_and_training_share_no_pictures() -> None:
    photographs = {name.partition(".")[0] for name in textures.PHOTOGRAPHS}
    assert not photographs & set(heldout.pictures())
    assert not set(textures.HELD_OUT) & set(textures.PHOTOGRAPHS)
    rules = {draw.__name__ for draw, _ in textures.PROCEDURAL}
    assert not rules & {draw.__name__ for draw in heldout.PROCEDURAL}
    assert all(draw.__module__ == "benchmarks.heldout" for draw in heldout.PROCEDURAL)


def test_training_does_not_read_the_benchmark() -> None:
    for path in (ROOT / "train").rglob("*.py"):
        assert "benchmarks" not in path.read_text().replace("benchmarks may use them", "")


def test_pictures_are_reproducible_and_have_contrast() -> None:
    first, again = heldout.pictures(), heldout.pictures()
    assert len(first) == 7
    for name, picture in first.items():
        assert picture.shape == (heldout.SIDE, heldout.SIDE, 3)
        assert np.array_equal(picture, again[name])
        assert picture.std() > 20


# ---- scenes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shift", [(0.04, 0.0), (0.3, -0.2), (-2.0, 1.5)])
def test_layers_move_by_their_shift(shift: tuple[float, float], pictures: list[Any]) -> None:
    scene = scenes.Scene([scenes.Layer(pictures[4], shift=shift)])
    before, after = (light.mean(-1) for light in scene.render([[0.0], [1.0]]))
    assert displacement(before, after) == pytest.approx(shift, abs=0.004)


def test_layers_turn_about_their_middle(pictures: list[Any]) -> None:
    scene = scenes.Scene([scenes.Layer(pictures[4], turn=0.02)])
    before, after = (light.mean(-1) for light in scene.render([[0.0], [1.0]]))
    right = np.s_[60:100, 110:150]  # 50 px right of the middle: clockwise is down
    assert displacement(before[right], after[right]) == pytest.approx((0, 1.0), abs=0.08)


def test_still_pixels_and_outlines_are_known(pictures: list[Any]) -> None:
    layers = [scenes.Layer(pictures[0]), scenes.Layer(pictures[1], shift=(3.0, 0.0), radius=30)]
    scene = scenes.Scene(layers)
    times = [[0.0, 0.0], [0.0, 1.0]]
    before, after = scene.render(times)
    changed = np.abs(after - before).max(-1) > 1e-3
    still = scene.still(times)
    assert 0.5 < still.mean() < 0.95
    assert not (changed & still).any()
    rim = scene.rim(times[1], 6)
    assert 0.02 < rim.mean() < 0.3
    assert not (rim & ~scene.still(times))[~rim].any()
    moving = scenes.Scene([scenes.Layer(pictures[0], shift=(1.0, 0.0))])
    assert not moving.still([[0.0], [1.0]]).any()


def test_a_camera_adds_noise_and_keeps_the_mean() -> None:
    light = np.full((100, 100, 3), 127.5, np.float32)
    for noise in (0.0, 3.0):
        shown = scenes.simulate_camera(light, noise, np.random.default_rng(0))
        assert shown.mean() == pytest.approx(127.5, abs=0.1)
        assert shown.std() == pytest.approx(np.hypot(noise, 0.5), rel=0.05)


# ---- methods to compare with ------------------------------------------------------------------


@pytest.mark.parametrize("sections", [Static().sections(30), Temporal(1, 3, 2).sections(30)])
def test_the_classical_recurrence_equals_scipy(sections: Any) -> None:
    x = np.random.default_rng(0).standard_normal((20, 5)).astype(np.float32)
    memory, out = None, []
    for row in x:
        y, memory = classical.cascade(row, sections, memory)
        out.append(y)
    sos = np.insert(sections.astype(float), 3, 1.0, axis=1)
    assert np.allclose(out, sosfilt(sos, x - x[0], axis=0), atol=1e-5)
    assert np.allclose(
        sequences.filter_signal(x[:, 0].astype(float), sections), np.array(out)[:, 0], atol=1e-5
    )


def test_a_collapsed_pyramid_equals_the_picture() -> None:
    light = np.random.default_rng(0).uniform(0, 255, (53, 70, 3)).astype(np.float32)
    assert np.allclose(classical.collapse(classical.pyramid(light, 3)), light, atol=1e-3)


@pytest.mark.parametrize("kind", CLASSICAL)
def test_classical_methods_keep_the_picture_at_alpha_one(kind: Any, pictures: list[Any]) -> None:
    assert scores.identity(kind(), pictures[0]) <= 2


def test_gain_of_a_perfect_magnifier_is_one(pictures: list[Any]) -> None:
    for picture in pictures:
        spectrum = np.fft.fft2(picture[: gain.SIDE, : gain.SIDE].astype(float), axes=(0, 1))
        for motion, alpha in [max(gain.cases(), key=np.prod), min(gain.cases(), key=np.prod)]:
            dx, dy = alpha * motion * np.array([np.cos(gain.DIRECTION), np.sin(gain.DIRECTION)])
            ideal = Perfect(iter([picture, gain.shift_picture(spectrum, dx, dy, 3)]))
            measured = gain.gain(ideal, picture, motion, alpha)
            assert measured == pytest.approx(1, abs=0.02 + 0.008 / (alpha * motion))  # 8 bits


@pytest.mark.parametrize("kind", CLASSICAL[1:])
def test_classical_methods_magnify_small_motion(kind: Any, pictures: list[Any]) -> None:
    """Motion that stays small when magnified, as in their publications."""
    shown = gain.gain(kind(), pictures[4], 0.1, 5.0)
    assert 0.6 < shown < 1.2


# ---- scores -----------------------------------------------------------------------------------


def test_conditions_have_the_grid_of_the_axial_evaluation() -> None:
    sets = [condition.set for condition in pairs.conditions()]
    assert sets.count("axial") == 15
    assert sets.count("noise") == 21
    assert all(c.alpha * c.motion == pytest.approx(10) for c in pairs.conditions()[:36])
    assert len({pairs.seed_of(name) for name in sets}) == 8


def test_pairs_of_a_set_differ_in_the_varied_value_only(pictures: list[Any]) -> None:
    few, many = (c for c in pairs.conditions() if c.set == "noise" and c.at in (0.01, 0.1))
    quiet, loud = (next(pairs.pairs(c, pictures, 1)) for c in (few, many))
    assert np.array_equal(quiet.truth, loud.truth)
    assert not np.array_equal(quiet.moved, loud.moved)


def test_pairs_are_reproducible(pictures: list[Any]) -> None:
    condition = next(c for c in pairs.conditions() if c.set == "occlusion")
    first, again = (next(pairs.pairs(condition, pictures, 1)) for _ in range(2))
    assert np.array_equal(first.reference, again.reference)
    assert np.array_equal(first.truth, again.truth)
    assert 0.02 < first.scored.mean() < 0.4


def test_a_perfect_method_scores_perfectly(pictures: list[Any]) -> None:
    condition = next(c for c in pairs.conditions() if c.set == "alpha" and c.at == 20)
    pair = next(pairs.pairs(condition, pictures, 1))
    answers = iter([pair.reference, pair.truth.round().astype(np.uint8)])
    perfect = pairs.score(Perfect(answers), pair, condition.alpha)
    unchanged = pairs.score(classical.Unchanged(), pair, condition.alpha)
    assert perfect["ssim"] > 0.995
    assert perfect["mae"] < 0.0015
    assert perfect["psnr"] > 50
    assert unchanged["ssim"] < 0.95
    assert "leak" not in perfect  # both layers move


def test_leak_and_flicker_measure_still_pixels(pictures: list[Any]) -> None:
    condition = next(c for c in pairs.conditions() if c.set == "static" and c.at == 3)
    pair = next(pairs.pairs(condition, pictures, 1))
    answers = iter([pair.reference, np.clip(pair.moved.astype(int) + 2, 0, 255).astype(np.uint8)])
    assert pairs.score(Perfect(answers), pair, 20)["leak"] == pytest.approx(2, abs=0.05)
    assert sequences.flicker(classical.Unchanged(), pictures[0], 2.0, 0) == 1
    assert sequences.flicker(classical.Eulerian(), pictures[0], 2.0, 0) > 3


def test_sway_measures_the_designed_gain(pictures: list[Any]) -> None:
    edge = sequences.sway(pictures[1], 3.0)
    assert edge.designed == pytest.approx(abs(1 + 19 / np.sqrt(2) * np.exp(-0.25j * np.pi)), 0.05)
    assert edge.gain(Perfect(iter(edge.truth))) == pytest.approx(edge.designed, rel=1e-9)
    # The measurement is exact for small motion; over a whole pixel it has small errors.
    assert edge.gain(classical.Unchanged()) == pytest.approx(1, rel=0.1)
    below = sequences.sway(pictures[1], 0.5)
    assert 1 < below.designed < edge.designed
    assert below.gain(Perfect(iter(edge.truth))) != pytest.approx(below.designed, rel=0.5)
    answers = (np.hstack(two) for two in zip(edge.truth, below.truth, strict=True))
    both = sequences.side_by_side(Perfect(answers), edge, below)
    assert both == pytest.approx((edge.designed, below.designed), rel=1e-9)
    steep = sequences.sway(pictures[1], 0.5, sequences.NARROW)
    assert steep.designed < 1 < below.designed
    assert steep.gain(Perfect(iter(steep.truth))) == pytest.approx(steep.designed, rel=1e-9)


def test_the_benchmark_ends_with_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "quality.json"
    quality.main(model=["fast"], quick=True, out=out)
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert document == json.loads(out.read_text())
    methods = {row["method"] for row in document["pairs"]}
    assert methods == {"fast", *(kind.name for kind in CLASSICAL)}
    at_20 = {r["method"]: r["ssim"] for r in document["pairs"] if r["set"] == "alpha"}
    assert max(at_20, key=lambda name: at_20[name]) == "fast"
    from benchmarks.plots import draw

    draw(document, tmp_path / "quality.png")
    assert (tmp_path / "quality.png").stat().st_size > 10_000
