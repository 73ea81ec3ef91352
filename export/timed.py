"""Graphs that are only timed: nobody looks at what they show.

That the graph computes what the network does is not proved, which takes a minute with the network
of Oh et al. Its weights are random, as its speed does not depend on them, and those of its authors
may not be shipped.
"""

from pathlib import Path

import torch

from rtmag.export.onnx_target import trace, write
from rtmag.export.precision import Precision
from rtmag.export.trace import traceable
from rtmag.realtime.bench import BASELINE
from rtmag.train import checkpoint
from rtmag.train.config import CONFIGS
from rtmag.train.model import build


def export_timed(
    run: Path, out: Path, *, name: str, precision: Precision = "fp32", streams: str | None = None
) -> Path:
    """Export a training run's weights for any size; raises as `export_onnx`."""
    source = traceable(run, name=name, size=None, precision=precision, streams=streams)
    write(trace(source), source.facts, out)
    return out


def export_baseline(folder: Path) -> Path:
    """Export the untrained baseline into a folder."""
    net = build(CONFIGS[BASELINE])
    optimizer = torch.optim.Adam(net.parameters())
    run = folder / BASELINE
    checkpoint.save(run, net, checkpoint.averaged(net), optimizer, {"step": 0})
    return export_timed(run, folder / f"{BASELINE}.onnx", name=BASELINE)
