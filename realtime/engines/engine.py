"""The interface of engines: image and state in, magnified image and new state out.

Inputs
    image     (H, W, 3) uint8, BGR, any size
    alpha     total magnification factor, at least 0; 1 changes nothing
    sections  (S, 5) float32, the temporal filter (rtmag/realtime/sections.py)
    state     the state that the previous step returned, or None: take this image as the reference
Outputs
    image     (H, W, 3) uint8, BGR, motion magnified
    state     to be passed to the next step

Conventions
    An engine keeps no state: one engine may serve several streams, also from several threads. A
    runtime that cannot take two steps at the same time takes them one after the other. The
    network's input has sides that are multiples of 16; the engine repeats the image's border to
    reach them and crops the result. Networks are trained with alpha of at least 1. For a smaller
    alpha, the engine negates the first section of the filter and the state, and uses 2 - alpha:
    the same amount of the opposite motion is added.

Several streams
    `step_many` takes one step of each stream: images, alphas, sections and states are sequences
    with one item per stream, and so are the returned images and states. Graphs exported with
    `rtmag export --streams` take all streams in one run; their images must have the same size.
    Other engines take the steps one after the other. A stream without a new image is left out of a
    step, and its state is used again later. Streams may be added, removed and reordered.

Measuring
    `measure` takes the same step and also returns the displacement of the scene per cell, which the
    network computes for every picture: the graph runs once. At alpha 1 it runs with alpha 2,
    because its flow would be zero, and the image is returned unchanged.

Motion scale
    The network may get an image of half or a quarter of the size (`motion_scale`): motion is
    estimated faster and more coarsely. The image shown keeps its resolution.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.engines.contract import GraphLayout
from rtmag.realtime.errors import ModelIncompatible
from rtmag.realtime.frame import Image
from rtmag.realtime.sections import Sections, State, negated

Displacement = NDArray[np.float32]
"""(h, w, 2): to the right and down, in pixels of the image, one value per cell."""

MEASURING_ALPHA = 2.0
"""Alpha of a step that only measures: displacement is linear in the widest range."""


class Measured(NamedTuple):
    """Result of a step that measures motion."""

    image: Image
    """(H, W, 3), magnified; the image that was passed in if none was to be drawn."""
    state: State
    displacement: Displacement
    """Cells have a side of 4 pixels divided by the motion scale; the last ones may end outside the
    image. Motion as the filter passes it: since the reference for `Static`."""


class Engine(Protocol):
    """Anything that can take one step of the magnifier."""

    name: str
    """The model's name."""
    provider: str
    """Device or runtime: `cpu`, `openvino`, `cuda` ..."""
    metadata: dict[str, str]
    """The model file's metadata; empty for engines without a model."""
    size: tuple[int, int] | None
    """(width, height) including the border, px; None if the engine accepts any size."""
    streams_per_run: float
    """Streams that one run of the network takes: 1, another number, or infinity for any."""

    @property
    def runtime(self) -> str:
        """Runtime and device, distinct for each runtime: `cpu`, `cuda`, `torch cuda` ..."""
        ...

    @property
    def precision(self) -> str | None:
        """`fp32`, `fp32+fp16` or `fp32+bf16`; None for engines without a model."""
        ...

    @property
    def uses_cuda_graph(self) -> bool:
        """True if a step has been captured as a CUDA graph, which later steps replay."""
        ...

    @property
    def motion_scale(self) -> float:
        """Width of the network's input divided by the width of the image: 1, 1/2 or 1/4."""
        ...

    @property
    def scalable(self) -> bool:
        """True if `at` accepts every motion scale."""
        ...

    @property
    def described(self) -> str:
        """The model's name, with the motion scale if that is not 1."""
        ...

    def at(self, motion_scale: float) -> "Engine":
        """The same model at another motion scale; states of this engine do not fit that one.

        Raises:
            ModelIncompatible: the model supports one motion scale only.
        """
        ...

    def step(
        self, image: Image, alpha: float, sections: Sections, state: State | None
    ) -> tuple[Image, State]:
        """Magnify one image.

        Raises:
            ModelIncompatible: image, filter or state have a wrong type or shape, do not fit the
                model or each other, or the model returned results of another shape.
            ModelError: the runtime failed, for example because memory ran out.
        """
        ...

    def step_many(
        self,
        images: Sequence[Image],
        alphas: Sequence[float],
        sections: Sequence[Sections],
        states: Sequence[State | None],
    ) -> tuple[list[Image], list[State]]:
        """Magnify one image of each stream.

        Raises:
            ModelIncompatible: as `step`; or the network does not accept this number of streams, or
                images of different sizes.
            ModelError: the runtime failed; no state has changed.
            ValueError: the four sequences differ in length.
        """
        ...

    def measure(
        self,
        image: Image,
        alpha: float,
        sections: Sections,
        state: State | None,
        *,
        draw: bool = True,
    ) -> Measured:
        """Take a step and return the displacement of the scene as well.

        Args:
            image: (H, W, 3) uint8.
            alpha: Total magnification factor. Displacement is in pixels of the image, not
                magnified. The range within which it is linear is widest with alpha 2.
            sections: The temporal filter, (S, 5).
            state: The state after the last step, or None.
            draw: False to leave out the magnified image.

        Raises:
            ModelIncompatible: as `step`; or the model does not return the displacement.
            ModelError: as `step`.
        """
        ...

    def measure_many(
        self,
        images: Sequence[Image],
        alphas: Sequence[float],
        sections: Sequence[Sections],
        states: Sequence[State | None],
        *,
        draw: bool = True,
    ) -> list[Measured]:
        """Take one step of each stream as `measure` does; errors are those of `step_many`."""
        ...


