"""Options of the command line combined into controls."""

from typing import Any

import pytest

from rtmag.realtime.cli.options import MotionOptions, make_controls
from rtmag.realtime.errors import OptionError
from rtmag.realtime.filters import Dynamic, Filter, Static, Temporal

NONE: dict[str, Any] = {"alpha": 20.0, "mode": None, "fl": None, "fh": None}


@pytest.mark.parametrize(
    ("options", "filter"),
    [
        ({}, Static()),
        ({"drift": 0.1}, Static(0.1)),
        ({"mode": "dynamic"}, Dynamic()),
        ({"fl": 0.4, "fh": 3.0}, Temporal(0.4, 3)),
        ({"mode": "temporal", "fl": 0.4, "fh": 3.0, "order": 2}, Temporal(0.4, 3, 2)),
        ({"band": "48-120bpm"}, Temporal(0.8, 2)),
        ({"fl": 36.0, "fh": 38.0}, Temporal(36, 38, 2)),
        ({"fl": 36.0, "fh": 38.0, "order": 1}, Temporal(36, 38)),
        ({"band": "1-2Hz"}, Temporal(1, 2)),
        ({"preset": "breath", "band": "0.25-0.3Hz"}, Temporal(0.25, 0.3)),
        ({"preset": "machine"}, Temporal(5, 14, 2)),
        ({"preset": "machine", "order": 1}, Temporal(5, 14)),
        ({"preset": "machine", "band": "6-7Hz"}, Temporal(6, 7, 2)),
        ({"preset": "machine", "fh": 9.0}, Temporal(5, 9, 2)),
        ({"preset": "machine", "mode": "dynamic"}, Dynamic()),
        ({"preset": "machine", "mode": "static", "drift": 0.1}, Static(0.1)),
    ],
)
def test_options_select_the_filter(options: dict[str, Any], filter: Filter) -> None:
    assert make_controls(**NONE | options).filter == filter


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": float("nan")}, "alpha must be a finite number, got alpha = nan"),
        ({"alpha": float("inf")}, "finite"),
        ({"fl": 1.0}, "both --fl and --fh"),
        ({"mode": "temporal"}, "both --fl and --fh"),
        ({"fl": 3.0, "fh": 1.0}, "0 < fl < fh"),
        ({"fl": 0.0, "fh": 1.0}, "0 < fl < fh"),
        ({"fl": float("nan"), "fh": 1.0}, "0 < fl < fh"),
        ({"mode": "static", "fl": 1.0, "fh": 2.0}, "--mode static"),
        ({"mode": "dynamic", "drift": 1.0}, "--mode dynamic"),
        ({"drift": -1.0}, "drift"),
        ({"band": "1-2Hz", "fl": 1.0}, "--band 1-2Hz sets both edges"),
        ({"band": "1-2Hz", "fh": 1.0}, "leave out --fl and --fh"),
        ({"band": "quick"}, "such as 0.8-1.2Hz"),
        ({"band": "1-2Hz", "mode": "static"}, "a band needs --mode temporal, got --mode static"),
        ({"preset": "pulse", "drift": 1.0}, "--mode temporal"),
    ],
)
def test_contradictory_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        make_controls(**NONE | options)


@pytest.mark.parametrize(
    ("options", "filter", "alpha"),
    [
        ({}, Temporal(0.4, 3), 10),
        ({"alpha": 20.0}, Temporal(0.4, 3), 20),
        ({"mode": "temporal"}, Temporal(0.4, 3), 10),
        ({"mode": "static"}, Static(), 20),
        ({"drift": 0.1}, Static(0.1), 20),
        ({"band": "5-18Hz"}, Temporal(5, 18), 20),
        ({"preset": "building"}, Temporal(0.1, 2), 50),
    ],
)
def test_a_live_source_has_a_band_by_default(
    options: dict[str, Any], filter: Filter, alpha: float
) -> None:
    controls = make_controls(**options, live=True)
    assert (controls.filter, controls.alpha) == (filter, alpha)
    assert (controls.preset == "default") is (filter == Temporal(0.4, 3))


@pytest.mark.parametrize(
    ("options", "preset", "unit"),
    [
        ({}, None, "Hz"),
        ({"preset": "breath"}, "breath", "bpm"),
        ({"preset": "machine", "alpha": 3.0, "order": 1}, "machine", "Hz"),
        ({"preset": "breath", "band": "0.2-0.3Hz"}, None, "Hz"),
        ({"preset": "breath", "fh": 0.5}, None, "bpm"),
        ({"preset": "breath", "mode": "static"}, None, "Hz"),
        ({"band": "1200-1800rpm"}, None, "rpm"),
    ],
)
def test_a_preset_is_named_unless_its_band_was_replaced(
    options: dict[str, Any], preset: str | None, unit: str
) -> None:
    controls = make_controls(**NONE | options)
    assert (controls.preset, controls.unit) == (preset, unit)


def test_an_unusual_alpha_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    assert MotionOptions(alpha=-3.0).controls().alpha == -3
    assert MotionOptions(alpha=1e9).controls().alpha == 1000
    assert MotionOptions().controls().alpha == 20
    reversed_, large = capsys.readouterr().err.splitlines()
    assert "motion is shown reversed, 3 times" in reversed_
    assert large == "alpha 1e+09 is more than the models support: alpha is 1000"


def test_an_alpha_option_overrides_the_preset() -> None:
    assert make_controls().alpha == 20
    assert make_controls(preset="building").alpha == 50
    assert make_controls(preset="building", alpha=0.0).alpha == 0
