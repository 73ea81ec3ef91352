"""Presets: a filter and an alpha for each of the usual subjects, such as a pulse or a machine."""

from dataclasses import dataclass
from typing import Any, Literal

from rtmag.realtime.errors import OptionError
from rtmag.realtime.filters import Temporal, Unit

PresetName = Literal["pulse", "breath", "machine", "building", "micro"]


@dataclass(frozen=True, slots=True)
class Preset:
    """Values for one subject."""

    filter: Temporal
    unit: Unit
    """Unit in which the band is shown."""
    alpha: float
    why: str
    """Reason for these values, in one sentence."""

    @property
    def settings(self) -> dict[str, Any]:
        """The values for `Controls.change`."""
        filter = self.filter
        return {"order": filter.order, "filter": filter, "unit": self.unit, "alpha": self.alpha}

    def data(self) -> dict[str, Any]:
        """All values as JSON data, for the web page."""
        filter = self.filter
        return {
            "mode": filter.mode, "band": filter.band, "order": filter.order, "unit": self.unit,
            "alpha": self.alpha, "why": self.why,
        }  # fmt: skip


PRESETS: dict[PresetName, Preset] = {
    "pulse": Preset(
        filter=Temporal(0.75, 2.0, order=2),
        unit="bpm",
        alpha=20.0,
        why="A heart at rest beats 45 to 120 times a minute; steep edges suppress breathing.",
    ),
    "breath": Preset(
        filter=Temporal(10 / 60, 40 / 60),
        unit="bpm",
        alpha=10.0,
        why="10 to 40 breaths a minute: adults at rest take 12 to 20, small children up to 40.",
    ),
    "machine": Preset(
        filter=Temporal(5.0, 14.0, order=2),
        unit="Hz",
        alpha=20.0,
        why="300 to 840 turns a minute: above the motion of people, and below 15 Hz, the limit of "
        "a camera of 30 fps; a slower camera gets a part of the band. Use a higher --band with a "
        "faster camera.",
    ),
    "building": Preset(
        filter=Temporal(0.1, 2.0),
        unit="Hz",
        alpha=50.0,
        why="A building of height H metres sways at about 46 / H Hz: 0.1 Hz for a tower of 460 m, "
        "2 Hz for a house of 23 m.",
    ),
    "micro": Preset(
        filter=Temporal(2.5, 12.0),
        unit="Hz",
        alpha=10.0,
        why="A micro-expression lasts 1/25 to 1/5 s, half a period of 2.5 to 12.5 Hz; gentle edges "
        "do not ring, and unlike --mode dynamic a band shows its full height, not only its onset.",
    ),
}


LIVE_NAME = "default"
"""Name of `LIVE` in `Controls.preset`."""

LIVE = Preset(
    filter=Temporal(0.4, 3.0),
    unit="Hz",
    alpha=10.0,
    why="A person in front of a camera: breathing, pulse and swaying are magnified while they "
    "sit; two seconds after a large movement, the picture is whole again. With mode static, it "
    "would stay torn.",
)
"""Default of live sources, if no mode, band, drift or preset is given."""


def preset_of(name: str) -> Preset:
    """Find a preset by its name.

    Raises:
        OptionError: no preset has this name.
    """
    preset = next((each for key, each in PRESETS.items() if key == name), None)
    if preset is None:
        raise OptionError(f"preset must be {', '.join(PRESETS)}, got {name!r}")
    return preset
