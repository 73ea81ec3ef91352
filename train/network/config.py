"""Configuration of a network, and the configurations that `--model` names."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that is needed to rebuild a network; stored in config.json."""

    architecture: str = "magnet"
    """`magnet` or `oh2018`."""
    channels: int = 32
    """Channels of texture and shape (C)."""
    width: int = 32
    """Channels of the decoder's body; more channels handle occlusions better."""
    blocks: int = 4
    """Residual blocks of the decoder's body; more blocks see motion further away."""
    matching: bool = False
    """True to also match cells with neighbouring cells, for larger motion (matching.py)."""
    surplus: float = 0.0
    """Share by which motion of a few pixels was measured too large; the decoder subtracts it."""
    shortfall: float = 0.0
    """Share by which motion of tens of pixels was measured too small; the decoder adds it."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


CONFIGS = {
    "standard": Config(matching=True),
    "fast": Config(channels=16, width=16, blocks=3),
    "large": Config(channels=64, width=80, blocks=6, matching=True),
    "oh2018": Config(architecture="oh2018", width=64, blocks=9),
}
