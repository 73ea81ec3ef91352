"""Input of every export: a run's network as a graph, example inputs, dynamic shapes, metadata."""

import copy
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from rtmag.export.graph import Graph, Streams
from rtmag.realtime.engines.contract import ANY, CONTRACT, MAX_SECTIONS, MODEL_NAME, SIDE_MULTIPLE
from rtmag.realtime.errors import OptionError
from rtmag.train import checkpoint
from rtmag.train.network.magnet import MagNet
from rtmag.train.network.oh2018 import Oh2018

Precision = Literal["fp32", "fp16"]

Report = Callable[[str], None]
"""Receives the name of each stage of an export as it begins."""


def silent(stage: str) -> None:
    """Ignore the stages."""


def convert(net: MagNet | Oh2018, precision: Precision) -> MagNet | Oh2018:
    """Convert a network to a precision.

    fp16 converts the layers of texture and decoder. The layers of motion stay in float32, because
    the difference of two shapes is too small for half precision.

    Returns:
        The same network for fp32, a converted copy for fp16.

    Raises:
        OptionError: fp16 of `oh2018`, whose shape comes from the same layers as its texture.
    """
    if precision == "fp32":
        return net
    if not isinstance(net, MagNet):
        raise OptionError(
            "--precision fp16 needs a MagNet: oh2018 would estimate motion in fp16 too"
        )
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


COST_SIDE = 64  # px; larger pictures have slightly fewer per pixel, because less of them is border


def cost(net: MagNet | Oh2018) -> Cost:
    """Count a network's parameters and the multiply-accumulates of one step."""
    image, alpha = torch.zeros(1, 3, COST_SIDE, COST_SIDE), torch.tensor([2.0])
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        texture, shape = net.encode(image)
        net.decode(image, texture, shape, torch.zeros_like(shape), alpha)
    macs = int(counter.get_total_flops()) // (2 * COST_SIDE * COST_SIDE)
    return Cost(sum(p.numel() for p in net.parameters()), macs)


EXAMPLE = (208, 176)
"""Width and height to trace with. They differ from every number of channels, so that the tracer
does not take them for equal dimensions."""

MAX_SIDE = 8192  # px

MAX_STREAMS = 999

