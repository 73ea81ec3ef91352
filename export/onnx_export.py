"""Export of a checkpoint to ONNX: one file per form of the graph, written after a parity check."""

import json
import logging
import warnings
from pathlib import Path

import onnx
import onnx.utils
import onnxscript  # noqa: F401 - needed by torch.onnx; reports its absence before any work
import torch

from rtmag.export.parity import Parity, check_parity
from rtmag.export.source import (
    ExportSource,
    Precision,
    Report,
    Size,
    load_source,
    refuse_existing,
    silent,
)
from rtmag.realtime.atomic import atomic_write
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
    report: Report = silent,
) -> Parity:
    """Export a run's averaged weights to ONNX, if the graph computes what the network computes.

    Args:
        run: Folder made by `rtmag train`.
        out: The file to write. For MagNet a second file next to it, `NAME.motion.onnx`, ends at
            the flow; CPUs use that one and warp the picture with OpenCV.
        name: Name of the model, stored in the file.
        size: (width, height) to freeze, rounded up to multiples of 16; None accepts any size.
        precision: Precision of texture and decoder; motion is always estimated in float32.
        streams: Number of streams per step, or `any`; None is one stream.
        overwrite: True to replace existing files.
        report: Receives the name of each stage as it begins.

    Returns:
        The differences between graph and network.

    Raises:
        ModelIncompatible: the folder holds no usable checkpoint.
        OptionError: the output exists, or the network cannot have this size, precision or number
            of streams.
        ParityError: the graph differs from the network; nothing is written.
    """
    refuse_existing(out, motion_form(out), overwrite=overwrite)
    report(f"loading {run}")
    source = load_source(run, name=name, size=size, precision=precision, streams=streams)
    report("tracing the network as ONNX")
    forms = trace(source)
    parity = _check_forms(source, forms, report)
    report(f"writing {out}")
    write(forms, source.metadata | {"rtmag.parity": json.dumps(parity.to_dict())}, out)
    return parity


def write(forms: list[onnx.ModelProto], metadata: dict[str, str], out: Path) -> None:
    """Write each form with its metadata: the whole graph to `out`, the motion form next to it."""
    for form in forms:
        onnx.helper.set_model_props(form, metadata)
        onnx.checker.check_model(form)
    out.parent.mkdir(parents=True, exist_ok=True)
    motion_form(out).unlink(missing_ok=True)  # it would belong to other weights
    for path, form in zip((out, motion_form(out)), forms, strict=False):
        with atomic_write(path) as partial:
            partial.write_bytes(form.SerializeToString())


def trace(source: ExportSource) -> list[onnx.ModelProto]:
    """Trace the forms of the graph: the full one and, for MagNet, the form `motion`.

    The full form of MagNet returns the flow as well, for measuring.
    """
    whole = onnx.utils.Extractor(_trace(source))
    outputs = [OUTPUTS | MOTION, MOTION] if isinstance(source.graph.net, MagNet) else [OUTPUTS]
    return [whole.extract_model(list(INPUTS), list(each)) for each in outputs]


def _check_forms(source: ExportSource, forms: list[onnx.ModelProto], report: Report) -> Parity:
    """Compare the network with each form of its graph; returns the worse result."""
    results = []
    for number, form in enumerate(forms):

        def count(done: int, total: int, number: int = number) -> None:
            report(f"checking parity {number * total + done}/{len(forms) * total}")

        onnx.helper.set_model_props(form, source.metadata)
        name = source.metadata["rtmag.model"]
        engine = OnnxEngine(form.SerializeToString(), source=name)
        results.append(check_parity(source, engine, report=count))
    return max(results, key=lambda parity: parity.mean)


def _trace(source: ExportSource) -> onnx.ModelProto:
    """Convert the torch module to an ONNX model in memory, with all outputs of all forms."""
    has_flow = isinstance(source.graph.net, MagNet)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside torch's exporter
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            source.graph, source.example(), dynamo=True, opset_version=OPSET, external_data=False,
            verbose=False, input_names=[*INPUTS],
            output_names=list(OUTPUTS | (MOTION if has_flow else {})),
            dynamic_shapes=source.dynamic_shapes(),
        )  # fmt: skip
    assert program is not None
    model = program.model_proto
    model.ir_version = 10  # readable by ONNX Runtime 1.18 and later
    return model


def export_unchecked(
    run: Path, out: Path, *, name: str, precision: Precision = "fp32", streams: str | None = None
) -> Path:
    """Export for any size without a parity check, for benchmarks.

    Raises the errors of `export_onnx`, except ParityError.
    """
    source = load_source(run, name=name, size=None, precision=precision, streams=streams)
    write(trace(source), source.metadata, out)
    return out


def export_baseline(folder: Path) -> Path:
    """Export the network of Oh et al. 2018 with random weights, to benchmark its speed."""
    net = build(CONFIGS[BASELINE])
    optimizer = torch.optim.Adam(net.parameters())
    run = folder / BASELINE
    checkpoint.save(run, net, checkpoint.copy_weights(net), optimizer, {"step": 0})
    return export_unchecked(run, folder / f"{BASELINE}.onnx", name=BASELINE)
