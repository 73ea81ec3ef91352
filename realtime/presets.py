"""Presets: options that go together, by the motion to be seen."""

from dataclasses import dataclass
from typing import Any, Literal

from rtmag.realtime.filters import Mode, Unit

PresetName = Literal["pulse", "breath", "machine", "building", "micro"]


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
