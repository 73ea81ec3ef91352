"""What a page may ask for: one JSON message, checked in this one place.

    {"set": {"alpha": 12, "region": [x, y, width, height], ...}}    settings; see `_FIELDS`
    {"set": {"preset": "pulse"}}                                    several of them at once
    {"press": "+"}                                                  a key of the window
    {"watch": true}, {"panel": true}                                send pictures, motion

Numbers out of range are clamped; what is not a number, or not finite, is refused.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rtmag.realtime.controls import HIGHEST_ALPHA, LAYOUTS
from rtmag.realtime.engines.spec import MOTION_SCALES
from rtmag.realtime.filters import MODES
from rtmag.realtime.presets import PRESETS

KEYS = " +=-_[]smr"
"""Those of the window's keys that make sense for many viewers."""

_HIGHEST_HZ = 1000.0

_LARGEST = 1 << 16  # pixels: no picture is larger


class Refused(ValueError):
    """A message that cannot be understood; the words are for whoever sent it."""


@dataclass(frozen=True, slots=True)
class Request:
    """What one message asks for."""

    changes: dict[str, Any] = field(default_factory=dict)
    """New values of the controls' fields."""
    key: str | None = None
    watch: bool | None = None
    panel: bool | None = None


def parse(text: str) -> Request:
    """Read a message.

    Raises:
        Refused: it is no message, or asks for what there is not.
    """
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise Refused("not JSON") from None
    if not isinstance(message, dict) or not message.keys() <= {"set", "press", "watch", "panel"}:
        raise Refused("a message has the keys set, press, watch or panel")
    asked, key = message.get("set", {}), message.get("press")
    if not isinstance(asked, dict) or not asked.keys() <= _FIELDS.keys():
        raise Refused(f"what can be set is {', '.join(_FIELDS)}")
    if key is not None and not (isinstance(key, str) and len(key) == 1 and key in KEYS):
        raise Refused(f"the keys are {KEYS!r}")
    return Request(
        _changes(asked),
        key,
        _flag("watch", message["watch"]) if "watch" in message else None,
        _flag("panel", message["panel"]) if "panel" in message else None,
    )


def _changes(asked: dict[str, Any]) -> dict[str, Any]:
    """The same settings, checked; what is given wins over what the preset says."""
    changes = {name: _FIELDS[name](name, value) for name, value in asked.items()}
    preset = changes.pop("preset", None)
    return changes if preset is None else PRESETS[preset].settings | changes


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(f"{name} must be a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise Refused(f"{name} must be a finite number")
    return number


def _within(low: float, high: float) -> Callable[[str, object], float]:
    return lambda name, value: min(max(_number(name, value), low), high)


def _one_of(*choices: object) -> Callable[[str, object], object]:
    def check(name: str, value: object) -> object:
        if isinstance(value, bool) or value not in choices:
            raise Refused(f"{name} must be one of {', '.join(map(str, choices))}")
        return value

    return check


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise Refused(f"{name} must be true or false")
    return value


def _numbers(name: str, value: object, count: int) -> list[float]:
    if not isinstance(value, list) or len(value) != count:
        raise Refused(f"{name} must be {count} numbers")
    return [_number(name, each) for each in value]


def _band(name: str, value: object) -> tuple[float, float]:
    fl, fh = (min(edge, _HIGHEST_HZ) for edge in _numbers(name, value, 2))
    if not 0 < fl < fh:
        raise Refused(f"{name} needs 0 < lower < upper edge, in hertz")
    return fl, fh


def _drift(name: str, value: object) -> float | None:
    return None if value is None else _within(1e-3, _HIGHEST_HZ)(name, value)


def _region(name: str, value: object) -> tuple[int, int, int, int] | None:
    if value is None:
        return None
    x, y, w, h = (round(min(max(v, 0), _LARGEST)) for v in _numbers(name, value, 4))
    return x, y, w, h


_FIELDS: dict[str, Callable[[str, Any], Any]] = {
    "alpha": _within(0.0, HIGHEST_ALPHA),
    "preset": _one_of(*PRESETS),
    "mode": _one_of(*MODES),
    "band": _band,
    "drift": _drift,
    "layout": _one_of(*LAYOUTS),
    "wipe": _within(0.0, 1.0),
    "original": _flag,
    "region": _region,
    "motion_scale": _one_of(*MOTION_SCALES),
    "paused": _flag,
    "recording": _flag,
}
