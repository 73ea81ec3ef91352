"""Presets: bands that a camera can show."""

from typing import get_args

from rtmag.realtime.presets import PRESETS, PresetName


def test_every_preset_fits_a_camera_of_30_fps() -> None:
    assert set(PRESETS) == set(get_args(PresetName))
    for preset in PRESETS.values():
        preset.filter.check(29.0)
        assert preset.data()["mode"] == "temporal"
        assert preset.alpha > 1
        assert preset.why.endswith(".")


def test_only_the_machine_preset_needs_more_than_25_fps() -> None:
    fast = {name for name, preset in PRESETS.items() if preset.filter.fh >= 12.5}
    assert fast == {"machine"}
