"""Bands of frequencies in the units people think in, and presets by what one wants to see."""

import re
from dataclasses import dataclass
from typing import Any, Literal, get_args

from rtmag.realtime.controls import Mode
from rtmag.realtime.errors import OptionError

Unit = Literal["Hz", "bpm", "rpm"]

PresetName = Literal["pulse", "breath", "machine", "building", "micro"]

UNITS: tuple[Unit, ...] = get_args(Unit)

_PER_HERTZ = {"hz": 1.0, "bpm": 60.0, "rpm": 60.0}

_NUMBER = r"(\d+(?:\.\d*)?|\.\d+)"

_BAND = re.compile(rf"\s*{_NUMBER}\s*[-\u2013]\s*{_NUMBER}\s*([a-z]*)\s*", re.IGNORECASE)


def parse_band(text: str) -> tuple[float, float]:
    """Both edges in Hz of '0.8-1.2Hz', '0.8-1.2' (hertz), '48-72bpm' or '1200-1800rpm'.

    Spaces, upper case and an en dash are allowed.

    Raises:
        OptionError: it is no band, its unit is none of these, or not 0 < lower < upper.
    """
    found = _BAND.fullmatch(text)
    if found is None or (found[3] or "hz").lower() not in _PER_HERTZ:
        raise OptionError(
            f"a band is LOWER-UPPER with Hz, bpm or rpm, such as 0.8-1.2Hz or 48-72bpm, "
            f"got {text!r}"
        )
    scale = _PER_HERTZ[(found[3] or "hz").lower()]
    fl, fh = float(found[1]) / scale, float(found[2]) / scale
    if not 0 < fl < fh < float("inf"):
        raise OptionError(f"a band's edges are 0 < LOWER < UPPER, got {text!r}")
    return fl, fh


def format_band(fl: float, fh: float, unit: Unit = "Hz") -> str:
    """A band given in Hz as `parse_band` reads it, to six digits."""
    scale = _PER_HERTZ[unit.lower()]
    return f"{fl * scale:.6g}-{fh * scale:.6g}{unit}"


@dataclass(frozen=True, slots=True)
class Preset:
    """Options that go together."""

    mode: Mode
    band: tuple[float, float]
    """Hz."""
    unit: Unit
    """In which the band is usually told."""
    alpha: float
    order: int
    why: str

    @property
    def settings(self) -> dict[str, Any]:
        """What it sets, as `Controls.change` takes it."""
        return {"mode": self.mode, "band": self.band, "order": self.order, "alpha": self.alpha}


PRESETS: dict[PresetName, Preset] = {
    "pulse": Preset(
        mode="temporal",
        band=(0.75, 2.0),
        unit="bpm",
        alpha=20.0,
        order=2,
        why="Hearts at rest beat 45 to 120 times a minute; the steep edges keep breathing out.",
    ),
    "breath": Preset(
        mode="temporal",
        band=(10 / 60, 40 / 60),
        unit="bpm",
        alpha=10.0,
        order=1,
        why="10 to 40 breaths a minute: adults at rest take 12 to 20, small children up to 40.",
    ),
    "machine": Preset(
        mode="temporal",
        band=(5.0, 14.0),
        unit="Hz",
        alpha=20.0,
        order=2,
        why="300 to 840 turns a minute, all that a camera of 30 fps can tell apart (half its rate "
        "is 15 Hz) and people who pass do not do; a faster camera bears a higher --band.",
    ),
    "building": Preset(
        mode="temporal",
        band=(0.1, 2.0),
        unit="Hz",
        alpha=50.0,
        order=1,
        why="About 46 Hz over the height in metres is how fast buildings sway: towers of 460 m to "
        "houses of 23 m.",
    ),
    "micro": Preset(
        mode="temporal",
        band=(2.5, 12.0),
        unit="Hz",
        alpha=10.0,
        order=1,
        why="Micro-expressions last 1/25 to 1/5 s, half a cycle of 2.5 to 12.5 Hz; the gentle "
        "edges do not ring, and unlike --mode dynamic the band shows the height of one, not only "
        "its onset.",
    ),
}
