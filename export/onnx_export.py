"""Checkpoint -> ONNX files that keep the engine's contract, one per form, or no file at all."""

import json
import logging
import warnings
from pathlib import Path

import onnx
import onnx.utils
import torch

from rtmag.export.parity import Parity, check_parity
from rtmag.export.source import ExportSource, Precision, Size, load_source, refuse_existing
from rtmag.realtime.bench.timing import BASELINE
from rtmag.realtime.engines.contract import INPUTS, MOTION, OUTPUTS
from rtmag.realtime.engines.onnx_engine import OnnxEngine
from rtmag.realtime.models import motion_form
from rtmag.train import checkpoint
from rtmag.train.network.config import CONFIGS
from rtmag.train.network.magnet import MagNet, build

OPSET = 20


def export_onnx(
    run: Path,
    out: Path,
    *,
    name: str,
    size: Size | None = None,
    precision: Precision = "fp32",
    streams: str | None = None,
    overwrite: bool = False,
) -> Parity:
    """Export a training run's averaged weights and prove that nothing changed.

    Args:
        run: Folder made by `rtmag train`.
        out: The file to write; its form `motion` is written beside it.
        name: What the model calls itself.
        size: (width, height) to freeze, rounded up to what the network can see; None accepts any.
        precision: Of texture and decoder; motion is found in float32 always.
        streams: How many it takes at once: `any`, or a number; None is one.
        overwrite: Replace an existing file.

    Returns:
        How far graph and network were apart.

    Raises:
        ModelIncompatible: the folder holds no usable checkpoint.
        OptionError: the output exists, or size, precision or streams are not what the network can
            have.
        ParityError: the graph computes something else than the network; nothing is written.
    """
    refuse_existing(out, motion_form(out), overwrite=overwrite)
    source = load_source(run, name=name, size=size, precision=precision, streams=streams)
    forms = trace(source)
    parity = _prove(source, forms)
    write(forms, source.facts | {"rtmag.parity": json.dumps(parity.to_dict())}, out)
    return parity


def write(forms: list[onnx.ModelProto], facts: dict[str, str], out: Path) -> None:
    """Write each form to its file, with what the model says about itself."""
    for form in forms:
        onnx.helper.set_model_props(form, facts)
        onnx.checker.check_model(form)
    out.parent.mkdir(parents=True, exist_ok=True)
    motion_form(out).unlink(missing_ok=True)  # of other weights
    for path, form in zip((out, motion_form(out)), forms, strict=False):
        partial = path.with_name(path.name + ".part")
        partial.write_bytes(form.SerializeToString())
        partial.replace(path)


def trace(source: ExportSource) -> list[onnx.ModelProto]:
    """The graph up to the picture, and up to the flow where there is one."""
    whole = onnx.utils.Extractor(_trace(source))
    outputs = [OUTPUTS, MOTION] if isinstance(source.graph.net, MagNet) else [OUTPUTS]
    return [whole.extract_model(list(INPUTS), list(each)) for each in outputs]


def _prove(source: ExportSource, forms: list[onnx.ModelProto]) -> Parity:
    """Compare the network with each form of its graph; returns the worse result."""
    found = []
    for form in forms:
        onnx.helper.set_model_props(form, source.facts)
        name = source.facts["rtmag.model"]
        engine = OnnxEngine(form.SerializeToString(), source=name, engine="onnx")
        found.append(check_parity(source, engine))
    return max(found, key=lambda parity: parity.mean)


def _trace(source: ExportSource) -> onnx.ModelProto:
    """Torch module -> ONNX model in memory."""
    moves = isinstance(source.graph.net, MagNet)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            source.graph, source.example(), dynamo=True, opset_version=OPSET, external_data=False,
            verbose=False, input_names=[*INPUTS],
            output_names=list(OUTPUTS | (MOTION if moves else {})),
            dynamic_shapes=source.dynamic_shapes(),
        )  # fmt: skip
    assert program is not None
    model = program.model_proto
    model.ir_version = 10  # what every ONNX Runtime since 1.18 reads
    return model


def export_unchecked(
    run: Path, out: Path, *, name: str, precision: Precision = "fp32", streams: str | None = None
) -> Path:
    """Export a training run's weights for any size; raises as `export_onnx`."""
    source = load_source(run, name=name, size=None, precision=precision, streams=streams)
    write(trace(source), source.facts, out)
    return out


def export_baseline(folder: Path) -> Path:
    """Export the untrained baseline into a folder."""
    net = build(CONFIGS[BASELINE])
    optimizer = torch.optim.Adam(net.parameters())
    run = folder / BASELINE
    checkpoint.save(run, net, checkpoint.copy_weights(net), optimizer, {"step": 0})
    return export_unchecked(run, folder / f"{BASELINE}.onnx", name=BASELINE)
