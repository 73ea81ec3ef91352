"""Flicker: amplitude of light in a band, apart from motion and steps."""

import numpy as np
import pytest
from numpy.typing import NDArray

from rtmag.realtime.filters import Temporal
from rtmag.realtime.flicker import LEAST, Flicker
from rtmag.realtime.thumbnail import Thumbnail
from tests.support.scenes import filmed, shifted, sway, texture

BAND = Temporal(4, 8)


def largest(light: NDArray[np.float64], filter: Temporal = BAND) -> float:
    """Largest amplitude that was measured in a still scene whose light has these factors."""
    still = shifted(texture(), 0)
    flicker = Flicker(filter.sections(30), 30, filter.fl)
    found = []
    for picture in filmed(still * np.float32(factor) for factor in light):
        flicker.add(Thumbnail.of(picture).cell_light())
        found.append(flicker.amplitude)
    return max(found)


@pytest.mark.parametrize("amplitude", [0.02, 0.05, 0.1])
def test_the_amplitude_of_the_light_is_measured(amplitude: float) -> None:
    waves = 0.9 + 0.9 * amplitude * np.sin(2 * np.pi * 5.7 * np.arange(90) / 30)
    assert largest(waves) == pytest.approx(amplitude, rel=0.2)
    assert largest(waves, Temporal(0.5, 1)) < LEAST


@pytest.mark.parametrize("filter", [BAND, Temporal(5.0, 5.5, order=2)], ids=str)
def test_a_step_or_a_slope_of_the_light_is_no_flicker(filter: Temporal) -> None:
    assert largest(np.where(np.arange(90) < 30, 0.8, 0.88), filter) < LEAST
    assert largest(np.linspace(0.8, 1, 90), filter) < LEAST


@pytest.mark.parametrize("pixels", [0.2, 2.0, 6.0])
def test_motion_is_no_flicker(pixels: float) -> None:
    flicker = Flicker(BAND.sections(30), 30, BAND.fl)
    for picture in filmed(sway(75, pixels=pixels, hz=5.7)):
        flicker.add(Thumbnail.of(picture).cell_light())
        assert flicker.amplitude < LEAST
