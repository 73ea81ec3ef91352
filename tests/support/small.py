"""Minimal networks, scenes and data sets for tests."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from rtmag.realtime.filters import Static, Temporal
from rtmag.realtime.opencv import cv2
from rtmag.train import checkpoint
from rtmag.train.data import textures
from rtmag.train.data.batch import Batch
from rtmag.train.losses import Objective
from rtmag.train.network.config import Config
from rtmag.train.network.magnet import MagNet, build
from rtmag.train.network.oh2018 import Oh2018

MAGNET = Config(channels=4, width=4, blocks=1)
MATCHING = dataclasses.replace(MAGNET, matching=True)
OH2018 = Config(architecture="oh2018", channels=4, width=8, blocks=1)


def net(config: Config = MAGNET, seed: int = 0) -> MagNet | Oh2018:
    """A network with random weights, none of them zero."""
    torch.manual_seed(seed)
    made = build(config)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    return made


def image(*shape: int, seed: int = 0) -> Tensor:
    """Uniform noise in [0, 1]."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def batch(count: int = 2, size: int = 32, seed: int = 0) -> Batch:
    """Four unrelated pictures per sample, alpha 5."""
    pictures = [image(count, 3, size, size, seed=4 * seed + k) for k in range(4)]
    return Batch(*pictures, alpha=torch.full((count,), 5.0))  # type: ignore[misc]


def bank(count: int = 4, size: int = 64, **options: Any) -> textures.Bank:
    """A small bank of textures, fast to make."""
    return textures.Bank.make(count=count, size=size, **options)


def picture(path: Path, colour: tuple[int, int, int] = (0, 0, 255), side: int = 64) -> Path:
    """Write a picture of one BGR colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((side, side, 3), colour, np.uint8)
    assert cv2.imwrite(str(path), image)
    return path


def published(root: Path, count: int = 6, side: int = 48) -> Path:
    """A data set in the layout of Oh et al.; picture k of sample i has grey level 10 k + i."""
    for k, folder in enumerate(("frameA", "frameB", "frameC", "amplified")):
        for i in range(count):
            picture(root / "train" / folder / f"{i:06d}.png", (10 * k + i,) * 3, side)
    lines = [f"{i + 1.5}" for i in range(count)]
    (root / "train" / "train_mf.txt").write_text("\n".join(lines) + "\n")
    return root


def textured(height: int, width: int, shift: float = 0.0) -> NDArray[np.uint8]:
    """Waves in many directions, shifted to the right by `shift` px."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    rng = np.random.default_rng(3)
    total = np.zeros((height, width, 3))
    for _ in range(30):
        fx, fy = rng.uniform(-0.8, 0.8, 2)
        total += np.cos(fx * (x - shift) + fy * y + rng.uniform(0, 6))[..., None] * rng.normal(
            0, 1, 3
        )
    return np.clip(128 + 15 * total, 0, 255).astype(np.uint8)


def trained(config: Config, folder: Path) -> Path:
    """Write the folder of a run of two steps from random weights."""
    torch.manual_seed(0)
    net = build(config)
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    for step in range(2):
        optimizer.zero_grad()
        Objective(net)(batch(count=1, seed=step))["total"].backward()
        optimizer.step()
    history = {"step": 2, "commit": "abc", "seed": 0}
    checkpoint.save(folder, net, checkpoint.copy_weights(net), optimizer, history)
    return folder


def exported(run: Path, out: Path, **options: Any) -> Path:
    """Export a run to ONNX; export's own comparison with the network is shortened."""
    from rtmag.export import parity
    from rtmag.export.onnx_export import export_onnx

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parity, "ALPHAS", (20.0,))
        patch.setattr(parity, "FILTERS", (Static(), Temporal(0.5, 3, order=2)))
        patch.setattr(parity.clip, "__defaults__", (8,))
        export_onnx(run, out, name="tiny", **options)
    return out