EXAMPLE_STREAMS = 3  # streams to trace with; with 1, tracers would make it constant

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class ExportSource:
    """A trained network as a graph, with all that an exporter needs to trace it."""

    graph: Graph
    """The graph to export, in the requested precision."""
    reference: Graph
    """The graph of one stream in float32, to compare with."""
    metadata: dict[str, str]
    """Metadata to store in the model file; the keys are those of the engine contract."""
    size: Size | None
    """(width, height), multiples of 16, if the graph accepts one size only; None: any size."""
    streams: str | None = None
    """Number of streams per step, or `any`; None is one stream, without a dimension of streams."""

    @property
    def half(self) -> bool:
        """True if parts of the graph are in half precision."""
        return self.graph.net is not self.reference.net

    def example(self) -> tuple[Tensor, ...]:
        """Example inputs for tracing: image, alpha, sections, reset, state."""
        net = self.graph.net
        width, height = self.size or EXAMPLE
        channels, h, w = net.shape_channels, height // net.stride, width // net.stride
        one = (
            torch.zeros(height, width, 3, dtype=torch.uint8),
            torch.tensor(2.0),
            torch.tensor([[1.0, -1, 0, -1, 0]] * MAX_SECTIONS),
            torch.tensor(1.0),
            torch.zeros(1, 2 * MAX_SECTIONS * channels, h, w),
        )
        if self.streams is None:
            return one
        count = EXAMPLE_STREAMS if self.streams == ANY else int(self.streams)
        *first, state = one
        return *(torch.stack([each] * count) for each in first), torch.cat([state] * count)

    def dynamic_shapes(self, *, sections: bool = True) -> dict[str, Any]:
        """The dimensions that may vary, for torch.export.

        They are height and width unless the size is frozen, the number of sections if `sections`,
        and the number of streams if it is `any`.
        """
        dim = torch.export.Dim
        channels, stride = self.graph.net.shape_channels, self.graph.net.stride
        count = dim("sections", min=1, max=MAX_SECTIONS)
        shapes: dict[str, Any] = {
            "image": None, "alpha": None, "sections": {0: count} if sections else None,
            "reset": None, "state": {1: 2 * channels * count} if sections else {},
        }  # fmt: skip
        if self.size is None:
            h, w = (
                dim(f"{side}_units", min=1, max=MAX_SIDE // SIDE_MULTIPLE)
                for side in ("height", "width")
            )
            shapes["image"] = {0: SIDE_MULTIPLE * h, 1: SIDE_MULTIPLE * w}
            shapes["state"] |= {2: SIDE_MULTIPLE // stride * h, 3: SIDE_MULTIPLE // stride * w}
        return shapes if self.streams is None else self._of_streams(shapes)

    def _of_streams(self, shapes: dict[str, Any]) -> dict[str, Any]:
        """Move each dimension behind that of streams; states have a first dimension already."""
        first = (
            {0: torch.export.Dim("streams", min=1, max=MAX_STREAMS)} if self.streams == ANY else {}
        )
        state = shapes.pop("state")
        shifted = {k: {1 + at: dim for at, dim in (v or {}).items()} for k, v in shapes.items()}
        return {name: first | dims for name, dims in (shifted | {"state": state}).items()}


def load_source(
    run: Path, *, name: str, size: Size | None, precision: Precision, streams: str | None = None
) -> ExportSource:
    """Load a run's averaged weights as a graph to export.

    Raises:
        ModelIncompatible: the folder holds no usable checkpoint.
        OptionError: the network cannot have this name, size, precision or number of streams.
    """
    if not re.fullmatch(MODEL_NAME, name):
        raise OptionError(
            f"the name of a model has up to 80 letters, digits, spaces and . + ( ) - _, "
            f"got {name!r}; give --name"
        )
    if streams not in (None, ANY) and not re.fullmatch("[2-9]|[1-9][0-9]{1,2}", str(streams)):
        raise OptionError(f"--streams must be any, or 2 to {MAX_STREAMS}, got {streams!r}")
    if size is not None and not all(1 <= side <= MAX_SIDE for side in size):
        raise OptionError(f"size must be at most {MAX_SIDE}x{MAX_SIDE}, got {size[0]}x{size[1]}")
    net, training = checkpoint.load(run)
    counted = cost(net)
    metadata = {
        "rtmag.contract": CONTRACT,
        "rtmag.model": name,
        "rtmag.architecture": net.config.architecture,
        "rtmag.channels": str(net.shape_channels),
        "rtmag.stride": str(net.stride),
        "rtmag.sections": str(MAX_SECTIONS),
        "rtmag.precision": precision,
        "rtmag.parameters": str(counted.parameters),
        "rtmag.macs": str(counted.macs),
        "rtmag.sha256": hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest(),
        "rtmag.training": json.dumps(training),
    }
    padded: Size | None = None
    if size is not None:
        width, height = (-(-side // SIDE_MULTIPLE) * SIDE_MULTIPLE for side in size)
        padded = width, height
        metadata["rtmag.size"] = f"{width}x{height}"
    if streams is not None:
        metadata["rtmag.streams"] = streams
    reference = Graph(net)
    graph = reference if precision == "fp32" else Graph(convert(net, precision))
    if streams is not None:
        graph = Streams(graph.net)
    return ExportSource(graph, reference, metadata, padded, streams)


def refuse_existing(*paths: Path, overwrite: bool) -> None:
    """Refuse to write over existing files, unless `overwrite`.

    Raises:
        OptionError: one of the files exists.
    """
    for path in paths:
        if path.exists() and not overwrite:
            raise OptionError(f"cannot write {str(path)!r}: it exists; use --overwrite")
