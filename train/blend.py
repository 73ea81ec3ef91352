"""Weights between two points of a run: `python -m rtmag.train.blend EARLY LATE OUT [--share 0.5]`.

What a last phase of training gains in one respect it may cost in another; on the straight line
between its beginning and its end lie networks that keep most of both.

References:
    M. Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from safetensors.torch import load_file, save_file

from rtmag.realtime.errors import OptionError
from rtmag.train import checkpoint
from rtmag.train.network.config import Config


def blend(
    early: Path,
    late: Path,
    out: Path,
    share: float = 0.5,
    surplus: float | None = None,
    shortfall: float | None = None,
) -> None:
    """Write weights that are `share` of the way from one run folder to another.

    Args:
        early: A copy of the run's folder, made before the last phase, or what it began from.
        late: The run's folder.
        out: Folder to write; it can be exported, not resumed.
        share: 0 is `early`, 1 is `late`.
        surplus: What the network is to take off its motions (network/config.py); None: as `late`.
        shortfall: What it is to add to large ones; None: as `late`.

    Raises:
        ModelIncompatible: a folder holds no usable checkpoint.
        OptionError: the networks are not the same, the share is none, or the output exists.
    """
    if not 0 <= share <= 1:
        raise OptionError(f"share must be between 0 and 1, got {share}")
    if (out / "model.safetensors").exists():
        raise OptionError(f"cannot write {str(out)!r}: it holds weights already")
    (first, begun), (last, history) = (checkpoint.load(folder) for folder in (early, late))
    if neutral(first.config) != neutral(last.config):
        raise OptionError(f"cannot blend {str(early)!r} with {str(late)!r}: not the same network")
    a, b = (load_file(folder / "model.safetensors") for folder in (early, late))
    # A copy of the run itself lies within it; another run is what this one began from.
    before = begun.get("parts", [])
    own = history.get("parts", [])[: len(before)] == before
    history["blended"] = {"from_step": begun["step"] if own else 0, "share": share}
    out.mkdir(parents=True, exist_ok=True)
    save_file({name: a[name].lerp(b[name], share) for name in a}, out / "model.safetensors")
    config = last.config
    if surplus is not None:
        config, history["surplus"] = replace(config, surplus=surplus), surplus
    if shortfall is not None:
        config, history["shortfall"] = replace(config, shortfall=shortfall), shortfall
    facts = {"config": config.to_dict(), "training": history}
    (out / "config.json").write_text(json.dumps(facts, indent=2) + "\n")


def neutral(config: Config) -> Config:
    """The same network, with motions as it finds them."""
    return replace(config, surplus=0, shortfall=0)


def main(
    early: Path,
    late: Path,
    out: Path,
    share: Annotated[float, typer.Option(help="0: EARLY, 1: LATE.")] = 0.5,
    surplus: Annotated[
        float | None, typer.Option(help="Share of small motion that is shown too much.")
    ] = None,
    shortfall: Annotated[
        float | None, typer.Option(help="Share of large motion that is not shown.")
    ] = None,
) -> None:
    """Blend the weights of two folders of one run."""
    blend(early, late, out, share, surplus, shortfall)


if __name__ == "__main__":
    typer.run(main)
