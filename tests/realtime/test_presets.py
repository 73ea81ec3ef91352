"""Presets: bands that a camera can show."""

from typing import get_args

import pytest

from rtmag.realtime.presets import PRESETS, PresetName


def test_every_preset_fits_a_camera_of_30_fps() -> None:
    assert set(PRESETS) == set(get_args(PresetName))
    for preset in PRESETS.values():
        preset.filter.check(29.0)
        assert preset.data()["mode"] == "temporal"
        assert preset.alpha > 1
        assert preset.why.endswith(".")


@pytest.mark.parametrize("fps", [12.0, 15.0, 24.0, 25.0, 28.0])
def test_every_preset_fits_itself_to_a_slow_camera(fps: float) -> None:
    for preset in PRESETS.values():
        fitted = preset.filter.fitted(fps)
        fitted.check(fps)
        assert fitted.fl == preset.filter.fl


def test_only_the_machine_preset_needs_more_than_25_fps() -> None:
    fast = {name for name, preset in PRESETS.items() if preset.filter.fh >= 12.5}
    assert fast == {"machine"}
