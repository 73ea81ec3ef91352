"""What is needed to rebuild a network, and the networks that have a name."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Config:
    """Everything needed to rebuild a network."""

    architecture: str = "magnet"
    """`magnet` or `oh2018`."""
    channels: int = 32
    """Channels of texture and shape (C)."""
    width: int = 32
    """Channels of the decoder's body; limits what it can say about occlusions."""
    blocks: int = 4
    """Residual blocks of the decoder's body; their number limits how far motion reaches."""
    matching: bool = False
    """Whether cells are also matched with their neighbours of before (matching.py)."""
    surplus: float = 0.0
    """Share by which motion of few pixels was measured to be shown too large; it is taken off."""
    shortfall: float = 0.0
    """Share by which motion of a hundred pixels was measured to be shown too small; it is added."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


CONFIGS = {
    "standard": Config(matching=True),
    "fast": Config(channels=16, width=16, blocks=3),
    "large": Config(channels=64, width=80, blocks=6, matching=True),
    "oh2018": Config(architecture="oh2018", width=64, blocks=9),
}
