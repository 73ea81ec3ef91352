"""The engine that changes nothing: `--model none`, to see and test all that is around it."""

import numpy as np

from rtmag.realtime.filters import Sections, State
from rtmag.realtime.frame import Image
from rtmag.realtime.gathering import InTurn

NAME = "none"

_STATE: State = np.zeros((1, 0, 0, 0), np.float32)


class IdentityEngine(InTurn):
    """Gives each image back as it is; needs no model."""

    name = NAME
    provider = "cpu"
    motion_scale = 1.0
    composes = False
    described = "no model"

    def __init__(self) -> None:
        self.metadata: dict[str, str] = {}
        self.size: tuple[int, int] | None = None

    def at(self, motion_scale: float) -> "IdentityEngine":
        """Itself: it looks for no motion."""
        return self

    def step(
        self, image: Image, alpha: float, sections: Sections, state: State | None
    ) -> tuple[Image, State]:
        """The same image, and an empty state."""
        return image, _STATE
