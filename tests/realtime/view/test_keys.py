"""Key bindings: the effect of each key on the controls."""

import pytest

from rtmag.realtime.controls import Controls, Playback
from rtmag.realtime.filters import Dynamic, Filter, Static, Temporal
from rtmag.realtime.view.keys import HELP, PLAYBACK_HELP, press


def type_keys(controls: Controls, keys: str) -> str | None:
    """Press several keys; the message of the last one."""
    message = None
    for key in keys:
        message = press(controls, ord(key))
    return message


def in_use(controls: Controls) -> Filter:
    return controls.filter


def test_alpha_changes_by_factors_within_bounds() -> None:
    controls = Controls(alpha=20)
    assert type_keys(controls, "+") == "alpha 25"
    assert controls.alpha == 25
    type_keys(controls, "-")
    assert controls.alpha == pytest.approx(20)
    type_keys(controls, "=" * 100)
    assert controls.alpha == 1000
    controls.alpha = 0
    type_keys(controls, "+")
    assert controls.alpha > 0


def test_caps_lock_makes_no_difference() -> None:
    controls = Controls()
    type_keys(controls, "SHQ")
    assert (controls.layout, controls.help, controls.quit) == ("side", True, True)
    assert press(controls, 0x130) is None


def test_modes_cycle_and_the_message_names_their_filter() -> None:
    controls = Controls(filter=Static(drift=0.2))
    assert type_keys(controls, "m") == str(Dynamic())
    assert in_use(controls) == Dynamic()
    assert type_keys(controls, "m") == "temporal 0.4-3 Hz"
    assert in_use(controls) == Temporal(0.4, 3)
    type_keys(controls, "m")
    assert in_use(controls) == Static(drift=0.2)


def test_the_band_moves_as_a_whole_and_stays_below_nyquist() -> None:
    controls = Controls(filter=Temporal(1, 4), fps=10)
    assert type_keys(controls, "[") == "band 0.8-3.2 Hz"
    type_keys(controls, "]" * 20)
    assert controls.band[1] < 5
    assert controls.band[1] / controls.band[0] == pytest.approx(4)
    controls.filter.check(10)


def test_the_band_keys_select_the_temporal_mode() -> None:
    controls = Controls()
    type_keys(controls, "]")
    assert in_use(controls) == Temporal(0.5, 3.75)


@pytest.mark.parametrize(
    ("key", "name", "messages"),
    [
        (" ", "paused", ("paused", "playing")),
        ("c", "original", ("original shown for comparison", "comparison ended")),
        ("r", "recording", ("recording started", "recording stopped")),
        ("f", "fullscreen", ("full screen", "window")),
        ("h", "help", ("help shown", "help hidden")),
    ],
)
def test_a_switch_is_turned_on_and_off(key: str, name: str, messages: tuple[str, str]) -> None:
    controls = Controls()
    assert type_keys(controls, key) == messages[0]
    assert getattr(controls, name)
    assert type_keys(controls, key) == messages[1]
    assert not getattr(controls, name)


def test_information_is_shown_unless_turned_off() -> None:
    controls = Controls()
    assert controls.info
    assert type_keys(controls, "i") == "information hidden"
    assert not controls.info


def test_layouts_cycle() -> None:
    controls = Controls()
    layouts, messages = [], []
    for _ in range(6):
        messages.append(type_keys(controls, "s"))
        layouts.append(controls.layout)
    assert layouts == ["side", "split", "difference", "map", "original", "magnified"]
    assert messages == [
        "side by side", "split", "difference", "map of the motion", "original only",
        "magnified only",
    ]  # fmt: skip


def test_a_comparison_shows_the_original_in_every_layout() -> None:
    controls = Controls(layout="side")
    assert controls.shown == "side"
    type_keys(controls, "c")
    assert (controls.shown, controls.layout) == ("original", "side")


@pytest.mark.parametrize("code", [ord("q"), 27])
def test_q_and_escape_quit(code: int) -> None:
    controls = Controls()
    press(controls, code)
    assert controls.quit


@pytest.mark.parametrize("code", [-1, 0, ord("z"), 255, 0xFF63, 0xFF51, 0x250000])
def test_other_keys_do_nothing(code: int) -> None:
    controls = Controls()
    assert press(controls, code) is None
    assert controls == Controls()


def test_codes_above_a_byte_are_read_as_their_letter() -> None:
    """Some back-ends add modifier bits."""
    controls = Controls()
    press(controls, 0x100000 | ord("h"))
    assert controls.help
    press(controls, 0xFFAB)
    assert controls.alpha > 20


def test_the_help_names_every_key() -> None:
    keys = "".join(key for key, _ in HELP)
    assert set("+-m[]scrfihq") <= set(keys)
    assert "space" in keys


def test_a_key_searches_for_what_moves_and_uses_its_band() -> None:
    controls = Controls()
    assert type_keys(controls, "n") == "searching for what moves; key n: end the search"
    assert (controls.finding, controls.auto_band) == (True, True)
    assert type_keys(controls, "n") == "search ended"
    assert (controls.finding, controls.auto_band) == (False, True)


LEFT, RIGHT = 0xFF51, 0xFF53


def test_keys_jump_and_step_in_a_file() -> None:
    controls = Controls(playback=Playback(duration=20.0, position=10.0))
    playback = controls.playback
    assert playback is not None
    assert press(controls, LEFT) == "0:09.00"
    press(controls, 0x250000)  # on Windows
    press(controls, 0xF702)  # on macOS
    assert playback.target == 7.0
    press(controls, RIGHT)
    assert playback.target == 8.0
    playback.target = None
    assert type_keys(controls, ".") == "next frame"
    assert (controls.paused, playback.steps) == (True, 1)
    assert type_keys(controls, ",") == "previous frame"
    assert playback.steps == -1


def test_keys_change_speed_part_and_loop_of_a_file() -> None:
    controls = Controls(playback=Playback(duration=20.0, position=5.0))
    playback = controls.playback
    assert playback is not None
    assert type_keys(controls, "<") == "speed 1/2x"
    playback.set_speed(0.6)  # by the page
    assert type_keys(controls, "<") == "speed 1/2x"
    assert type_keys(controls, "<<<<<") == "speed 1/8x"
    assert type_keys(controls, ">" * 9) == "speed 4x"
    assert type_keys(controls, "{") == "played from 0:05.00"
    playback.position = 8.0
    assert type_keys(controls, "}") == "played to 0:08.00"
    press(controls, RIGHT)
    assert playback.target == pytest.approx(8.15)  # a part of the part
    assert type_keys(controls, "l") == "played once"
    type_keys(controls, "0")
    assert (playback.start, playback.end, playback.loop) == (None, None, False)


def test_keys_of_a_file_do_nothing_without_one() -> None:
    controls = Controls()
    assert type_keys(controls, ",.<>{}0l") is None
    assert press(controls, LEFT) is None
    assert controls == Controls()


def test_the_help_names_every_key_of_a_file() -> None:
    keys = "".join(key for key, _ in PLAYBACK_HELP)
    assert set(",.<>{}0l") <= set(keys)
