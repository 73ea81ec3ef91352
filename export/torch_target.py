"""Checkpoint -> a program that PyTorch runs by itself: `rtmag export --target pt2`."""

import json
from pathlib import Path

import torch

from rtmag.export.parity import Parity, prove
from rtmag.export.precision import Precision
from rtmag.export.trace import Size, refuse_existing, traceable
from rtmag.realtime.program import FACTS
from rtmag.realtime.torch_engine import TorchEngine


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
    source = traceable(run, name=name, size=size, precision=precision, streams=streams)
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
        parity = prove(source, TorchEngine(partial, provider="cpu"))
        noted = source.facts | {"rtmag.parity": json.dumps(parity.to_dict())}
        torch.export.save(program, partial, extra_files={FACTS: json.dumps(noted)})
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    return parity
