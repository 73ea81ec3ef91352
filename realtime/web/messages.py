"""Requests of the web page: JSON messages, validated.

    {"set": {"alpha": 12, "region": [x, y, width, height], ...}}    change settings; see `_FIELDS`
    {"set": {"preset": "pulse"}}                                    change all settings of a preset
    {"set": {"regions": [{"name": "shaft", "box": [x, y, w, h]}]}}  measure these; [] for none
    {"set": {"mm_per_px": 0.12}}                                    scale of motion, or null
    {"set": {"position": 12.5, "speed": 0.25, "paused": false}}     playback of a file, see below
    {"set": {"finding": true}}                                      search for what moves
    {"press": "+"}                                                  press a key, as in the window
    {"watch": true}, {"panel": true}                                subscribe to pictures, motion

Playback: `position` jumps to a time in seconds after the first frame; `step`, 1 or -1, shows the
next or previous frame while paused; `speed` is 1/8 to 4; `start` and `end` limit the played part,
in seconds or null for the ends of the file; `loop` is true or false. The page receives `speed`,
`start`, `end` and `loop` among the settings, which lack them if the source cannot be played, and
`position` and `duration` in seconds in the status, where they are null in that case.

Numbers out of range are clamped. Values that are not numbers, or not finite, are refused.
"""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rtmag.realtime.controls import COLOURS, HIGHEST_ALPHA, LAYOUTS, SPEEDS, NamedRegion
from rtmag.realtime.engines.spec import MOTION_SCALES
from rtmag.realtime.filters import MODES, UNITS
from rtmag.realtime.presets import PRESETS

KEYS = " +=-_[]smr"
"""Keys of the window that a viewer may press. `q` is not allowed: it would end the run for all."""

_MAX_HZ = 1000.0

_MAX_SIDE = 1 << 16  # pixels, of any picture

_MAX_SECONDS = 1e6  # of any file

_NAME = re.compile(r"(\w[\w .+/()-]{0,39})?")
"""Names of regions begin with a letter or a digit: no spreadsheet takes them for a formula."""

_SCALES = 1e-9, 1e6
"""Smallest and largest scale in millimetres per pixel."""


class InvalidRequest(ValueError):
    """A request that is refused; the message says why and is sent back to the viewer."""


@dataclass(frozen=True, slots=True)
class Request:
    """The content of one valid message."""

    changes: dict[str, Any] = field(default_factory=dict)
    """New values of fields of `Controls`, as `Controls.change` takes them."""
    key: str | None = None
    """One of `KEYS`."""
    watch: bool | None = None
    """True: send pictures; False: stop; None: as before."""
    panel: bool | None = None
    """The same for the measured motion."""


def parse(text: str) -> Request:
    """Parse and validate a JSON message.

    Raises:
        InvalidRequest: not JSON, an unknown key, or a value of a wrong type.
    """
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidRequest("the message is not JSON") from None
    if not isinstance(message, dict) or not message.keys() <= {"set", "press", "watch", "panel"}:
        raise InvalidRequest(
            "a message needs an object with any of the keys set, press, watch, panel"
        )
    settings, key = message.get("set", {}), message.get("press")
    if not isinstance(settings, dict) or not settings.keys() <= _FIELDS.keys():
        raise InvalidRequest(f"set needs an object with any of the keys {', '.join(_FIELDS)}")
    if key is not None and not (isinstance(key, str) and len(key) == 1 and key in KEYS):
        raise InvalidRequest(f"press needs one of the keys {KEYS!r}")
    return Request(
        _changes(settings),
        key,
        _flag("watch", message["watch"]) if "watch" in message else None,
        _flag("panel", message["panel"]) if "panel" in message else None,
    )


def _changes(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the validated settings; explicit ones override those of the preset."""
    changes = {name: _FIELDS[name](name, value) for name, value in settings.items()}
    preset = changes.pop("preset", None)
    if preset is None:
        return changes
    name = {} if changes.keys() & {"band", "mode"} else {"preset": preset}
    return PRESETS[preset].settings | name | changes


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidRequest(f"{name} must be a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InvalidRequest(f"{name} must be a finite number")
    return number


def _clamped(low: float, high: float) -> Callable[[str, object], float]:
    """Return a validator for numbers that clamps them to a range."""
    return lambda name, value: min(max(_number(name, value), low), high)


def _one_of(*choices: object) -> Callable[[str, object], object]:
    """Return a validator for values from a list."""

    def check(name: str, value: object) -> object:
        if isinstance(value, bool) or value not in choices:
            raise InvalidRequest(f"{name} must be one of {', '.join(map(str, choices))}")
        return value

    return check


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidRequest(f"{name} must be true or false")
    return value


def _numbers(name: str, value: object, count: int) -> list[float]:
    if not isinstance(value, list) or len(value) != count:
        raise InvalidRequest(f"{name} must be a list of {count} numbers")
    return [_number(name, each) for each in value]


def _band(name: str, value: object) -> tuple[float, float]:
    fl, fh = (min(edge, _MAX_HZ) for edge in _numbers(name, value, 2))
    if not 0 < fl < fh:
        raise InvalidRequest(f"{name} needs 0 < lower edge < upper edge, in hertz")
    return fl, fh


def _drift(name: str, value: object) -> float | None:
    return None if value is None else _clamped(1e-3, _MAX_HZ)(name, value)


def _region(name: str, value: object) -> tuple[int, int, int, int] | None:
    if value is None:
        return None
    x, y, w, h = (round(min(max(v, 0), _MAX_SIDE)) for v in _numbers(name, value, 4))
    return x, y, w, h


def _regions(name: str, value: object) -> list[NamedRegion]:
    if not isinstance(value, list) or len(value) > len(COLOURS):
        raise InvalidRequest(f"{name} must be a list of at most {len(COLOURS)} regions")
    return [_named_region(each) for each in value]


def _named_region(value: object) -> NamedRegion:
    if not isinstance(value, dict) or value.keys() != {"name", "box"}:
        raise InvalidRequest("a region in regions needs a name and a box")
    name, box = value["name"], _region("box", value["box"])
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise InvalidRequest(
            "the name of a region has at most 40 letters, digits, spaces and .+-/(), and begins "
            "with a letter or a digit"
        )
    if box is None:
        raise InvalidRequest("a region in regions needs a name and a box")
    return NamedRegion(name.strip(), box)


def _mm_per_px(name: str, value: object) -> float | None:
    return None if value is None else _clamped(*_SCALES)(name, value)


def _seconds(name: str, value: object) -> float | None:
    return None if value is None else _clamped(0.0, _MAX_SECONDS)(name, value)


_FIELDS: dict[str, Callable[[str, Any], Any]] = {
    "alpha": _clamped(-HIGHEST_ALPHA, HIGHEST_ALPHA),
    "preset": _one_of(*PRESETS),
    "mode": _one_of(*MODES),
    "band": _band,
    "drift": _drift,
    "layout": _one_of(*LAYOUTS),
    "wipe": _clamped(0.0, 1.0),
    "original": _flag,
    "region": _region,
    "motion_scale": _one_of(*MOTION_SCALES),
    "paused": _flag,
    "recording": _flag,
    "unit": _one_of(*UNITS),
    "regions": _regions,
    "mm_per_px": _mm_per_px,
    "finding": _flag,
    "position": _clamped(0.0, _MAX_SECONDS),
    "step": _one_of(-1, 1),
    "speed": _clamped(SPEEDS[0], SPEEDS[-1]),
    "start": _seconds,
    "end": _seconds,
    "loop": _flag,
}
