"""What every target needs: a network as a graph, example inputs, what a model says of itself."""

import copy
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from rtmag.export.graph import Graph, Streams
from rtmag.realtime.engines.contract import ANY, CONTRACT, SECTIONS, UNIT
from rtmag.realtime.errors import OptionError
from rtmag.train import checkpoint
from rtmag.train.network.magnet import MagNet
from rtmag.train.network.oh2018 import Oh2018

Precision = Literal["fp32", "fp16"]


def convert(net: MagNet | Oh2018, precision: Precision) -> MagNet | Oh2018:
    """The network in that precision; a copy where it is another than its own.

    Raises:
        OptionError: half precision of a network whose shape would have to be in it too.
    """
    if precision == "fp32":
        return net
    if not isinstance(net, MagNet):
        raise OptionError("--precision fp16 is for MagNet: the paper's network makes shapes by it")
    net = copy.deepcopy(net)
    decoder, manipulator, encoder = net.decoder, net.manipulator, net.encoder
    for layer in (
        encoder.texture, encoder.block, manipulator.before, manipulator.after,
        decoder.mix, decoder.body, decoder.correction,
    ):  # fmt: skip
        layer.half()
    return net


@dataclass(frozen=True, slots=True)
class Cost:
    """Size of a network and its cost per step, for the model's metadata."""

    parameters: int
    macs: int
    """Multiply-accumulates per pixel, of convolutions and matrix products; one encode per frame."""


COST_SIDE = 64  # px; a larger picture gives slightly fewer per pixel, since its border is smaller


def cost(net: MagNet | Oh2018) -> Cost:
    """Count a network's parameters and the multiply-accumulates of one step."""
    image, alpha = torch.zeros(1, 3, COST_SIDE, COST_SIDE), torch.tensor([2.0])
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        texture, shape = net.encode(image)
        net.decode(image, texture, shape, torch.zeros_like(shape), alpha)
    macs = int(counter.get_total_flops()) // (2 * COST_SIDE * COST_SIDE)
    return Cost(sum(p.numel() for p in net.parameters()), macs)


EXAMPLE = (208, 176)  # width, height to trace at; unlike numbers of channels, which are no guards

LARGEST = 8192  # px

MOST = 999  # streams at once

EXAMPLE_STREAMS = 3  # where any number will do: 1, and what 1 can be spread over, may be special

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class ExportSource:
    """A trained network, ready to be traced."""

    graph: Graph
    """In the precision that was asked for."""
    reference: Graph
    """As it was trained."""
    facts: dict[str, str]
    """The model's metadata."""
    size: Size | None
    """(width, height) with the border, if only that is to be accepted."""
    streams: str | None = None
    """How many the graph takes at once: `any` or a number; None is one, without a dimension."""

    @property
    def half(self) -> bool:
        """Whether some of it is in half precision."""
        return self.graph.net is not self.reference.net

    def example(self) -> tuple[Tensor, ...]:
        """Inputs to trace with."""
        net = self.graph.net
        width, height = self.size or EXAMPLE
        channels, h, w = net.shape_channels, height // net.stride, width // net.stride
        one = (
            torch.zeros(height, width, 3, dtype=torch.uint8),
            torch.tensor(2.0),
            torch.tensor([[1.0, -1, 0, -1, 0]] * SECTIONS),
            torch.tensor(1.0),
            torch.zeros(1, 2 * SECTIONS * channels, h, w),
        )
        if self.streams is None:
            return one
        count = EXAMPLE_STREAMS if self.streams == ANY else int(self.streams)
        *first, state = one
        return *(torch.stack([each] * count) for each in first), torch.cat([state] * count)

    def dynamic_shapes(self, *, sections: bool = True) -> dict[str, Any]:
        """Which extents may vary: height and width unless frozen, and the number of sections."""
        dim = torch.export.Dim
        channels, stride = self.graph.net.shape_channels, self.graph.net.stride
        count = dim("sections", min=1, max=SECTIONS)
        shapes: dict[str, Any] = {
            "image": None, "alpha": None, "sections": {0: count} if sections else None,
            "reset": None, "state": {1: 2 * channels * count} if sections else {},
        }  # fmt: skip
        if self.size is None:
            h, w = (
                dim(f"{side}_units", min=1, max=LARGEST // UNIT) for side in ("height", "width")
            )
            shapes["image"] = {0: UNIT * h, 1: UNIT * w}
            shapes["state"] |= {2: UNIT // stride * h, 3: UNIT // stride * w}
        return shapes if self.streams is None else self._of_streams(shapes)

    def _of_streams(self, shapes: dict[str, Any]) -> dict[str, Any]:
        """The same behind a first dimension; states have one already."""
        first = {0: torch.export.Dim("streams", min=1, max=MOST)} if self.streams == ANY else {}
        state = shapes.pop("state")
        moved = {k: {1 + at: dim for at, dim in (v or {}).items()} for k, v in shapes.items()}
        return {name: first | dims for name, dims in (moved | {"state": state}).items()}


def load_source(
    run: Path, *, name: str, size: Size | None, precision: Precision, streams: str | None = None
) -> ExportSource:
    """Load a training run's averaged weights.

    Raises:
        ModelIncompatible: the folder holds no usable checkpoint.
        OptionError: the size or the precision is not one that the network can have, or streams are
            no number.
    """
    if streams not in (None, ANY) and not re.fullmatch("[2-9]|[1-9][0-9]{1,2}", str(streams)):
        raise OptionError(f"--streams must be any, or 2 to {MOST}, got {streams!r}")
    if size is not None and not all(1 <= side <= LARGEST for side in size):
        raise OptionError(f"size must be at most {LARGEST}x{LARGEST}, got {size[0]}x{size[1]}")
    net, training = checkpoint.load(run)
    spent = cost(net)
    facts = {
        "rtmag.contract": CONTRACT,
        "rtmag.model": name,
        "rtmag.architecture": net.config.architecture,
        "rtmag.channels": str(net.shape_channels),
        "rtmag.stride": str(net.stride),
        "rtmag.sections": str(SECTIONS),
        "rtmag.precision": precision,
        "rtmag.parameters": str(spent.parameters),
        "rtmag.macs": str(spent.macs),
        "rtmag.sha256": hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest(),
        "rtmag.training": json.dumps(training),
    }
    whole: Size | None = None
    if size is not None:
        width, height = (-(-side // UNIT) * UNIT for side in size)
        whole = width, height
        facts["rtmag.size"] = f"{width}x{height}"
    if streams is not None:
        facts["rtmag.streams"] = streams
    reference = Graph(net)
    graph = reference if precision == "fp32" else Graph(convert(net, precision))
    if streams is not None:
        graph = Streams(graph.net)
    return ExportSource(graph, reference, facts, whole, streams)


def refuse_existing(*paths: Path, overwrite: bool) -> None:
    """Never destroy a file unasked.

    Raises:
        OptionError: one of them exists.
    """
    for path in paths:
        if path.exists() and not overwrite:
            raise OptionError(f"cannot write {str(path)!r}: it exists; use --overwrite")
