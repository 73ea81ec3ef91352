"""Exports for PyTorch: a program for any machine (.pt2), or a TensorRT engine (.trt.pt2).

The TensorRT part follows the documentation of torch-tensorrt 2.14; it has not been run on hardware.
The precision is that of the tensors, because TensorRT 11 has no option for it. The size is fixed.

Timings of kernels are cached in `.trt-cache` next to the output, so that later builds are faster.
Engines are not cached, because torch-tensorrt caches only refittable engines, which TensorRT
optimises less. An engine that is up to date is not built again.
"""

import copy
import json
from pathlib import Path
from typing import Any

import torch

from rtmag.export.parity import CountReport, Parity, check_parity
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
from rtmag.realtime.engines.contract import ANY
from rtmag.realtime.engines.torch_engine import TorchEngine
from rtmag.realtime.engines.torch_program import (
    METADATA_FILE,
    identity,
    read_sidecar,
    sidecar,
    this_machine,
    write_sidecar,
)
from rtmag.realtime.errors import ModelIncompatible, OptionError


def export_torch(
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
    """Export a run's averaged weights as a PyTorch program, one file with the suffix `.pt2`.

    Arguments, result and errors are those of `export_onnx`.
    """
    refuse_existing(out, overwrite=overwrite)
    report(f"loading {run}")
    source = load_source(run, name=name, size=size, precision=precision, streams=streams)
    report("tracing the network as a PyTorch program")
    with torch.no_grad():
        program = torch.export.export(
            source.graph,
            source.example(),
            dynamic_shapes=source.dynamic_shapes(sections=False),
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(out) as partial:
        torch.export.save(
            program, partial, extra_files={METADATA_FILE: json.dumps(source.metadata)}
        )
        engine = TorchEngine(partial, provider="cpu")
        parity = check_parity(source, engine, report=_parity_stage(report))
        report(f"writing {out}")
        metadata = source.metadata | {"rtmag.parity": json.dumps(parity.to_dict())}
        torch.export.save(program, partial, extra_files={METADATA_FILE: json.dumps(metadata)})
    return parity


def _parity_stage(report: Report) -> CountReport:
    return lambda done, total: report(f"checking parity {done}/{total}")


CACHE = ".trt-cache"
"""Folder of TensorRT's kernel timings, next to the output."""


def export_tensorrt(
    run: Path,
    out: Path,
    *,
    name: str,
    size: Size | None,
    precision: Precision = "fp16",
    streams: str | None = None,
    workspace: float = 2.0,
    force: bool = False,
    overwrite: bool = False,
    report: Report = silent,
) -> Parity | None:
    """Build a TensorRT engine for this machine's GPU, if it computes what the network computes.

    Args:
        run: Folder made by `rtmag train`.
        out: The file to write, `.trt.pt2`. A JSON file next to it names the GPU and versions that
            the engine is for.
        name: Name of the model, stored in the file.
        size: (width, height), rounded up to multiples of 16; None is refused.
        precision: Precision of texture and decoder; motion is always estimated in float32.
        streams: Number of streams per step; None is one stream, `any` is refused.
        workspace: GiB of GPU memory for building.
        force: True to build even if the existing file is of these weights and this machine.
        overwrite: True to replace an existing file of other weights or another machine.
        report: Receives the name of each stage as it begins.

    Returns:
        The differences between engine and network, or None if the existing file is up to date.

    Raises:
        MissingExtra: torch-tensorrt or a CUDA GPU is missing.
        ModelIncompatible: the folder holds no usable checkpoint.
        OptionError: the size is missing, `streams` is `any`, or the output exists and is not up to
            date.
        ParityError: the engine differs from the network; nothing is written.
    """
    if size is None:
        raise OptionError("--target tensorrt needs --size WxH: an engine is built for one size")
    if streams == ANY:
        raise OptionError("--target tensorrt needs --streams N: an engine is built for one number")
    machine = this_machine()
    report(f"loading {run}")
    source = load_source(run, name=name, size=size, precision=precision, streams=streams)
    if not force and _is_current(out, source):
        return None
    refuse_existing(out, overwrite=overwrite or force)
    report("building the TensorRT engine")
    program = _build(source, out.parent / CACHE, workspace)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f"{out.name.removesuffix('.pt2')}.part.pt2")
    try:
        _save(program, source, partial)
        write_sidecar(partial, source.metadata | machine)
        engine = TorchEngine(partial, provider="cuda")
        parity = check_parity(source, engine, half=True, report=_parity_stage(report))
        report(f"writing {out}")
        result = {"rtmag.parity": json.dumps(parity.to_dict())}
        write_sidecar(partial, source.metadata | machine | result)
        partial.replace(out)
        sidecar(partial).replace(sidecar(out))
    finally:
        partial.unlink(missing_ok=True)
        sidecar(partial).unlink(missing_ok=True)
    return parity


def _is_current(out: Path, source: ExportSource) -> bool:
    """True if the file exists and was built from these weights for this machine."""
    if not out.is_file():
        return False
    try:
        existing = read_sidecar(out) or {}
    except ModelIncompatible:
        return False
    return all(existing.get(key) == value for key, value in source.metadata.items())


def _build(source: ExportSource, cache: Path, workspace: float) -> Any:
    """Compile on the GPU."""
    import torch_tensorrt

    cache.mkdir(parents=True, exist_ok=True)
    inputs = [each.cuda() for each in source.example()]
    graph = copy.deepcopy(source.graph)  # the parity check needs the original, on the CPU
    graph.floats = True
    return torch_tensorrt.compile(
        graph.cuda(),
        ir="dynamo",
        arg_inputs=inputs,
        min_block_size=1,
        require_full_compilation=False,  # PyTorch may run the casts between bytes and floats
        disable_tf32=True,  # TF32 rounds factors to ten bits; see `convert` in source.py
        truncate_double=True,
        workspace_size=int(workspace * 2**30),
        timing_cache_path=str(cache / "timing.bin"),
    )


def _save(program: Any, source: ExportSource, path: Path) -> None:
    import torch_tensorrt

    inputs = [each.cuda() for each in source.example()]
    torch_tensorrt.save(
        program,
        str(path),
        output_format="exported_program",
        arg_inputs=inputs,
        extra_files={METADATA_FILE: json.dumps(identity(source.metadata))},
    )
