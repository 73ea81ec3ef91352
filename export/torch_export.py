"""Checkpoint -> TensorRT engine, by torch-tensorrt: `rtmag export --target tensorrt`.

Written against the documentation of torch-tensorrt 2.14; it has not been run on hardware. The
precision is that of the tensors (TensorRT 11 has no switch for it), and sizes are fixed.

Kernels' timings are kept in `.trt-cache` beside the output, so that building again takes less time.
Engines are not: torch-tensorrt keeps only such whose weights can be changed, which leaves TensorRT
less to optimise, and an engine that is as it should be is not built again anyway.
"""

import copy
import json
from pathlib import Path
from typing import Any

import torch

from rtmag.export.parity import Parity, check_parity
from rtmag.export.source import ExportSource, Precision, Size, load_source, refuse_existing
from rtmag.realtime.engines.contract import ANY
from rtmag.realtime.engines.torch_engine import TorchEngine
from rtmag.realtime.engines.torch_program import (
    FACTS,
    here,
    identity,
    read_sidecar,
    sidecar,
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
) -> Parity:
    """Export a training run's averaged weights and prove that nothing changed.

    Args, returns and errors are those of `export_onnx`; there is one file, `.pt2`.
    """
    refuse_existing(out, overwrite=overwrite)
    source = load_source(run, name=name, size=size, precision=precision, streams=streams)
    with torch.no_grad():
        program = torch.export.export(
            source.graph,
            source.example(),
            dynamic_shapes=source.dynamic_shapes(sections=False),
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f"{out.stem}.part.pt2")  # the suffix tells PyTorch what it is
    try:
        torch.export.save(program, partial, extra_files={FACTS: json.dumps(source.facts)})
        parity = check_parity(source, TorchEngine(partial, provider="cpu"))
        noted = source.facts | {"rtmag.parity": json.dumps(parity.to_dict())}
        torch.export.save(program, partial, extra_files={FACTS: json.dumps(noted)})
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    return parity


CACHE = ".trt-cache"
"""Folder of kernels' timings, beside the output."""


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
) -> Parity | None:
    """Build an engine for this machine's GPU and prove that it computes what the network does.

    Args:
        run: Folder made by `rtmag train`.
        out: The file to write, `.trt.pt2`; the machine it is for is noted beside it.
        name: What the model calls itself.
        size: (width, height), rounded up to what the network can see.
        precision: Of texture and decoder; motion is found in float32 always.
        streams: How many it takes at once, a number; None is one.
        workspace: GiB of GPU memory that building may use.
        force: Build again even where the file there is of these weights and this machine.
        overwrite: Replace a file that is not.

    Returns:
        How far engine and network were apart; None when there was nothing to do.

    Raises:
        MissingExtra: torch-tensorrt or a CUDA GPU is missing.
        ModelIncompatible: the folder holds no usable checkpoint.
        OptionError: no size given, or any number of streams, or the output exists and is something
            else.
        ParityError: the engine computes something else than the network; nothing is written.
    """
    if size is None:
        raise OptionError("--target tensorrt needs --size WxH: an engine is built for one size")
    if streams == ANY:
        raise OptionError("--target tensorrt needs --streams N: an engine is built for one number")
    machine = here()
    source = load_source(run, name=name, size=size, precision=precision, streams=streams)
    if not force and _current(out, source):
        return None
    refuse_existing(out, overwrite=overwrite or force)
    program = _build(source, out.parent / CACHE, workspace)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f"{out.name.removesuffix('.pt2')}.part.pt2")
    try:
        _save(program, source, partial)
        write_sidecar(partial, source.facts | machine)
        parity = check_parity(source, TorchEngine(partial, provider="cuda"), half=True)
        noted = {"rtmag.parity": json.dumps(parity.to_dict())}
        write_sidecar(partial, source.facts | machine | noted)
        partial.replace(out)
        sidecar(partial).replace(sidecar(out))
    finally:
        partial.unlink(missing_ok=True)
        sidecar(partial).unlink(missing_ok=True)
    return parity


def _current(out: Path, source: ExportSource) -> bool:
    """Whether the file is what would be built."""
    if not out.is_file():
        return False
    try:
        facts = read_sidecar(out) or {}
    except ModelIncompatible:
        return False
    return all(facts.get(key) == value for key, value in source.facts.items())


def _build(source: ExportSource, cache: Path, workspace: float) -> Any:
    """Compile on the GPU."""
    import torch_tensorrt

    cache.mkdir(parents=True, exist_ok=True)
    inputs = [each.cuda() for each in source.example()]
    graph = copy.deepcopy(source.graph)  # what it is compared with stays as it is, on the CPU
    graph.floats = True
    return torch_tensorrt.compile(
        graph.cuda(),
        ir="dynamo",
        arg_inputs=inputs,
        min_block_size=1,
        require_full_compilation=False,  # casts of bytes may stay with PyTorch
        disable_tf32=True,  # it rounds what is multiplied to ten bits; see precision.py
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
        extra_files={FACTS: json.dumps(identity(source.facts))},
    )
