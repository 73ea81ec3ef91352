"""What an exported magnifier must look like for the engine to run it.

Inputs
    image     uint8 (H, W, 3), BGR; H and W multiples of 16
    alpha     float32 ()
    sections  float32 (S, 5)
    reset     float32 ()
    state     float32 (1, 2 S C, H/stride, W/stride)
Outputs
    image_out uint8 (H, W, 3), BGR
    state_out like state
Outputs of the form `motion`, which leaves the picture to others (rtmag/realtime/engines/warp.py)
    flow      float32 (1, 2, H/4, W/4): where to look for each pixel, x then y, px
    state_out like state
Of several streams at once (`rtmag export --streams`)
    all of it with the stream as first dimension: image (N, H, W, 3), alpha (N,), sections
    (N, S, 5), reset (N,), state (N, 2 S C, H/stride, W/stride), and so the outputs
Metadata
    rtmag.contract = 2, rtmag.model, rtmag.channels = C (of shape), rtmag.stride, ...
    rtmag.streams = any, or the only N there is; missing where there is no such dimension
"""

import math
import re

from rtmag.realtime.errors import ModelIncompatible

CONTRACT = "2"

SECTIONS = 2
"""Most sections of a filter: a band-pass of order 2."""

UNIT = 16
"""px: sides of the picture are multiples of it."""

ANY = "any"
"""What `rtmag.streams` says of a graph that takes as many as come."""

STATE_OUT = "state_out"

Values = dict[str, tuple[str, int]]
"""Type and rank by name."""

INPUTS: Values = {
    "image": ("uint8", 3),
    "alpha": ("float", 0),
    "sections": ("float", 2),
    "reset": ("float", 0),
    "state": ("float", 4),
}

OUTPUTS: Values = {"image_out": ("uint8", 3), STATE_OUT: ("float", 4)}

MOTION: Values = {"flow": ("float", 4), STATE_OUT: ("float", 4)}

_STREAM_FIRST = {"flow", "state", STATE_OUT}
"""What has a first dimension for the stream in every graph, be it of 1."""


def check(inputs: Values, outputs: Values, metadata: dict[str, str], source: str) -> bool:
    """Whether the model is of the form `motion`.

    Raises:
        ModelIncompatible: it does not keep the contract.
    """
    contract = metadata.get("rtmag.contract")
    if contract is None:
        raise ModelIncompatible(
            f"cannot use model {source!r}: not made by rtmag export (it has no rtmag metadata)"
        )
    if contract != CONTRACT:
        raise ModelIncompatible(
            f"cannot use model {source!r}: contract {contract}, this version needs {CONTRACT}; "
            "export it again"
        )
    moves = "flow" in outputs
    for kind, usual, given in (
        ("inputs", INPUTS, inputs),
        ("outputs", MOTION if moves else OUTPUTS, outputs),
    ):
        expected = _of_streams(usual) if "rtmag.streams" in metadata else usual
        if given != expected:
            raise ModelIncompatible(
                f"cannot use model {source!r}: expected {kind} {_listed(expected)}, "
                f"got {_listed(given)}"
            )
    numbers = {key: metadata.get(f"rtmag.{key}", "") for key in ("channels", "stride")}
    if metadata.get("rtmag.streams", ANY) != ANY:
        numbers["streams"] = metadata["rtmag.streams"]
    wrong = [key for key, value in numbers.items() if not re.fullmatch("[1-9][0-9]{0,3}", value)]
    wrong += [] if metadata.get("rtmag.model") else ["model"]
    if wrong:
        raise ModelIncompatible(
            f"cannot use model {source!r}: no metadata {', '.join(wrong)}, or not as it should be"
        )
    return moves


def streams_at_once(metadata: dict[str, str]) -> float:
    """How many streams one run of the graph takes, infinitely many where any number will do."""
    count = metadata.get("rtmag.streams", "1")
    return math.inf if count == ANY else int(count)


def _of_streams(values: Values) -> Values:
    return {name: (k, rank + (name not in _STREAM_FIRST)) for name, (k, rank) in values.items()}


def _listed(values: Values) -> str:
    """Such as `image uint8 3-d`."""
    return ", ".join(f"{name} {kind} {rank}-d" for name, (kind, rank) in values.items())
