"""Checkpoint -> ONNX files that keep the engine's contract, one per form, or no file at all."""

import hashlib
import json
import logging
import warnings
from pathlib import Path
from typing import Any

import onnx
import onnx.utils
import torch

from rtmag.export.graph import SECTIONS, Graph
from rtmag.export.parity import Parity, compare
from rtmag.realtime.contract import CONTRACT, INPUTS, MOTION, OUTPUTS, UNIT
from rtmag.realtime.engine import OnnxEngine
from rtmag.realtime.errors import OptionError
from rtmag.realtime.models import motion_form
from rtmag.train import checkpoint
from rtmag.train.cost import cost
from rtmag.train.model import MagNet

OPSET = 20
EXAMPLE = (80, 64)  # width, height that the graph is traced at; any other works afterwards
LARGEST = 8192  # px


def export_onnx(
    run: Path, out: Path, *, name: str, size: tuple[int, int] | None = None, overwrite: bool = False
) -> Parity:
    """Export a training run's averaged weights and prove that nothing changed.

    Args:
        run: Folder made by `rtmag train`.
        out: The file to write; its form `motion` is written beside it.
        name: What the model calls itself.
        size: (width, height) to freeze, rounded up to what the network can see; None accepts any.
        overwrite: Replace an existing file.

    Returns:
        How far graph and network were apart.

    Raises:
        ModelIncompatible: the folder holds no usable checkpoint.
        OptionError: the output exists, or the size is not one the graph can have.
        ParityError: the graph computes something else than the network; nothing is written.
    """
    for path in (out, motion_form(out)):
        if path.exists() and not overwrite:
            raise OptionError(f"cannot write {str(path)!r}: it exists; use --overwrite")
    if size is not None and not all(1 <= side <= LARGEST for side in size):
        raise OptionError(f"size must be at most {LARGEST}x{LARGEST}, got {size[0]}x{size[1]}")
    net, training = checkpoint.load(run)
    graph = Graph(net)
    model = _trace(graph, size)
    spent = cost(net)
    facts = {
        "rtmag.contract": CONTRACT,
        "rtmag.model": name,
        "rtmag.architecture": net.config.architecture,
        "rtmag.channels": str(net.shape_channels),
        "rtmag.stride": str(net.stride),
        "rtmag.sections": str(SECTIONS),
        "rtmag.parameters": str(spent.parameters),
        "rtmag.macs": str(spent.macs),
        "rtmag.sha256": hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest(),
        "rtmag.training": json.dumps(training),
    }
    forms = _forms(model, moves=isinstance(net, MagNet))
    parity = _prove(graph, forms, facts)
    for form in forms:
        onnx.helper.set_model_props(form, facts | {"rtmag.parity": json.dumps(parity.to_dict())})
        onnx.checker.check_model(form)
    out.parent.mkdir(parents=True, exist_ok=True)
    motion_form(out).unlink(missing_ok=True)  # of other weights
    for path, form in zip((out, motion_form(out)), forms, strict=False):
        partial = path.with_name(path.name + ".part")
        partial.write_bytes(form.SerializeToString())
        partial.replace(path)
    return parity


def _forms(model: onnx.ModelProto, *, moves: bool) -> list[onnx.ModelProto]:
    """The graph up to the picture, and up to the flow where there is one."""
    whole = onnx.utils.Extractor(model)
    outputs = [OUTPUTS, MOTION] if moves else [OUTPUTS]
    return [whole.extract_model(list(INPUTS), list(each)) for each in outputs]


def _prove(graph: Graph, forms: list[onnx.ModelProto], facts: dict[str, str]) -> Parity:
    """Compare the network with each form of its graph; returns the worse result."""
    found = []
    for form in forms:
        onnx.helper.set_model_props(form, facts)
        name = facts["rtmag.model"]
        engine = OnnxEngine(form.SerializeToString(), source=name, provider="cpu")
        found.append(compare(graph, engine))
    return max(found, key=lambda parity: parity.mean)


def _trace(graph: Graph, size: tuple[int, int] | None) -> onnx.ModelProto:
    """Torch module -> ONNX model in memory."""
    channels, stride = graph.net.shape_channels, graph.net.stride
    moves = isinstance(graph.net, MagNet)
    width, height = (-(-side // UNIT) * UNIT for side in size or EXAMPLE)
    example = (
        torch.zeros(height, width, 3, dtype=torch.uint8),
        torch.tensor(2.0),
        torch.tensor([[1.0, -1, 0, -1, 0]] * SECTIONS),
        torch.tensor(1.0),
        torch.zeros(1, 2 * SECTIONS * channels, height // stride, width // stride),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            graph, example, dynamo=True, opset_version=OPSET, external_data=False, verbose=False,
            input_names=[*INPUTS], output_names=list(OUTPUTS | (MOTION if moves else {})),
            dynamic_shapes=_dynamic_shapes(channels, stride, frozen=size is not None),
        )  # fmt: skip
    assert program is not None
    model = program.model_proto
    model.ir_version = 10  # what every ONNX Runtime since 1.18 reads
    return model


def _dynamic_shapes(channels: int, stride: int, *, frozen: bool) -> dict[str, Any]:
    """Which extents may vary: the number of sections always, height and width unless frozen."""
    dim = torch.export.Dim
    sections = dim("sections", min=1, max=SECTIONS)
    shapes: dict[str, Any] = {
        "image": None, "alpha": None, "sections": {0: sections}, "reset": None,
        "state": {1: 2 * channels * sections},
    }  # fmt: skip
    if not frozen:
        h, w = (dim(f"{side}_units", min=1, max=LARGEST // UNIT) for side in ("height", "width"))
        shapes["image"] = {0: UNIT * h, 1: UNIT * w}
        shapes["state"] |= {2: UNIT // stride * h, 3: UNIT // stride * w}
    return shapes
