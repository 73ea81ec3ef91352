"""Interpolation of weights: `python -m rtmag.train.blend EARLY LATE OUT [--share 0.5]`.

The last part of a training may improve one thing at the cost of another. Networks on the straight
line between the weights before and after it often keep most of both.

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
        early: A copy of the run's folder from before the last part, or the folder it started from.
        late: The run's folder.
        out: Folder to write. It can be exported and started from, not resumed.
        share: 0 gives `early`, 1 gives `late`.
        surplus: `Config.surplus` of the result; None: that of `late`.
        shortfall: `Config.shortfall` of the result; None: that of `late`.

    Raises:
        ModelIncompatible: a folder holds no usable checkpoint.
        OptionError: the networks differ, `share` is not in [0, 1], or `out` holds weights already.
    """
    if not 0 <= share <= 1:
        raise OptionError(f"share must be between 0 and 1, got {share}")
    if (out / "model.safetensors").exists():
        raise OptionError(f"cannot write {str(out)!r}: it holds weights already")
    (first, early_history), (last, history) = (checkpoint.load(each) for each in (early, late))
    if without_corrections(first.config) != without_corrections(last.config):
        raise OptionError(f"cannot blend {str(early)!r} with {str(late)!r}: not the same network")
    a, b = (load_file(folder / "model.safetensors") for folder in (early, late))
    # If `early` is a copy of the run, its parts are the first parts of `late`. Otherwise it is
    # another run, from which `late` started at step 0.
    parts = early_history.get("parts", [])
    same_run = history.get("parts", [])[: len(parts)] == parts
    from_step = early_history["step"] if same_run else 0
    history["blended"] = {"from_step": from_step, "share": share}
    out.mkdir(parents=True, exist_ok=True)
    save_file({name: a[name].lerp(b[name], share) for name in a}, out / "model.safetensors")
    config = last.config
    if surplus is not None:
        config, history["surplus"] = replace(config, surplus=surplus), surplus
    if shortfall is not None:
        config, history["shortfall"] = replace(config, shortfall=shortfall), shortfall
    facts = {"config": config.to_dict(), "training": history}
    (out / "config.json").write_text(json.dumps(facts, indent=2) + "\n")


def without_corrections(config: Config) -> Config:
    """Copy a configuration without its corrections of the size of motion."""
    return replace(config, surplus=0, shortfall=0)


def main(
    early: Path,
    late: Path,
    out: Path,
    share: Annotated[
        float, typer.Option(help="Position between the two: 0 is EARLY, 1 is LATE.")
    ] = 0.5,
    surplus: Annotated[
        float | None,
        typer.Option(help="Share by which small motion is shown too large, to be subtracted."),
    ] = None,
    shortfall: Annotated[
        float | None,
        typer.Option(help="Share by which large motion is shown too small, to be added."),
    ] = None,
) -> None:
    """Interpolate between the weights of two run folders, EARLY and LATE, and write OUT."""
    blend(early, late, out, share, surplus, shortfall)


if __name__ == "__main__":
    typer.run(main)
