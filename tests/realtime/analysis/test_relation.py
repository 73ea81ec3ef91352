"""Phase and coherence of two regions, and notes that are about several regions."""

import numpy as np
import pytest

from rtmag.realtime.analysis.measurement import RegionMotion, principal_direction, relation
from rtmag.realtime.analysis.meter import Meter
from rtmag.realtime.frame import Frame


def moving(name: str, right: float, down: float, phase: float = 0.0) -> RegionMotion:
    """A region that moves by (right, down) at 3 Hz."""
    times = np.arange(240) / 30
    noise = np.random.default_rng(len(name)).normal(0, 0.001, (240, 2))
    wave = np.sin(2 * np.pi * 3 * times + np.radians(phase))
    displacement = noise + wave[:, None] * np.array([right, down])
    return RegionMotion(name, (0, 0, 9, 9), times, displacement, np.full_like(noise, 0.001))


@pytest.mark.parametrize("lean", [-0.01, 0.01])
def test_regions_that_rise_together_are_in_phase_whichever_way_they_lean(lean: float) -> None:
    first, second = moving("a", 0.01, 0.4), moving("b2", lean, 0.4)
    phase, _, coherence = relation(first, second).at(3.0)
    assert phase == pytest.approx(0, abs=2)
    assert coherence > 0.99


def test_opposite_motion_along_a_diagonal_is_half_a_turn() -> None:
    first, second = moving("a", 0.3, 0.3), moving("b2", 0.29, 0.31, 180)
    assert abs(relation(first, second).at(3.0)[0]) == pytest.approx(180, abs=2)


def test_the_direction_of_motion_points_right_or_down() -> None:
    for right, down in ((1.0, 0.1), (1.0, -0.1), (0.1, 1.0), (-0.1, 1.0)):
        found = principal_direction(moving("a", right, down).displacement)
        assert found @ np.array([right, down]) > 0.9


def test_a_note_about_several_regions_is_given_once() -> None:
    meter = Meter({"a": (0, 0, 16, 16), "b": (16, 0, 16, 16)})
    picture = np.random.default_rng(0).integers(0, 255, (32, 32, 3)).astype(np.uint8)
    for index in range(3):
        meter.add(Frame(picture, index / 30, index))
    assert "regions a, b: too few frames for a spectrum" in meter.result().notes
