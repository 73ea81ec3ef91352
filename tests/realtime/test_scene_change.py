"""Scene changes: what is one, what is none, and how many frames each costs."""

from itertools import islice

import numpy as np
import pytest

from rtmag.realtime.frame import Image
from rtmag.realtime.opencv import cv2
from rtmag.realtime.scene_change import SceneChange, Verdict
from rtmag.realtime.sources.scene.scene import SceneSource
from tests.support.scenes import BLACK, SIZE, Picture, filmed, mixed, ramp, shifted, sway, texture

FOLLOW = [0.0, 0.05, 1.0]
"""The reference is the first frame, a slow average, the previous frame."""

HERE = shifted(texture(1), 0)
THERE = shifted(texture(7), 0)
ROWS = np.arange(SIZE[1], dtype=np.float32)[:, None, None] / SIZE[1]


def watch(pictures: list[Image], follow: float = 0.0, fps: float = 30) -> tuple[list[Verdict], int]:
    """Verdict of each picture, and number of changes counted."""
    scenes = SceneChange()
    verdicts = [scenes.look(each, i / fps, follow) for i, each in enumerate(pictures)]
    return verdicts, len(scenes.times)


def walker(width: int, seconds: float) -> list[Picture]:
    """Somebody who crosses the picture, `width` of its 160 px wide."""
    person, frames = shifted(texture(5), 0)[:, :width], []
    for left in np.linspace(-width, SIZE[0], round(30 * seconds)).round().astype(int):
        picture = HERE.copy()
        begin, end = max(left, 0), min(left + width, SIZE[0])
        picture[10:, begin:end] = person[10:, begin - left : end - left]
        frames.append(picture)
    return frames


def shake(pixels: float, hz: float) -> list[Picture]:
    base = texture(1)
    angles = [2 * np.pi * hz * i / 30 for i in range(60)]
    return [shifted(base, pixels * np.sin(a), pixels * np.sin(1.3 * a + 1)) for a in angles]


def flicker(amplitude: float, hz: float, rows: float = 0.0) -> list[Picture]:
    waves = [np.sin(2 * np.pi * (hz * i / 30 + rows * ROWS)) for i in range(90)]
    return [np.asarray(HERE * (1 + amplitude * wave), np.float32) for wave in waves]


NO_CHANGES: dict[str, list[Image]] = {
    "sway": filmed(sway(60)),
    "hand-held shake": filmed(shake(5, 2)),
    "quick shake": filmed(shake(2, 5)),
    "somebody passes": filmed([HERE] * 15 + walker(80, 1.5) + [HERE] * 15),
    "noise": filmed([HERE] * 45, 25),
    "noise on a wall": filmed([BLACK + 90] * 90, 6),
    "wall": filmed([BLACK + 90] * 60),
    "wall with another light": filmed([BLACK + 90] * 20 + [BLACK + 200] * 40),
    "mains flicker": filmed(flicker(0.1, 5.5)),
    "mains bands": filmed(flicker(0.08, 5.5, 2.5)),
    "slow light": filmed(ramp(HERE, 0.9, 1.0, 90)),
}


@pytest.mark.parametrize("follow", FOLLOW)
@pytest.mark.parametrize("name", NO_CHANGES)
def test_motion_noise_and_flicker_are_no_changes(name: str, follow: float) -> None:
    verdicts, changes = watch(NO_CHANGES[name], follow)
    assert changes == 0
    assert set(verdicts) == {"same"}


def test_the_built_in_scene_does_not_change() -> None:
    with SceneSource((320, 240), 30.0, live=False) as source:
        assert watch([frame.image for frame in islice(source, 60)])[1] == 0


def test_a_fan_is_no_change() -> None:
    y, x = np.mgrid[: SIZE[1], : SIZE[0]].astype(np.float32)
    angle, near = np.arctan2(y - 60, x - 80), np.hypot(y - 60, x - 80) < 50
    pictures = [HERE.copy() for _ in range(60)]
    for i, picture in enumerate(pictures):
        picture[near & (np.sin(3 * angle + 2.1 * i) > 0)] = 220
    assert watch(filmed(pictures))[1] == 0


@pytest.mark.parametrize("follow", FOLLOW)
def test_a_cut_is_found_at_its_frame_and_costs_no_other(follow: float) -> None:
    verdicts, changes = watch(filmed(sway(20) + sway(30, seed=7)), follow)
    assert verdicts == ["same"] * 20 + ["new"] + ["same"] * 29
    assert changes == 1


@pytest.mark.parametrize("dark", [1, 15])
def test_the_first_light_after_black_is_the_reference(dark: int) -> None:
    verdicts, changes = watch(filmed([BLACK] * dark + sway(40)))
    assert verdicts == ["same"] * dark + ["new"] + ["same"] * 39
    assert changes == 1


