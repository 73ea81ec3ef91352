"""Runs an exported magnifier: the seam behind which the inference runtimes are.

Inputs
    image     (H, W, 3) uint8, BGR, any size
    alpha     total magnification factor
    sections  (S, 5) float32, the temporal filter (rtmag.realtime.filters)
    state     what the previous step returned, or None: take this image as the new reference
Outputs
    image     (H, W, 3) uint8, BGR, motion magnified
    state     to be passed to the next step

Conventions
    State is a value: the engine keeps none, so one engine may serve several streams in turn. The
    graph wants sides that are multiples of 16; the engine repeats the border and cuts it off again.
    Networks are trained to add motion, not to take it away. Alpha below 1 adds 1 - alpha times the
    opposite motion instead: the filter's first section, and with it the state, changes sign.

Several streams
    `step_many` takes one step of each: images, alphas, sections and states are sequences, a stream
    in each place, and so are the images and states that come back. Graphs made for it (`rtmag
    export --streams`) take all in one run; their pictures must be of one size. Others take them in
    turn. A stream without a new picture is left out of the step, its state kept for a later one;
    streams may come, go, and change places.

Motion scale
    The network may look at a picture of half or a quarter of the size: `motion_scale`. The picture
    shown keeps its resolution, only the motion is found more coarsely, in less time.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from rtmag.realtime.frame import Image
from rtmag.realtime.sections import Sections, State


class Stepper(Protocol):
    """Whatever steps one stream."""

    def step(
        self, image: Image, alpha: float, sections: Sections, state: State | None
    ) -> tuple[Image, State]:
        """As of an engine."""
        ...


class InTurn:
    """Steps of several streams, one after the other: for engines whose network takes one."""

    at_once = 1.0

    def step_many(
        self: Stepper,
        images: Sequence[Image],
        alphas: Sequence[float],
        sections: Sequence[Sections],
        states: Sequence[State | None],
    ) -> tuple[list[Image], list[State]]:
        """One step of each; ValueError where there are not as many of one thing as of another."""
        streams = zip(images, alphas, sections, states, strict=True)
        taken = [self.step(*stream) for stream in streams]
        return [image for image, _ in taken], [state for _, state in taken]


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


class Engine(Protocol):
    """Whatever can take one step of the magnifier."""

    name: str
    """The model's name."""
    provider: str
    """What runs it: `cpu`, `cuda` ..."""
    metadata: dict[str, str]
    """What the model says about itself."""
    size: tuple[int, int] | None
    """(width, height) with the border, when the model was exported for one size only."""
    at_once: float
    """Streams that one run of the network takes: 1, another number, or infinity for any."""

    @property
    def motion_scale(self) -> float:
        """Size of the picture that the network sees, over that of the picture shown."""
        ...

    @property
    def composes(self) -> bool:
        """Whether the picture can be made from the flow, outside the network: at any scale."""
        ...

    @property
    def described(self) -> str:
        """Name, and what is not usual about it."""
        ...

    def at(self, motion_scale: float) -> "Engine":
        """The same engine at another motion scale; ModelIncompatible where it has but one."""
        ...

    def step(
        self, image: Image, alpha: float, sections: Sections, state: State | None
    ) -> tuple[Image, State]:
        """Magnify one image."""
        ...

    def step_many(
        self,
        images: Sequence[Image],
        alphas: Sequence[float],
        sections: Sequence[Sections],
        states: Sequence[State | None],
    ) -> tuple[list[Image], list[State]]:
        """Magnify one image of each stream."""
        ...
