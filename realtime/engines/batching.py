"""Collate the steps of several streams into one batch for a graph, and split the result again.

A batch has one array per input of the graph, with the stream as its first dimension. Streams may
have different images, alphas, filters and states, and may start at different times. A filter with
fewer sections than another one is padded with sections that pass their input on. That is exact:
the state of such a section stays 0, and is removed when the batch is split. A graph made for a
fixed number of streams gets neutral inputs in the places that no stream occupies.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.engines.contract import GraphLayout
from rtmag.realtime.engines.engine import StepInputs, prepare, state_shape
from rtmag.realtime.errors import ModelIncompatible
from rtmag.realtime.frame import Image
from rtmag.realtime.sections import PASS_THROUGH, Sections, State, padded


@dataclass(frozen=True, slots=True, eq=False)
class StreamBatch:
    """A batch of N places; streams occupy the first ones."""

    inputs: dict[str, NDArray[Any]]
    """image (N, H, W, 3), alpha (N,), sections (N, S, 5), reset (N,): all inputs but the state."""
    shape: tuple[int, int, int, int]
    """Shape of the batch's state: (N, 2 S C, h, w)."""
    steps: list[StepInputs]
    """One per stream. If a stream's filter is shorter, its state has fewer channels."""

    def state(self) -> NDArray[np.float32]:
        """The streams' states as one array of shape `shape`, on the CPU."""
        out = np.zeros(self.shape, np.float32)
        for place, step in zip(out, self.steps, strict=False):
            if step.state is not None:
                np.multiply(np.asarray(step.state)[0], step.sign, out=place[: step.shape[1]])
        return out

    def split(self, state: Any) -> list[Any]:
        """The state of each stream, as views of the batch's output state.

        Args:
            state: (N, 2 S C, h, w): an array, a PyTorch tensor or a `DeviceState`.
        """
        return [
            step.caller_state(state[row : row + 1, : step.shape[1]])
            for row, step in enumerate(self.steps)
        ]


def collate(
    layout: GraphLayout,
    images: Sequence[Image],
    alphas: Sequence[float],
    sections: Sequence[Sections],
    states: Sequence[State | None],
) -> StreamBatch:
    """Make a batch for a graph.

    Args:
        layout: Layout of the graph.
        images: (H, W, 3) each, the network's input, all of one size.
        alphas: Magnification factors, at least 0.
        sections: Temporal filters, (S, 5) each; S may differ.
        states: (1, 2 S C, h, w) each, or None where a stream starts.

    Raises:
        ModelIncompatible: images differ in size, a state does not fit its image or filter, or the
            graph does not accept this number of streams.
        ValueError: the four sequences differ in length.
    """
    height, width = images[0].shape[:2]
    places, count = _places(layout, len(images)), max([layout.min_sections, *map(len, sections)])
    inputs: dict[str, NDArray[Any]] = {
        "image": np.zeros((places, height, width, 3), np.uint8),
        "alpha": np.ones(places, np.float32),
        "sections": np.tile(padded(PASS_THROUGH, count), (places, 1, 1)),
        "reset": np.ones(places, np.float32),
    }
    steps = []
    streams = zip(images, alphas, sections, states, strict=True)
    for k, (image, alpha, temporal_filter, state) in enumerate(streams):
        if image.shape != images[0].shape:
            raise ModelIncompatible(
                f"images of one step must have the same size, got {width}x{height} and "
                f"{image.shape[1]}x{image.shape[0]}; take one step for each size"
            )
        step = prepare(layout, image, alpha, temporal_filter, state)
        inputs["image"][k] = image
        inputs["alpha"][k] = step.alpha
        inputs["sections"][k] = padded(step.sections, count)
        inputs["reset"][k] = step.state is None
        steps.append(step)
    _, channels, h, w = state_shape(layout, images[0], count)
    return StreamBatch(inputs, (places, channels, h, w), steps)


def _places(layout: GraphLayout, streams: int) -> int:
    """Number of places in a batch for this many streams."""
    if streams > layout.streams_per_run:
        raise ModelIncompatible(
            f"model {layout.model!r} takes {layout.streams_per_run:g} streams per step, "
            f"got {streams}; take several steps, or export it for more streams"
        )
    return streams if math.isinf(layout.streams_per_run) else int(layout.streams_per_run)
