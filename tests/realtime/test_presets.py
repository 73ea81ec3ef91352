"""Bands as people write them, and presets that are bands a camera can show."""

from typing import get_args

import pytest

from rtmag.realtime.errors import OptionError
from rtmag.realtime.filters import Temporal
from rtmag.realtime.presets import PRESETS, UNITS, PresetName, Unit, format_band, parse_band


@pytest.mark.parametrize(
    ("text", "band"),
    [
        ("0.8-1.2Hz", (0.8, 1.2)),
        ("0.8-1.2", (0.8, 1.2)),
        ("48-72bpm", (0.8, 1.2)),
        ("1200-1800rpm", (20, 30)),
        (" .5 \u2013 3. HZ ", (0.5, 3)),
        ("45 - 120 BPM", (0.75, 2)),
    ],
)
def test_bands_come_in_several_units(text: str, band: tuple[float, float]) -> None:
    assert parse_band(text) == pytest.approx(band)


@pytest.mark.parametrize(
    "text", ["", "5", "1-", "-1", "a-b", "1-2-3", "1,5-2", "1e3-2e3", "1-2kHz", "-1-2Hz", "nan-inf"]
)
def test_what_is_no_band_is_told_how_one_looks(text: str) -> None:
    with pytest.raises(OptionError, match=r"0\.8-1\.2Hz or 48-72bpm, got '"):
        parse_band(text)


@pytest.mark.parametrize("text", ["2-1", "1-1", "0-1bpm", "1-" + "9" * 400])
def test_edges_are_in_order(text: str) -> None:
    with pytest.raises(OptionError, match="0 < LOWER < UPPER"):
        parse_band(text)


@pytest.mark.parametrize("unit", UNITS)
def test_what_is_formatted_can_be_read(unit: Unit) -> None:
    for fl, fh in ((0.8, 1.2), (1 / 6, 2 / 3), (20, 1000.5)):
        text = format_band(fl, fh, unit)
        assert text.endswith(unit)
        assert parse_band(text) == pytest.approx((fl, fh), rel=1e-5)
    assert format_band(0.75, 2, "bpm") == "45-120bpm"


def test_every_preset_fits_a_camera_of_30_fps() -> None:
    assert set(PRESETS) == set(get_args(PresetName))
    for preset in PRESETS.values():
        Temporal(*preset.band, preset.order).check(29.0)
        assert preset.mode == "temporal"
        assert preset.alpha > 1
        assert preset.why.endswith(".")


def test_no_preset_but_a_machines_asks_for_more_than_25_fps() -> None:
    fast = {name for name, preset in PRESETS.items() if preset.band[1] >= 12.5}
    assert fast == {"machine"}
