"""What speeds are told against: the network of Oh et al. with random weights.

Its speed does not depend on them, and those that they trained may not be shipped. Nobody looks at
what it shows, so that a minute of proof that the graph computes what the network does is left out.
"""

from pathlib import Path

import torch

from rtmag.export.onnx_target import trace, write
from rtmag.export.trace import traceable
from rtmag.train import checkpoint
from rtmag.train.config import CONFIGS
from rtmag.train.model import build

BASELINE = "oh2018"


def export_baseline(folder: Path) -> Path:
    """Export it into a folder."""
    net = build(CONFIGS[BASELINE])
    optimizer = torch.optim.Adam(net.parameters())
    run, out = folder / BASELINE, folder / f"{BASELINE}.onnx"
    checkpoint.save(run, net, checkpoint.averaged(net), optimizer, {"step": 0})
    source = traceable(run, name=BASELINE, size=None, precision="fp32")
    write(trace(source), source.facts, out)
    return out
