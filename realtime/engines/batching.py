"""Several streams in one step: their inputs as one batch, and what comes of it as theirs again.

A batch is one array per input of the graph, whose first dimension is the stream. Each stream has
its own picture, alpha, filter and state, and may begin afresh while others go on. Filters of fewer
sections than another's are lengthened by sections that change nothing, which is exact: memories of
those stay 0, and are cut off again. A graph made for one number of streams runs with idle ones in
the places that are left.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.errors import ModelIncompatible
from rtmag.realtime.frame import Image
from rtmag.realtime.sections import PASS_THROUGH, Sections, State, negated, padded


@dataclass(frozen=True, slots=True)
class Layout:
    """What the batches of a graph look like."""

    model: str
    """Its name."""
    channels: int
    """C, of shape."""
    stride: int
    at_once: float
    """Streams that it takes: this many, no less either, or infinity for any number."""
    sections: int = 1
    """Sections of a filter that it takes, at least."""

    def places(self, streams: int) -> int:
        """How many places the batch has.

        Raises:
            ModelIncompatible: fewer than there are streams.
        """
        if streams > self.at_once:
            raise ModelIncompatible(
                f"model {self.model!r} takes {self.at_once:g} streams at once, got {streams}; "
                "step them in parts, or export it for more"
            )
        return streams if math.isinf(self.at_once) else int(self.at_once)


@dataclass(frozen=True, slots=True, eq=False)
class Gathering:
    """A batch of N places, the first of which are taken by streams."""

    inputs: dict[str, NDArray[Any]]
    """image (N, H, W, 3), alpha (N,), sections (N, S, 5), reset (N,): all but the state."""
    shape: tuple[int, int, int, int]
    """(N, 2 S C, h, w), of the batch's state."""
    states: list[Any]
    """What each stream remembers, (1, c, h, w) with a c of its own, wherever it lies; or None."""
    signs: list[int]
    """-1 for a stream whose motion is taken away, as its filter and its state are turned."""
    widths: list[int]
    """That c of each stream: 2 C per section of its filter."""

    def memory(self) -> NDArray[np.float32]:
        """The states as one array, `shape`."""
        out = np.zeros(self.shape, np.float32)
        for place, state, sign, width in zip(
            out, self.states, self.signs, self.widths, strict=False
        ):
            if state is not None:
                np.multiply(np.asarray(state)[0], sign, out=place[:width])
        return out


def gather(
    layout: Layout,
    images: Sequence[Image],
    alphas: Sequence[float],
    sections: Sequence[Sections],
    states: Sequence[State | None],
) -> Gathering:
    """A batch for a graph.

    Args:
        layout: The graph's.
        images: Of each stream, (H, W, 3), as the network wants them.
        alphas: Of each.
        sections: Of each, (S, 5), S its own.
        states: Of each, or None where it begins afresh.

    Raises:
        ModelIncompatible: pictures differ in size, a state does not fit its picture or filter, or
            the graph does not take so many streams.
        ValueError: not as many alphas, sections or states as images.
    """
    height, width = images[0].shape[:2]
    h, w = height // layout.stride, width // layout.stride
    places, count = layout.places(len(images)), max([layout.sections, *map(len, sections)])
    inputs: dict[str, NDArray[Any]] = {
        "image": np.zeros((places, height, width, 3), np.uint8),
        "alpha": np.ones(places, np.float32),
        "sections": np.tile(padded(PASS_THROUGH, count), (places, 1, 1)),
        "reset": np.ones(places, np.float32),
    }
    signs, widths = [], []
    for k, (image, alpha, own, state) in enumerate(
        zip(images, alphas, sections, states, strict=True)
    ):
        if image.shape != images[0].shape:
            raise ModelIncompatible(
                f"pictures of one step must be of one size, got {width}x{height} and "
                f"{image.shape[1]}x{image.shape[0]}; step those of each size by themselves"
            )
        widths.append(2 * len(own) * layout.channels)
        expected = (1, widths[k], h, w)
        if state is not None and tuple(state.shape) != expected:
            raise ModelIncompatible(f"model expects state {expected}, got {tuple(state.shape)}")
        signs.append(-1 if alpha < 1 else 1)
        inputs["image"][k] = image
        inputs["alpha"][k] = 2 - alpha if alpha < 1 else alpha
        inputs["sections"][k] = padded(negated(own) if alpha < 1 else own, count)
        inputs["reset"][k] = state is None
    shape = places, 2 * count * layout.channels, h, w
    return Gathering(inputs, shape, list(states), signs, widths)
