"""What each key does to the controls."""

import numpy as np
import pytest
from scipy.signal import freqz_sos

from rtmag.realtime.controls import HELP, Controls
from rtmag.realtime.filters import Dynamic, Static, Temporal


def press(controls: Controls, keys: str) -> str | None:
    said = None
    for key in keys:
        said = controls.press(ord(key))
    return said


def test_alpha_changes_by_factors_within_bounds() -> None:
    controls = Controls(alpha=20)
    press(controls, "+")
    assert controls.alpha == 25
    press(controls, "-")
    assert controls.alpha == pytest.approx(20)
    press(controls, "=" * 100)
    assert controls.alpha == 1000
    controls.alpha = 0
    press(controls, "+")
    assert controls.alpha > 0


def test_caps_lock_changes_nothing() -> None:
    controls = Controls()
    press(controls, "SHQ")
    assert (controls.layout, controls.help, controls.quit) == ("side", True, True)
    assert controls.press(0x130) is None


def test_modes_cycle_and_name_their_filter() -> None:
    controls = Controls(drift=0.2)
    assert controls.filter() == Static(0.2)
    assert press(controls, "m") == str(Dynamic())
    assert controls.filter() == Dynamic()
    press(controls, "m")
    assert controls.filter() == Temporal(controls.fl, controls.fh, 1)
    press(controls, "m")
    assert controls.mode == "static"


def test_the_band_moves_as_a_whole_and_stays_below_nyquist() -> None:
    controls = Controls(mode="temporal", fl=1, fh=4, fps=10)
    assert press(controls, "[") == "band 0.8-3.2 Hz"
    press(controls, "]" * 20)
    assert controls.fh < 5
    assert controls.fh / controls.fl == pytest.approx(4)
    controls.filter().check(10)


@pytest.mark.parametrize(("fl", "fh", "steep"), [(36, 38, 2), (1, 1.9, 2), (1, 2, 1), (0.4, 3, 1)])
def test_narrow_bands_have_steep_edges(fl: float, fh: float, steep: int) -> None:
    controls = Controls()
    controls.change({"band": (fl, fh)})
    assert controls.filter() == Temporal(fl, fh, steep)
    assert controls.settings()["order"] == steep
    controls.order = 3 - steep
    assert controls.filter() == Temporal(fl, fh, 3 - steep)


def test_a_narrow_band_leaves_a_strong_neighbour_as_it_is() -> None:
    """A clip coded in groups of 12 pictures shakes at 20 Hz, and what is looked for is at 37 Hz."""

    def shown(controls: Controls) -> float:
        chosen = controls.filter()
        assert isinstance(chosen, Temporal)
        sos = np.insert(chosen.sections(239.76).astype(float), 3, 1.0, axis=1)
        response = freqz_sos(sos, [20.0], fs=239.76)[1][0]
        return float(abs(1 + (controls.alpha - 1) * response))

    controls = Controls(alpha=20, mode="temporal", fl=36, fh=38)
    assert shown(controls) == pytest.approx(1, abs=0.05)
    controls.order = 1
    assert shown(controls) > 1.3


def test_the_band_keys_turn_the_temporal_mode_on() -> None:
    controls = Controls()
    press(controls, "]")
    assert controls.mode == "temporal"


@pytest.mark.parametrize(
    ("key", "name"),
    [(" ", "paused"), ("c", "original"), ("r", "recording"), ("f", "fullscreen"), ("h", "help")],
)
def test_switches_turn_over(key: str, name: str) -> None:
    controls = Controls()
    press(controls, key)
    assert getattr(controls, name)
    press(controls, key)
    assert not getattr(controls, name)


def test_information_is_shown_unless_turned_off() -> None:
    controls = Controls()
    assert controls.info
    assert press(controls, "i") == "info: off"


def test_layouts_cycle() -> None:
    controls = Controls()
    seen = []
    for _ in range(5):
        press(controls, "s")
        seen.append(controls.layout)
    assert seen == ["side", "split", "difference", "original", "magnified"]


def test_comparing_shows_the_original_whatever_the_layout() -> None:
    controls = Controls(layout="side")
    assert controls.shown == "side"
    press(controls, "c")
    assert (controls.shown, controls.layout) == ("original", "side")


@pytest.mark.parametrize("code", [ord("q"), 27])
def test_q_and_escape_quit(code: int) -> None:
    controls = Controls()
    controls.press(code)
    assert controls.quit


@pytest.mark.parametrize("code", [-1, 0, ord("z"), 255, 0xFF63, 0xFF51, 0x250000])
def test_other_keys_do_nothing(code: int) -> None:
    controls = Controls()
    assert controls.press(code) is None
    assert controls == Controls()


def test_codes_above_a_byte_are_read_as_their_letter() -> None:
    """Some back-ends add modifier bits."""
    controls = Controls()
    controls.press(0x100000 | ord("h"))
    assert controls.help
    controls.press(0xFFAB)
    assert controls.alpha > 20


def test_the_help_names_every_key() -> None:
    keys = "".join(key for key, _ in HELP)
    assert set("+-m[]scrfihq") <= set(keys)
    assert "space" in keys


def test_a_page_changes_the_same_controls() -> None:
    controls = Controls(fps=20)
    controls.change({"alpha": 3.0, "layout": "difference", "band": (5.0, 50.0), "wipe": 0.25})
    assert (controls.alpha, controls.layout, controls.wipe) == (3.0, "difference", 0.25)
    assert controls.mode == "temporal"
    assert controls.fh < 10
    assert controls.fh / controls.fl == pytest.approx(10)
    assert controls.settings() | {"alpha": 3.0, "layout": "difference"} == controls.settings()


def test_a_region_too_small_to_show_motion_is_none() -> None:
    controls = Controls()
    controls.change({"region": (10, 20, 100, 80)})
    assert controls.region == (10, 20, 100, 80)
    controls.change({"region": (10, 20, 100, 8)})
    assert controls.region is None
    controls.whole = True
    controls.change({"region": (10, 20, 100, 80)})
    assert controls.region is None


def test_an_engine_of_one_scale_keeps_it() -> None:
    controls = Controls()
    controls.change({"motion_scale": 0.5})
    assert controls.motion_scale is None
    controls.motion_scale = 1.0
    controls.change({"motion_scale": 0.5})
    assert controls.motion_scale == 0.5
