"""The built-in scene moves as its ground truth states, and nowhere else."""

import itertools
import time

import numpy as np
import pytest
from numpy.typing import NDArray

from rtmag.realtime.errors import OptionError
from rtmag.realtime.frame import Image
from rtmag.realtime.opencv import cv2
from rtmag.realtime.sources.scene.scene import SceneSource, Vibration


@pytest.fixture(scope="module")
def scene() -> SceneSource:
    return SceneSource()


def smooth(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Grey, without the finest detail, whose slope central differences would not give exactly."""
    return np.asarray(cv2.GaussianBlur(image.mean(2), (0, 0), 2.5), np.float32)


def steep(gray: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Derivative along an axis, exact to fourth order."""
    near, far = (np.roll(gray, -step, axis) - np.roll(gray, step, axis) for step in (1, 2))
    return np.asarray((8 * near - far) / 12, np.float32)


def moved(
    scene: SceneSource,
    vibration: Vibration,
    there: NDArray[np.float32],
    back: NDArray[np.float32],
) -> float:
    """Shift along the direction in pixels: half the way from `back` to `there`, by least squares.

    Both are symmetric about rest, which cancels the curvature of the picture.
    """
    x, y, width, height = vibration.region
    cut = slice(y, y + height), slice(x, x + width)
    rest = smooth(scene.clean(0))
    slope = (vibration.direction[0] * steep(rest, 1) + vibration.direction[1] * steep(rest, 0))[cut]
    change = (smooth(there) - smooth(back))[cut] / 2
    return float(-(change * slope).sum() / (slope**2).sum())


@pytest.mark.parametrize("which", [0, 1])
def test_objects_move_by_the_stated_sinusoid(scene: SceneSource, which: int) -> None:
    vibration = scene.vibrations[which]
    period = round(30 / vibration.hz)
    assert vibration.shift(1 / 30) == pytest.approx(-vibration.shift((period - 1) / 30))
    for index in range(period):
        measured = moved(scene, vibration, scene.clean(index), scene.clean(period - index))
        stated = vibration.shift(index / 30)
        assert measured == pytest.approx(stated, abs=0.015 * vibration.amplitude)


def test_motion_survives_noise_and_rounding(scene: SceneSource) -> None:
    for vibration in scene.vibrations:
        period = round(30 / vibration.hz)
        there, back = (
            np.stack([scene.image(first + period * n) for n in range(12)]).mean(0, dtype=np.float32)
            for first in (period // 4, period - period // 4)
        )
        stated = vibration.shift(period // 4 / 30)
        assert moved(scene, vibration, np.asarray(there), np.asarray(back)) == pytest.approx(
            stated, rel=0.1
        )


def test_vibrations_are_invisible_but_the_crate_moves_visibly(scene: SceneSource) -> None:
    assert all(vibration.amplitude < 0.2 for vibration in scene.vibrations)
    moved = np.abs(scene.clean(90) - scene.clean(0)).max(2) > 30
    assert moved.sum() > 300
    assert not moved[scene.still].any()


def test_still_pixels_change_by_noise_only(scene: SceneSource) -> None:
    assert np.array_equal(scene.clean(0)[scene.still], scene.clean(77)[scene.still])
    assert scene.still.mean() > 0.4
    images = np.stack([scene.image(index)[scene.still] for index in range(20)]).astype(np.float32)
    assert images.std(0).mean() == pytest.approx(np.hypot(1.5, 12**-0.5), rel=0.05)
    drift = images[:10].mean(0) - images[10:].mean(0)
    assert abs(drift.mean()) < 0.02


def test_noise_of_successive_frames_is_independent(scene: SceneSource) -> None:
    first, second = (
        scene.image(index).astype(np.float32) - scene.clean(index) for index in (10, 11)
    )
    assert abs(np.corrcoef(first[scene.still].ravel(), second[scene.still].ravel())[0, 1]) < 0.01


def test_pictures_depend_on_seed_and_index_alone(scene: SceneSource) -> None:
    again: list[list[Image]] = [
        [frame.image for frame in SceneSource((160, 120), frames=3, seed=seed)]
        for seed in (1, 1, 2)
    ]
    assert len(again[0]) == 3
    assert all(np.array_equal(a, b) for a, b in zip(again[0], again[1], strict=True))
    assert not np.array_equal(again[0][0], again[2][0])


def test_still_pixels_have_detail_at_every_scale(scene: SceneSource) -> None:
    """A flat background would hide the noise that a magnifier makes."""
    gray = scene.clean(0).mean(2)
    for step in (1, 4, 16):
        assert np.abs(gray[:, step:] - gray[:, :-step])[:400].mean() > 1.0


def test_the_scene_is_a_source() -> None:
    with SceneSource((160, 120), fps=25, frames=5) as source:
        frames = list(source)
    assert source.size == frames[0].size == (160, 120)
    assert [frame.index for frame in frames] == list(range(5))
    assert [frame.time for frame in frames] == pytest.approx([index / 25 for index in range(5)])
    assert all(frame.image.dtype == np.uint8 for frame in frames)
    source.close()
    assert list(source) == []


@pytest.mark.parametrize("size", [(16, 16), (321, 241), (240, 320), (640, 100)])
def test_any_size_can_be_drawn(size: tuple[int, int]) -> None:
    source = SceneSource(size)
    assert source.image(3).shape == (size[1], size[0], 3)


def test_live_frames_keep_real_time_and_late_ones_are_skipped() -> None:
    source = SceneSource((64, 48), fps=50, live=True)
    frames = []
    for frame in itertools.islice(source, 6):
        assert 0 <= time.monotonic() - frame.time < 0.5
        frames.append(frame)
        if frame.index == 2:
            time.sleep(0.1)
    assert frames[1].index == 1
    assert frames[-1].index >= 8
    assert all(b.time > a.time for a, b in itertools.pairwise(frames))


def test_invalid_sizes_and_rates_are_refused() -> None:
    with pytest.raises(OptionError):
        SceneSource((4, 4))
    with pytest.raises(OptionError):
        SceneSource(fps=0)
