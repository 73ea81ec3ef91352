"""One folder per run: weights, what rebuilds them, and what continues them. Never pickle.

model.safetensors    averaged weights: what export and inference use
config.json          network configuration and how the weights came about
resume.safetensors   raw weights, averages, Adam moments and counters: what --resume needs
log.csv              a line per report: step, seconds, learning rate, loss terms, commit
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from rtmag.realtime.errors import ModelIncompatible
from rtmag.train.network.config import Config
from rtmag.train.network.growth import grow, is_smaller, refit_matching
from rtmag.train.network.magnet import MagNet, build
from rtmag.train.network.oh2018 import Oh2018


def _write(tensors: Mapping[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    """Save beside the target, then rename: a crash leaves the old file whole."""
    partial = path.with_suffix(".part")
    save_file({k: v.detach().contiguous() for k, v in tensors.items()}, partial, metadata)
    partial.replace(path)


def save(
    folder: Path,
    net: MagNet | Oh2018,
    average: Mapping[str, Tensor],
    optimizer: torch.optim.Optimizer,
    history: dict[str, Any],
) -> None:
    """Write the run so that at most the time since this call can be lost.

    Args:
        folder: The run's folder.
        net: The network being trained.
        average: Its averaged weights.
        optimizer: Adam, whose moments are kept.
        history: JSON values: `step`, `seconds` and how the weights came about.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"net.{k}": v for k, v in net.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in average.items()}
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"adam.{index}.{k}": torch.as_tensor(v) for k, v in moments.items()}
    _write(tensors, folder / "resume.safetensors", {"history": json.dumps(history)})
    _write(average, folder / "model.safetensors", {"format": "pt"})
    config = {"config": net.config.to_dict(), "training": history}
    partial = folder / "config.json.part"
    partial.write_text(json.dumps(config, indent=2) + "\n")
    partial.replace(folder / "config.json")


def resume(
    folder: Path,
    net: MagNet | Oh2018,
    average: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
) -> dict[str, Any]:
    """Continue a run in place: fills net, average and optimizer, returns the history.

    Raises:
        ModelIncompatible: nothing to continue, damaged, or of another network.
    """
    path = folder / "resume.safetensors"
    if not path.is_file():
        raise ModelIncompatible(f"cannot resume {str(folder)!r}: it holds no resume.safetensors")
    parts: dict[str, dict[str, Tensor]] = {"net": {}, "average": {}, "adam": {}}
    try:
        with safe_open(path, framework="pt") as file:
            history: dict[str, Any] = json.loads(file.metadata()["history"])
            for key in file.keys():  # noqa: SIM118 - not a dict
                part, _, name = key.partition(".")
                parts[part][name] = file.get_tensor(key)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ModelIncompatible(
            f"cannot resume {str(folder)!r}: resume.safetensors is damaged or not rtmag train's"
        ) from error
    try:
        net.load_state_dict(parts["net"])
    except RuntimeError as error:
        raise ModelIncompatible(
            f"cannot resume {str(folder)!r}: it was trained with another network"
        ) from error
    for name, tensor in parts["average"].items():
        average[name].copy_(tensor)
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in parts["adam"].items():
        index, _, name = key.partition(".")
        if tensor.dim():  # fused Adam walks memory: moments must lie there as their weights do
            tensor = torch.empty_like(weights[int(index)]).copy_(tensor)
        state.setdefault(int(index), {})[name] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    return history


def start_from(folder: Path, net: MagNet | Oh2018) -> None:
    """Take over another run's weights: all of them, a smaller network's, or as many as fit.

    Raises:
        ModelIncompatible: no weights are there, or none of them fits.
    """
    own = net.state_dict()
    try:
        given = load_file(folder / "model.safetensors")
    except (OSError, SafetensorError) as error:
        raise ModelIncompatible(f"cannot start from {str(folder)!r}: no weights there") from error
    if isinstance(net, MagNet) and is_smaller(given, own):
        net.load_state_dict(grow(given, own))
        refit_matching(net, given)
        return
    fit = {k: v for k, v in given.items() if k in own and own[k].shape == v.shape}
    if not fit:
        raise ModelIncompatible(f"cannot start from {str(folder)!r}: none of its weights fits")
    net.load_state_dict(own | fit)


def load(folder: Path) -> tuple[MagNet | Oh2018, dict[str, Any]]:
    """The trained network of a run's folder, ready for inference, and how it came about.

    Raises:
        ModelIncompatible: files are missing, damaged or do not fit each other.
    """
    try:
        described = json.loads((folder / "config.json").read_text())
        net = build(Config(**described["config"]))
        weights = load_file(folder / "model.safetensors")
        if not all(bool(torch.isfinite(each).all()) for each in weights.values()):
            raise ValueError("weights that are not numbers")
        net.load_state_dict(weights)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else type(error).__name__
        raise ModelIncompatible(
            f"cannot load checkpoint {str(folder)!r}: {reason}; "
            "expected a folder made by rtmag train (config.json, model.safetensors)"
        ) from error
    return net.eval(), dict(described["training"])


def copy_weights(net: nn.Module) -> dict[str, Tensor]:
    """A copy of the weights, to be averaged over steps."""
    return {k: v.detach().clone() for k, v in net.state_dict().items()}


@torch.no_grad()
def update_average(average: Mapping[str, Tensor], net: nn.Module, decay: float) -> None:
    """Move the exponential average towards the weights."""
    for name, value in net.state_dict().items():
        average[name].lerp_(value.to(average[name].dtype), 1 - decay)
