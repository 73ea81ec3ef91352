"""Files of a training run, one folder per run. No file is a pickle, so loading runs no code.

model.safetensors    averaged weights, for export and inference
config.json          network configuration and the history of the weights
resume.safetensors   raw weights, averages, Adam moments and counters, for --resume
log.csv              every 2 seconds: step, seconds, learning rate, loss terms, commit
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from rtmag.realtime.atomic import atomic_write
from rtmag.realtime.errors import ModelIncompatible
from rtmag.train.network.config import Config
from rtmag.train.network.growth import grow, is_smaller, refit_matching
from rtmag.train.network.magnet import MagNet, build
from rtmag.train.network.oh2018 import Oh2018


def _write(tensors: Mapping[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    """Save under a temporary name, then rename: after a crash the old file is still complete."""
    with atomic_write(path) as partial:
        save_file({k: v.detach().contiguous() for k, v in tensors.items()}, partial, metadata)


def save(
    folder: Path,
    net: MagNet | Oh2018,
    average: Mapping[str, Tensor],
    optimizer: torch.optim.Optimizer,
    history: dict[str, Any],
) -> None:
    """Write the run's files; a crash afterwards loses only the work since this call.

    Args:
        folder: The run's folder; created if missing.
        net: The network in training.
        average: Its averaged weights.
        optimizer: Adam; its moments are saved.
        history: JSON values: `step`, `seconds`, and the settings of each part of the run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"net.{k}": v for k, v in net.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in average.items()}
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"adam.{index}.{k}": torch.as_tensor(v) for k, v in moments.items()}
    _write(tensors, folder / "resume.safetensors", {"history": json.dumps(history)})
    _write(average, folder / "model.safetensors", {"format": "pt"})
    config = {"config": net.config.to_dict(), "training": history}
    with atomic_write(folder / "config.json") as partial:
        partial.write_text(json.dumps(config, indent=2) + "\n")


def resume(
    folder: Path,
    net: MagNet | Oh2018,
    average: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
) -> dict[str, Any]:
    """Load a run to continue it: fills net, average and optimizer in place.

    Returns:
        The run's history.

    Raises:
        ModelIncompatible: the run is missing, damaged, or has another network.
    """
    path = _resume_file(folder)
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
        if tensor.dim():  # fused Adam needs moments in the memory layout of their weights
            tensor = torch.empty_like(weights[int(index)]).copy_(tensor)
        state.setdefault(int(index), {})[name] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    return history


def start_from(folder: Path, net: MagNet | Oh2018) -> None:
    """Copy another run's averaged weights into `net`.

    A smaller MagNet is grown (train/network/growth.py). Otherwise the weights
    that have the same name and shape in both networks are copied.

    Raises:
        ModelIncompatible: the folder holds no readable weights, or none of them fits.
    """
    own = net.state_dict()
    try:
        other = load_file(folder / "model.safetensors")
    except (OSError, SafetensorError) as error:
        raise ModelIncompatible(
            f"cannot start from {str(folder)!r}: it holds no readable model.safetensors"
        ) from error
    if isinstance(net, MagNet) and is_smaller(other, own):
        net.load_state_dict(grow(other, own))
        refit_matching(net, other)
        return
    fitting = {k: v for k, v in other.items() if k in own and own[k].shape == v.shape}
    if not fitting:
        raise ModelIncompatible(f"cannot start from {str(folder)!r}: none of its weights fits")
    net.load_state_dict(own | fitting)


def read_run(folder: Path) -> tuple[Config, dict[str, Any]]:
    """Network configuration and history of a run that can be resumed.

    Raises:
        ModelIncompatible: files of the run are missing or damaged.
    """
    _resume_file(folder)
    try:
        return _read_config(folder)
    except _UNREADABLE as error:
        raise ModelIncompatible(
            f"cannot resume {str(folder)!r}: config.json is missing, damaged or not rtmag train's"
        ) from error


_UNREADABLE = (OSError, ValueError, KeyError, TypeError)


def _read_config(folder: Path) -> tuple[Config, dict[str, Any]]:
    """Read config.json; raises one of `_UNREADABLE`."""
    content = json.loads((folder / "config.json").read_text())
    return Config(**content["config"]), dict(content["training"])


def _resume_file(folder: Path) -> Path:
    path = folder / "resume.safetensors"
    if not path.is_file():
        raise ModelIncompatible(f"cannot resume {str(folder)!r}: it holds no resume.safetensors")
    return path


def load(folder: Path) -> tuple[MagNet | Oh2018, dict[str, Any]]:
    """Load a run's network with its averaged weights, in inference mode, and its history.

    Raises:
        ModelIncompatible: files are missing or damaged, or do not fit each other.
    """
    try:
        config, history = _read_config(folder)
        net = build(config)
        weights = load_file(folder / "model.safetensors")
        if not all(bool(torch.isfinite(each).all()) for each in weights.values()):
            raise ValueError("weights are NaN or infinite")
        net.load_state_dict(weights)
    except (*_UNREADABLE, RuntimeError, SafetensorError) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else type(error).__name__
        raise ModelIncompatible(
            f"cannot load checkpoint {str(folder)!r}: {reason}; "
            "expected a folder made by rtmag train (config.json, model.safetensors)"
        ) from error
    return net.eval(), history


def copy_weights(net: nn.Module) -> dict[str, Tensor]:
    """Copy the weights, as the initial value of their average."""
    return {k: v.detach().clone() for k, v in net.state_dict().items()}


@torch.no_grad()
def update_average(average: Mapping[str, Tensor], net: nn.Module, decay: float) -> None:
    """Update the exponential average in place: average = decay * average + (1 - decay) * net."""
    for name, value in net.state_dict().items():
        average[name].lerp_(value.to(average[name].dtype), 1 - decay)
