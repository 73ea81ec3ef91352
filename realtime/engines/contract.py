"""The contract between exported graphs and the engines that run them.

Inputs
    image     uint8 (H, W, 3), BGR; H and W multiples of 16
    alpha     float32 ()
    sections  float32 (S, 5), the temporal filter
    reset     float32 (), 1: take this image as the new reference
    state     float32 (1, 2 S C, H/stride, W/stride)
Outputs
    image_out uint8 (H, W, 3), BGR
    state_out like state
    flow      as below; optional, for measuring; absent in graphs made before it was added
Outputs of the form `motion`, which leaves the warp to the engine (rtmag/realtime/engines/warp.py)
    flow      float32 (1, 2, H/4, W/4): source position of each pixel relative to it, x then y, px
    state_out like state
Graphs for several streams (`rtmag export --streams`)
    every input and output has the stream as its first dimension: image (N, H, W, 3), alpha (N,),
    sections (N, S, 5), reset (N,), state (N, 2 S C, H/stride, W/stride)
Metadata
    rtmag.contract = 2, rtmag.model, rtmag.channels = C (of `shape`), rtmag.stride, ...
    rtmag.streams = `any`, or the only N that the graph accepts; absent in graphs for one stream
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from rtmag.realtime.errors import ModelIncompatible

CONTRACT = "2"
"""Version of this contract: `rtmag.contract` in the metadata."""

MAX_SECTIONS = 2
"""Largest number of sections in a temporal filter: a band-pass of order 2 has two."""

SIDE_MULTIPLE = 16
"""Width and height of the network's input are multiples of this number of pixels."""

CELL = 4
"""Pixels of the network's input per value of the flow, along each axis."""

ANY = "any"
"""Value of `rtmag.streams` in graphs that accept any number of streams."""

STATE_OUT = "state_out"
"""Name of the output state."""

Values = dict[str, tuple[str, int]]
"""Element type and number of dimensions by name."""

INPUTS: Values = {
    "image": ("uint8", 3),
    "alpha": ("float", 0),
    "sections": ("float", 2),
    "reset": ("float", 0),
    "state": ("float", 4),
}
"""Inputs of every graph for one stream."""

OUTPUTS: Values = {"image_out": ("uint8", 3), STATE_OUT: ("float", 4)}
"""Outputs of the full graph for one stream; it may also have those of `MOTION`."""

FLOW = "flow"
"""Name of the output flow."""

MOTION: Values = {FLOW: ("float", 4), STATE_OUT: ("float", 4)}
"""Outputs of the form `motion` for one stream."""

MODEL_NAME = r"[\w .+()-]{1,80}"
"""Pattern of `rtmag.model`: it is shown and written, and files may come from strangers."""

_BATCHED = {FLOW, "state", STATE_OUT}
"""Values that have a stream dimension in every graph; in graphs for one stream its size is 1."""


@dataclass(frozen=True, slots=True)
class GraphLayout:
    """The part of a graph's metadata that determines the shapes of its inputs."""

    model: str
    """The model's name, for messages."""
    channels: int
    """C: number of channels of `shape`."""
    stride: int
    """Pixels of the network's input per element of `shape`, along each axis."""
    streams_per_run: float = 1
    """Streams that one run of the graph takes: 1, another fixed number, or infinity for any."""
    min_sections: int = 1
    """Shorter filters are padded to this number of sections."""

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], min_sections: int = 1) -> "GraphLayout":
        """The layout of a graph whose metadata has been checked."""
        count = metadata.get("rtmag.streams", "1")
        return cls(
            metadata["rtmag.model"],
            int(metadata["rtmag.channels"]),
            int(metadata["rtmag.stride"]),
            math.inf if count == ANY else int(count),
            min_sections,
        )


def check(inputs: Values, outputs: Values, metadata: dict[str, str], source: str) -> bool:
    """Check a graph against the contract; True if it has the form `motion`.

    Raises:
        ModelIncompatible: the graph does not keep the contract.
    """
    contract = metadata.get("rtmag.contract")
    if contract is None:
        raise ModelIncompatible(
            f"cannot use model {source!r}: not made by rtmag export (it has no rtmag metadata)"
        )
    check_version(contract, source)
    motion = FLOW in outputs and "image_out" not in outputs
    drawn = OUTPUTS | MOTION if FLOW in outputs else OUTPUTS
    for kind, single, actual in (
        ("inputs", INPUTS, inputs),
        ("outputs", MOTION if motion else drawn, outputs),
    ):
        expected = _with_streams(single) if "rtmag.streams" in metadata else single
        if actual != expected:
            raise ModelIncompatible(
                f"cannot use model {source!r}: expected {kind} {_listed(expected)}, "
                f"got {_listed(actual)}"
            )
    numbers = {key: metadata.get(f"rtmag.{key}", "") for key in ("channels", "stride")}
    if metadata.get("rtmag.streams", ANY) != ANY:
        numbers["streams"] = metadata["rtmag.streams"]
    wrong = [key for key, value in numbers.items() if not re.fullmatch("[1-9][0-9]{0,3}", value)]
    wrong += [] if re.fullmatch(MODEL_NAME, metadata.get("rtmag.model", "")) else ["model"]
    if wrong:
        raise ModelIncompatible(
            f"cannot use model {source!r}: metadata {', '.join(wrong)} is missing or invalid; "
            "export it again"
        )
    return motion


def check_version(contract: str | None, source: str) -> None:
    """Refuse a file of another version of this contract.

    Raises:
        ModelIncompatible: the version differs.
    """
    if contract != CONTRACT:
        raise ModelIncompatible(
            f"cannot use model {source!r}: it has contract {contract}, this version of rtmag "
            f"needs {CONTRACT}; export it again"
        )


def _with_streams(values: Values) -> Values:
    """The same values in a graph for several streams: each has a stream dimension."""
    return {name: (kind, rank + (name not in _BATCHED)) for name, (kind, rank) in values.items()}


def _listed(values: Values) -> str:
    """Text such as `image uint8 3-d`."""
    return ", ".join(f"{name} {kind} {rank}-d" for name, (kind, rank) in values.items())
