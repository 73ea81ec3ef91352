"""Controls: modes, bands and what a web page may change."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import freqz_sos

from rtmag.realtime.controls import (
    COLOURS,
    Controls,
    NamedRegion,
    Playback,
    alpha_notes,
    checked_alpha,
)
from rtmag.realtime.filters import MODES, Dynamic, Filter, Static, Temporal
from rtmag.realtime.presets import PRESETS


def in_use(controls: Controls) -> Filter:
    return controls.filter


def test_the_next_mode_has_its_former_parameters() -> None:
    controls = Controls(filter=Static(drift=0.2))
    used: list[Filter] = []
    for _ in range(2 * len(MODES)):
        used.append(controls.filter)
        controls.next_mode()
    once = [Static(drift=0.2), Dynamic(), Temporal(0.4, 3)]
    assert used == 2 * once


def test_a_band_is_remembered_while_another_mode_is_in_use() -> None:
    controls = Controls()
    controls.set_band(36, 38)
    controls.set_mode("static")
    assert in_use(controls) == Static()
    assert controls.band == (36, 38)
    controls.set_mode("temporal")
    assert in_use(controls) == Temporal(36, 38, order=2)


def test_copies_do_not_share_remembered_filters() -> None:
    controls = Controls()
    copy = replace(controls)
    copy.set_band(7, 9)
    copy.set_mode("static")
    assert controls.band == (0.4, 3)


def test_a_band_above_nyquist_is_moved_down_as_a_whole() -> None:
    controls = Controls(fps=10)
    controls.set_band(4, 16)
    assert controls.band[1] < 5
    assert controls.band[1] / controls.band[0] == pytest.approx(4)
    controls.filter.check(10)


@pytest.mark.parametrize("fps", [None, 30.0, 2000.0])
def test_a_band_stays_where_filters_are_exact(fps: float | None) -> None:
    controls = Controls(filter=Temporal(1, 4), fps=fps)
    for factor in (0.8, 1.25):
        for _ in range(1000):
            controls.set_band(*(edge * factor for edge in controls.band))
        fl, fh = controls.band
        assert 0.01 <= fl < fh < 1e6
        assert fh / fl == pytest.approx(4)
        controls.filter.check(fps or 2.1 * fh)


def test_a_preset_keeps_its_band_at_every_rate_until_another_is_set() -> None:
    controls = Controls(fps=20)
    machine = PRESETS["machine"]
    controls.change(machine.settings | {"preset": "machine"})
    assert (controls.filter, controls.preset) == (machine.filter, "machine")
    controls.change(PRESETS["breath"].settings | {"preset": "breath"})
    assert (controls.settings()["preset"], controls.settings()["unit"]) == ("breath", "bpm")
    controls.change({"band": (1, 2)})
    assert (controls.preset, controls.unit) == (None, "bpm")


def test_an_alpha_of_any_sign_is_limited_and_scaled() -> None:
    assert [checked_alpha(alpha) for alpha in (-3, 1e9, -1e9)] == [-3, 1000, -1000]
    assert alpha_notes(20) == []
    assert alpha_notes(-3) == ["alpha -3 is negative: motion is shown reversed, 3 times"]
    assert len(alpha_notes(-1e9)) == 2
    controls = Controls(alpha=-4)
    controls.scale_alpha(1.25)
    assert controls.alpha == -5
    controls.scale_alpha(1e9)
    assert controls.alpha == -1000


@pytest.mark.parametrize(("fl", "fh", "order"), [(36, 38, 2), (1, 1.9, 2), (1, 2, 1), (0.4, 3, 1)])
def test_narrow_bands_have_steep_edges(fl: float, fh: float, order: int) -> None:
    controls = Controls()
    controls.change({"band": (fl, fh)})
    assert in_use(controls) == Temporal(fl, fh, order)
    assert controls.settings()["order"] == order
    controls.set_order(3 - order)
    assert in_use(controls) == Temporal(fl, fh, 3 - order)


def test_an_order_holds_for_every_later_band() -> None:
    controls = Controls(filter=Temporal(0.75, 2, order=2), order=2)
    controls.change({"band": (1, 8)})
    assert in_use(controls) == Temporal(1, 8, order=2)
    controls.set_order(None)
    assert in_use(controls) == Temporal(1, 8, order=1)


def test_a_narrow_band_leaves_a_strong_neighbour_as_it_is() -> None:
    """A clip encoded in groups of 12 pictures shakes at 20 Hz; the motion of interest is 37 Hz."""

    def factor(controls: Controls) -> float:
        sos = np.insert(controls.filter.sections(239.76).astype(float), 3, 1.0, axis=1)
        response = freqz_sos(sos, [20.0], fs=239.76)[1][0]
        return float(abs(1 + (controls.alpha - 1) * response))

    controls = Controls(alpha=20)
    controls.set_band(36, 38)
    assert factor(controls) == pytest.approx(1, abs=0.05)
    controls.set_order(1)
    assert factor(controls) > 1.3


def test_a_page_changes_the_same_controls() -> None:
    controls = Controls(fps=20)
    controls.change({"alpha": 3.0, "layout": "difference", "band": (5.0, 50.0), "wipe": 0.25})
    assert (controls.alpha, controls.layout, controls.wipe) == (3.0, "difference", 0.25)
    assert controls.filter.mode == "temporal"
    assert controls.band[1] < 10
    assert controls.band[1] / controls.band[0] == pytest.approx(10)
    assert controls.settings() | {"alpha": 3.0, "layout": "difference"} == controls.settings()


def test_a_page_may_set_a_parameter_of_a_mode_that_is_not_in_use() -> None:
    controls = Controls(filter=Dynamic())
    controls.change({"drift": 0.25})
    assert in_use(controls) == Dynamic()
    assert controls.settings()["drift"] == 0.25
    controls.change({"mode": "static"})
    assert in_use(controls) == Static(drift=0.25)
    controls.change({"drift": None})
    assert in_use(controls) == Static()


def test_a_page_gets_the_parameters_of_all_modes() -> None:
    settings = Controls(filter=Static(drift=0.2)).settings()
    names = ("mode", "drift", "fl", "fh", "order")
    assert [settings[name] for name in names] == ["static", 0.2, 0.4, 3.0, 1]


def test_a_region_too_small_to_show_motion_is_ignored() -> None:
    controls = Controls()
    controls.change({"region": (10, 20, 100, 80)})
    assert controls.region == (10, 20, 100, 80)
    controls.change({"region": (10, 20, 100, 8)})
    assert controls.region is None
    controls.fixed_size = True
    controls.change({"region": (10, 20, 100, 80)})
    assert controls.region is None


def test_an_engine_of_one_scale_keeps_it() -> None:
    controls = Controls()
    controls.change({"motion_scale": 0.5})
    assert controls.motion_scale is None
    controls.motion_scale = 1.0
    controls.change({"motion_scale": 0.5})
    assert controls.motion_scale == 0.5


def test_a_page_changes_the_playback_of_a_file() -> None:
    controls = Controls()
    controls.change({"speed": 0.5, "position": 3.0})  # of a camera: no effect
    assert "speed" not in controls.settings()
    playback = controls.playback = Playback(duration=10.0)
    controls.change({"speed": 0.25, "start": 2.0, "end": 8.0, "loop": False, "position": 3.0})
    expected = {"speed": 0.25, "start": 2.0, "end": 8.0, "loop": False}
    assert controls.settings() | expected == controls.settings()
    assert playback.target == 3.0
    controls.change({"position": 99.0, "speed": 50.0})
    assert (playback.target, playback.speed) == (10.0, 4.0)
    controls.change({"step": -1})
    assert playback.steps == -1


def test_the_played_part_is_never_empty() -> None:
    playback = Playback(duration=10.0)
    playback.set_start(6.0)
    playback.set_end(4.0)
    assert (playback.start, playback.end) == (None, 4.0)
    playback.set_start(5.0)
    assert (playback.start, playback.end) == (5.0, None)
    playback.set_start(0.0)
    playback.set_end(99.0)
    assert (playback.start, playback.end) == (None, None)


def test_skips_add_up_until_the_frame_is_there() -> None:
    playback = Playback(duration=10.0, position=5.0)
    playback.skip(-1.0)
    playback.skip(-1.0)
    assert playback.target == 3.0


def test_regions_without_a_name_are_numbered() -> None:
    controls = Controls()
    box = (0, 0, 40, 30)
    made = [NamedRegion("", box), NamedRegion("1", box), NamedRegion("", (0, 0, 8, 30))]
    controls.change({"regions": [*made, NamedRegion("", box)]})
    assert [each.name for each in controls.regions] == ["2", "1", "3"]
    assert controls.settings()["regions"][0] == {"name": "2", "box": box}
    controls.change({"regions": [NamedRegion("", box)] * 20})
    assert len(controls.regions) == len(COLOURS)