class _Steps(Protocol):
    """An object with a step for one stream."""

    name: str

    def step(
        self, image: Image, alpha: float, sections: Sections, state: State | None
    ) -> tuple[Image, State]: ...

    def measure(
        self,
        image: Image,
        alpha: float,
        sections: Sections,
        state: State | None,
        *,
        draw: bool = True,
    ) -> Measured: ...


class SequentialSteps:
    """Mixin for engines whose network takes one stream: steps are taken one after the other.

    Such an engine cannot measure motion, unless it has a method `measure` of its own.
    """

    streams_per_run = 1.0

    def step_many(
        self: _Steps,
        images: Sequence[Image],
        alphas: Sequence[float],
        sections: Sequence[Sections],
        states: Sequence[State | None],
    ) -> tuple[list[Image], list[State]]:
        """Take one step of each stream; ValueError if the sequences differ in length."""
        streams = zip(images, alphas, sections, states, strict=True)
        results = [self.step(*stream) for stream in streams]
        return [image for image, _ in results], [state for _, state in results]

    def measure(
        self: _Steps,
        image: Image,
        alpha: float,
        sections: Sections,
        state: State | None,
        *,
        draw: bool = True,
    ) -> Measured:
        """Refuse: ModelIncompatible."""
        raise cannot_measure(self.name)

    def measure_many(
        self: _Steps,
        images: Sequence[Image],
        alphas: Sequence[float],
        sections: Sequence[Sections],
        states: Sequence[State | None],
        *,
        draw: bool = True,
    ) -> list[Measured]:
        """Take one step of each stream; ValueError if the sequences differ in length."""
        streams = zip(images, alphas, sections, states, strict=True)
        return [self.measure(*stream, draw=draw) for stream in streams]


def cannot_measure(name: str) -> ModelIncompatible:
    """Return the error for a model that does not return the displacement."""
    return ModelIncompatible(
        f"cannot measure motion with model {name!r}: it does not return the displacement; use a "
        "packaged model, or export it again"
    )


class StepInputs(NamedTuple):
    """One stream's inputs in the form that networks expect."""

    alpha: float
    """At least 1."""
    sections: Sections
    shape: tuple[int, int, int, int]
    """Shape of the state: (1, 2 S C, h, w)."""
    state: State | None
    """The state that the caller passed, not yet multiplied by `sign`."""
    sign: int
    """-1 if filter and state are negated, because alpha was below 1; else 1."""

    def network_state(self) -> State:
        """The state as the network expects it; zeros if the stream starts."""
        if self.state is None:
            return np.zeros(self.shape, np.float32)
        return -self.state if self.sign < 0 else self.state

    def caller_state(self, state: State) -> State:
        """The state that the network returned, as the caller expects it."""
        return -state if self.sign < 0 else state


