"""Key bindings of a view: the keys, their effect on the controls and the help text."""

from collections.abc import Callable

from rtmag.realtime.controls import SPEEDS, Controls, Playback
from rtmag.realtime.view.marks import clock, speed_text

HELP = (
    ("space", "pause / continue"),
    ("+ -", "increase / decrease alpha"),
    ("m", "next mode"),
    ("[ ]", "band down / up"),
    ("n", "find what moves, use its band"),
    ("s", "next layout"),
    ("c", "compare with the original"),
    ("r", "record"),
    ("f", "full screen"),
    ("i", "information on / off"),
    ("h", "help on / off"),
    ("q", "quit"),
)
"""Keys and their meaning, in the order of the help picture."""

PLAYBACK_HELP = (
    ("left right", "jump back / ahead"),
    (", .", "previous / next frame"),
    ("< >", "slower / faster"),
    ("{ }", "begin / end the played part here"),
    ("0", "play all of the file"),
    ("l", "loop on / off"),
)
"""Further keys for a file that is played."""

_LEFT, _RIGHT = 0x110000, 0x110001
"""Codes of the arrow keys, beyond all characters."""

_NAMED_KEYS = {
    0xFF1B: 27, 0xFFAB: ord("+"), 0xFFAD: ord("-"),
    0xFF51: _LEFT, 0xFF53: _RIGHT, 0xF702: _LEFT, 0xF703: _RIGHT,
    0x250000: _LEFT, 0x270000: _RIGHT,
}  # fmt: skip
"""Codes of Escape, the signs on the keypad and the arrows: of X11, then macOS, then Windows."""

_JUMP = 1 / 20
"""Share of a file, or of its played part, by which the arrow keys jump."""

_STEP = 1.25
"""Factor by which a key changes alpha or the band."""

_LAYOUT_NAMES = {
    "magnified": "magnified only",
    "side": "side by side",
    "map": "map of the motion",
    "original": "original only",
}


def press(controls: Controls, code: int) -> str | None:
    """Apply a key to the controls.

    Args:
        controls: changed in place.
        code: key code as returned by OpenCV, modifier bits included.

    Returns:
        A message for the viewer; None if the key has no meaning.
    """
    key = code & 0xFFFF if code >= 0 else 0  # without modifiers
    if ord("A") <= key <= ord("Z"):
        key += ord("a") - ord("A")  # caps lock makes no difference
    named = _NAMED_KEYS.get(code, _NAMED_KEYS.get(key, key))
    if controls.playback is not None and named in _PLAYBACK_COMMANDS:
        return _PLAYBACK_COMMANDS[named](controls, controls.playback)
    command = _COMMANDS.get(named)
    return command(controls) if command else None


def _alpha(factor: float) -> Callable[[Controls], str]:
    def command(controls: Controls) -> str:
        controls.scale_alpha(factor)
        return f"alpha {controls.alpha:.3g}"

    return command


def _band(factor: float) -> Callable[[Controls], str]:
    def command(controls: Controls) -> str:
        fl, fh = controls.band
        controls.set_band(fl * factor, fh * factor)
        fl, fh = controls.band
        return f"band {fl:.3g}-{fh:.3g} Hz"

    return command


def _toggle(name: str, on: str, off: str) -> Callable[[Controls], str]:
    def command(controls: Controls) -> str:
        value = not getattr(controls, name)
        setattr(controls, name, value)
        return on if value else off

    return command


def _mode(controls: Controls) -> str:
    controls.next_mode()
    return str(controls.filter)


def _layout(controls: Controls) -> str:
    controls.next_layout()
    return _LAYOUT_NAMES.get(controls.layout, controls.layout)


def _find(controls: Controls) -> str:
    """Begin a search; end it early if one is running, so that what it found so far is used."""
    controls.finding = not controls.finding
    controls.auto_band = True
    return "searching for what moves; key n: end the search" if controls.finding else "search ended"


def _jump(direction: int) -> Callable[[Controls, Playback], str]:
    def command(controls: Controls, playback: Playback) -> str:
        end = playback.duration if playback.end is None else playback.end
        playback.skip(direction * _JUMP * (end - (playback.start or 0.0)))
        return clock(playback.target or 0.0)

    return command


def _step(frames: int) -> Callable[[Controls, Playback], str]:
    def command(controls: Controls, playback: Playback) -> str:
        controls.paused = True
        playback.step(frames)
        return "next frame" if frames > 0 else "previous frame"

    return command


def _speed(direction: int) -> Callable[[Controls, Playback], str]:
    def command(controls: Controls, playback: Playback) -> str:
        beyond = [speed for speed in SPEEDS if direction * (speed - playback.speed) > 0]
        if beyond:
            playback.set_speed(min(beyond, key=lambda speed: abs(speed - playback.speed)))
        return f"speed {speed_text(playback.speed)}"

    return command


def _begin_here(controls: Controls, playback: Playback) -> str:
    playback.set_start(playback.position)
    return f"played from {clock(playback.start or 0.0)}"


def _end_here(controls: Controls, playback: Playback) -> str:
    playback.set_end(playback.position)
    return f"played to {clock(playback.duration if playback.end is None else playback.end)}"


def _play_all(controls: Controls, playback: Playback) -> str:
    playback.set_start(None)
    playback.set_end(None)
    return "all of the file is played"


def _loop(controls: Controls, playback: Playback) -> str:
    playback.loop = not playback.loop
    return "played in a loop" if playback.loop else "played once"


def _quit(controls: Controls) -> str:
    controls.quit = True
    return "quit"


_COMMANDS: dict[int, Callable[[Controls], str]] = {
    ord(" "): _toggle("paused", "paused", "playing"),
    ord("+"): _alpha(_STEP),
    ord("="): _alpha(_STEP),
    ord("-"): _alpha(1 / _STEP),
    ord("_"): _alpha(1 / _STEP),
    ord("["): _band(1 / _STEP),
    ord("]"): _band(_STEP),
    ord("n"): _find,
    ord("s"): _layout,
    ord("m"): _mode,
    ord("c"): _toggle("original", "original shown for comparison", "comparison ended"),
    ord("r"): _toggle("recording", "recording started", "recording stopped"),
    ord("f"): _toggle("fullscreen", "full screen", "window"),
    ord("i"): _toggle("info", "information shown", "information hidden"),
    ord("h"): _toggle("help", "help shown", "help hidden"),
    ord("q"): _quit,
    27: _quit,
}

_PLAYBACK_COMMANDS: dict[int, Callable[[Controls, Playback], str]] = {
    _LEFT: _jump(-1),
    _RIGHT: _jump(1),
    ord(","): _step(-1),
    ord("."): _step(1),
    ord("<"): _speed(-1),
    ord(">"): _speed(1),
    ord("{"): _begin_here,
    ord("}"): _end_here,
    ord("0"): _play_all,
    ord("l"): _loop,
}
