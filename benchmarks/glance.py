"""Score training runs in a minute each, to compare small experiments.

    python -m benchmarks.glance RUN... [--untrained NAME]

It runs a part of the quality benchmark (two pairs under some conditions, seven gains on every
picture) on the network itself, without export. It prints one table row per run: SSIM by set,
leak in grey levels, and the smallest and largest gain. The table in
benchmarks/EXPERIMENTS.md consists of such rows.
"""

import statistics
from collections import defaultdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from benchmarks import gain, heldout, pairs
from rtmag.train import checkpoint
from rtmag.train.network.config import CONFIGS
from rtmag.train.network.magnet import MagNet, build
from rtmag.train.network.oh2018 import Oh2018

SETS = ("axial", "noise", "alpha", "large", "contrast", "static")
CASES = ((0.05, 2.0), (0.05, 20.0), (0.1, 5.0), (0.25, 10.0), (0.5, 5.0), (1.0, 2.0), (1.0, 5.0))


class NetworkStepper:
    """A network as a method under comparison, in static mode."""

    def __init__(self, net: MagNet | Oh2018, name: str) -> None:
        self.net = net.eval()
        self.name = name

    @torch.no_grad()
    def step(self, image: Any, alpha: float, _: Any, state: Any) -> tuple[Any, Any]:
        """Magnify motion from the first image."""
        x = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float() / 255
        texture, shape = self.net.encode(x)
        if state is None:
            return image, shape
        out = self.net.decode(x, texture, shape, shape - state, torch.tensor([float(alpha)]))
        levels = (out[0].clamp(0, 1) * 255).round().byte()
        return levels.permute(1, 2, 0).numpy(), state


def conditions() -> list[pairs.Condition]:
    """Conditions of SETS; of the two long sets only some."""
    noises = pairs.NOISES[1::4]
    few = {"axial": (0.04, 0.1, 0.25, 1.0), "noise": noises}
    return [c for c in pairs.conditions() if c.set in SETS and c.at in few.get(c.set, (c.at,))]


def table_row(net: NetworkStepper, pictures: list[Any]) -> str:
    """Score one network; return its row of the table."""
    scores: dict[str, list[dict[str, float]]] = defaultdict(list)
    for condition in conditions():
        for pair in pairs.pairs(condition, pictures, 2):
            scores[condition.set].append(pairs.score(net, pair, condition.alpha))
    gains = [gain.gain(net, picture, *case) for case in CASES for picture in pictures]
    cells = [f"{statistics.mean(s['ssim'] for s in scores[name]):.3f}" for name in SETS]
    cells.append(f"{statistics.mean(s['leak'] for s in scores['static']):.1f}")
    return " | ".join([net.name, *cells, f"{min(gains):.2f} to {max(gains):.2f}"])


def main(
    runs: Annotated[list[Path] | None, typer.Argument(help="Folders of training runs.")] = None,
    untrained: Annotated[
        list[str] | None, typer.Option(help="Configuration before training; repeatable.")
    ] = None,
) -> None:
    """Score runs."""
    pictures = list(heldout.pictures().values())
    print("| " + " | ".join(["experiment", *SETS, "leak", "gain"]) + " |")
    for name in untrained or []:
        torch.manual_seed(0)
        net = NetworkStepper(build(CONFIGS[name]), f"{name}, untrained")
        print(f"| {table_row(net, pictures)} |", flush=True)
    for run in runs or []:
        net = NetworkStepper(checkpoint.load(run)[0], run.name)
        print(f"| {table_row(net, pictures)} |", flush=True)


if __name__ == "__main__":
    typer.run(main)