def check_image(image: NDArray[Any]) -> None:
    """Refuse anything but an image (H, W, 3) uint8, which some runtimes would take without a word.

    Raises:
        ModelIncompatible: another type or shape.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ModelIncompatible(
            f"an engine takes images (H, W, 3) uint8, got {image.shape} {image.dtype}; "
            "rtmag.Magnifier explains how to convert others"
        )


def check_results(model: str, results: Mapping[str, tuple[Any, tuple[int, ...]]]) -> None:
    """Check the shapes of what a graph has returned; a model file may promise others than it keeps.

    Args:
        model: The model's name.
        results: Each result by name, with the shape that it must have.

    Raises:
        ModelIncompatible: a shape differs.
    """
    for name, (value, shape) in results.items():
        if tuple(value.shape) != shape:
            raise ModelIncompatible(
                f"model {model!r} returned {name} of shape {tuple(value.shape)}, "
                f"expected {shape}; export it again"
            )


def state_shape(layout: GraphLayout, image: Image, sections: int) -> tuple[int, int, int, int]:
    """(1, 2 S C, h, w): one stream's state, for a network input (H, W, 3) of this size."""
    height, width = image.shape[:2]
    return 1, 2 * sections * layout.channels, height // layout.stride, width // layout.stride


def _check_float32(name: str, array: NDArray[Any]) -> None:
    if array.dtype != np.float32:
        raise ModelIncompatible(f"{name} must be float32, got {array.dtype}")


def prepare(
    layout: GraphLayout, image: Image, alpha: float, sections: Sections, state: State | None
) -> StepInputs:
    """Bring one stream's step into the range that networks are trained for, and check its state.

    Args:
        layout: Layout of the graph.
        image: (H, W, 3), the network's input, whose sides are multiples of 16.
        alpha: At least 0. Below 1, the filter is negated and alpha becomes 2 - alpha.
        sections: (S, 5), the temporal filter.
        state: (1, 2 S C, h, w), or None at a stream's start.

    Raises:
        ModelIncompatible: filter or state have another shape or type, or alpha is not finite.
    """
    if not math.isfinite(alpha):
        raise ModelIncompatible(f"alpha must be a finite number, got alpha = {alpha}")
    _check_float32("sections", sections)
    if sections.ndim != 2 or sections.shape[1:] != (5,) or not len(sections):
        raise ModelIncompatible(f"sections must be (S, 5), got shape {sections.shape}")
    shape = state_shape(layout, image, len(sections))
    if state is not None and tuple(state.shape) != shape:
        raise ModelIncompatible(f"model expects state {shape}, got {tuple(state.shape)}")
    if isinstance(state, np.ndarray):  # other states are on a device, as the engine made them
        _check_float32("state", state)
    if alpha < 1:
        return StepInputs(2 - alpha, negated(sections), shape, state, -1)
    return StepInputs(alpha, sections, shape, state, 1)


NONE = "none"
"""Name of the engine that changes nothing: `--model none`."""

_EMPTY: State = np.zeros((1, 0, 0, 0), np.float32)
"""The state of every stream of an `IdentityEngine`."""


class IdentityEngine(SequentialSteps):
    """An engine that returns each image unchanged and needs no model."""

    name = NONE
    provider = runtime = "cpu"
    precision: str | None = None
    uses_cuda_graph = False
    motion_scale = 1.0
    scalable = False
    described = "no model"

    def __init__(self) -> None:
        self.metadata: dict[str, str] = {}
        self.size: tuple[int, int] | None = None

    def at(self, motion_scale: float) -> "IdentityEngine":
        """This engine: it estimates no motion."""
        return self

    def step(
        self, image: Image, alpha: float, sections: Sections, state: State | None
    ) -> tuple[Image, State]:
        """The same image, and an empty state."""
        check_image(image)
        return image, _EMPTY