DOME = np.hypot(*np.mgrid[-60:60, -80:80])[..., None].astype(np.float32)
GREY = np.repeat(HERE.mean(axis=2, keepdims=True), 3, axis=2)
TINT = np.array([0.7, 1, 1.3], np.float32)

CHANGES: dict[str, tuple[list[Picture], int]] = {
    "dark warm-up": ([HERE * 0.03] * 10, 6),
    "fade-in": (ramp(HERE, 0.05, 1, 20), 6),
    "exposure ramp": (ramp(HERE, 0.1, 1, 30), 6),
    "fade to black": ([THERE] * 15 + ramp(THERE, 1, 0, 15) + ramp(HERE, 0, 1, 15), 6),
    "step of the exposure": ([HERE * 0.8] * 15, 14),
    "iris": ([np.where(4 * i > DOME, HERE, BLACK) for i in range(25)], 6),
    "infrared": ([HERE * TINT] * 15 + [GREY * 0.7] * 15, 14),
    "cross-fade": ([THERE] * 15 + mixed(THERE, HERE, 20), 30),
    "turned camera": ([shifted(texture(1, 60), 2 * i - 50, margin=60) for i in range(25)], 45),
}
"""Pictures before the scene, and the frames that may pass until it is the reference."""


@pytest.mark.parametrize("name", CHANGES)
def test_the_scene_after_a_change_is_the_reference(name: str) -> None:
    before, patience = CHANGES[name]
    after = [shifted(texture(1, 60), 0, margin=60)] if name == "turned camera" else [HERE]
    verdicts, changes = watch(filmed(before + after * 90))
    last = max(i for i, verdict in enumerate(verdicts) if verdict == "new")
    assert len(before) - 2 <= last < len(before) + patience
    assert changes == 1


def test_slow_ends_of_automatic_exposure_belong_to_their_change() -> None:
    light = [1 - 0.7 * np.exp(-i / 20) for i in range(150)]
    pictures = filmed([HERE * np.float32(factor) for factor in light])
    verdicts, changes = watch(pictures)
    assert changes == 1
    last = max(i for i, verdict in enumerate(verdicts) if verdict == "new")
    assert light[-1] / light[last] < 1.05


@pytest.mark.parametrize(
    "between", [[BLACK + 255], [BLACK], [BLACK] * 5, [THERE] * 2, [HERE * 1.7] * 3], ids=len
)
def test_after_a_flash_the_reference_before_it_is_valid(between: list[Picture]) -> None:
    count = len(between)
    verdicts, changes = watch(filmed([HERE] * 20 + between + [HERE] * 30))
    assert set(verdicts[20 : 20 + count]) <= {"new", "same"}
    assert verdicts[20] == "new"
    assert verdicts[20 + count :] == ["back"] + ["same"] * 29
    assert changes == 0


def test_a_lens_cap_costs_a_frame_when_it_is_put_on_and_one_when_it_is_taken_off() -> None:
    verdicts, changes = watch(filmed([HERE] * 15 + [BLACK] * 150 + [HERE] * 30))
    assert [i for i, verdict in enumerate(verdicts) if verdict != "same"] == [15, 165]
    assert changes == 2


def test_somebody_who_fills_the_picture_and_leaves_is_no_change() -> None:
    verdicts, changes = watch(filmed([HERE] * 15 + walker(150, 2) + [HERE] * 30))
    assert changes == 0
    assert verdicts[-20:] == ["same"] * 20


def test_a_scene_that_never_rests_is_held_for_a_few_seconds_only() -> None:
    base = np.asarray(cv2.resize(texture(1, 20), None, fx=8, fy=1), np.float32)
    pan: list[Picture] = [base[20:140, 5 * i : 5 * i + 160] for i in range(200)]
    verdicts, changes = watch(filmed(pan))
    assert "same" in verdicts[120:]
    assert changes <= 3


@pytest.mark.parametrize("size", [(1, 1), (4, 2), (20, 200), (640, 48)])
def test_pictures_of_any_size_may_be_watched(size: tuple[int, int]) -> None:
    pictures = [cv2.resize(each, size) for each in filmed(sway(5))]
    assert watch([np.asarray(each, np.uint8) for each in pictures])[0] == ["same"] * 5


def test_a_restart_takes_another_scene_without_counting_it() -> None:
    scenes = SceneChange()
    here, there = filmed([HERE, THERE])
    assert [scenes.look(here, i / 30) for i in range(3)] == ["same"] * 3
    scenes.restart()
    assert [scenes.look(there, 1 + i / 30) for i in range(3)] == ["same"] * 3
    assert scenes.times == []
