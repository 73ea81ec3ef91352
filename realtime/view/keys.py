"""Key bindings of a view: the keys, their effect on the controls and the help text."""

from collections.abc import Callable

from rtmag.realtime.controls import Controls

HELP = (
    ("space", "pause / continue"),
    ("+ -", "increase / decrease alpha"),
    ("m", "next mode"),
    ("[ ]", "band down / up"),
    ("s", "next layout"),
    ("c", "compare with the original"),
    ("r", "record"),
    ("f", "full screen"),
    ("i", "information on / off"),
    ("h", "help on / off"),
    ("q", "quit"),
)
"""Keys and their meaning, in the order of the help picture."""

_NAMED_KEYS = {0xFF1B: 27, 0xFFAB: ord("+"), 0xFFAD: ord("-")}
"""X11 codes of Escape and of the signs on the keypad, as characters."""

_STEP = 1.25
"""Factor by which a key changes alpha or the band."""

_LAYOUT_NAMES = {"magnified": "magnified only", "side": "side by side", "original": "original only"}


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
    command = _COMMANDS.get(_NAMED_KEYS.get(key, key))
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
