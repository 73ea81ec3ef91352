"""Changes of light are told from motion, and taken out of the change of a code."""

import functools
from pathlib import Path

import pytest
import torch
from torch import Tensor

from rtmag.train import checkpoint
from rtmag.train.network.encoder import levels
from rtmag.train.network.light import light_codes
from rtmag.train.network.magnet import MagNet
from tests.train.test_encoder import picture

CHECKPOINTS = Path(__file__).parents[2] / "train" / "checkpoints"
PLACE = torch.linspace(-1, 1, 128)[:, None]  # from the first row to the last
LIGHTS: dict[str, float | Tensor] = {
    "brighter by a twentieth": 1.05,
    "brighter by a seventh": 1.15,
    "darker by a fifth": 0.8,
    "brighter below": 1 + 0.1 * PLACE,
    "brighter to the right": 1 + 0.1 * PLACE.T,
    "rolling bands": 1 + 0.08 * torch.sin(6 * PLACE),
}


@functools.cache
def shipped(name: str) -> MagNet:
    """A network with the built-in weights."""
    net = checkpoint.load(CHECKPOINTS / name)[0].eval()
    assert isinstance(net, MagNet)
    return net


def energy(code: Tensor) -> float:
    """Mean square."""
    return float(code.square().mean())


@torch.no_grad()
@pytest.mark.parametrize("light", LIGHTS)
def test_the_code_of_a_light_is_what_it_changes(light: str) -> None:
    net = shipped("fast")
    before = net.encode(picture(0, 0))[1]
    after = net.encode(picture(0, 0) * LIGHTS[light])[1]
    expected = light_codes(after, after - before, net.encoder.kernels())
    for code, change in zip(expected, levels(after - before), strict=True):
        assert energy(change - code) < 0.15 * energy(change)


@torch.no_grad()
@pytest.mark.parametrize("name", ["fast", "standard"])
@pytest.mark.parametrize("light", LIGHTS)
def test_a_still_picture_in_another_light_does_not_move(light: str, name: str) -> None:
    net, still = shipped(name), picture(0, 0)
    image = still * LIGHTS[light]
    shown = net(still, image, torch.tensor([20.0]))
    unrest = (shown - image).abs().mean()
    assert float(unrest) < 1.2 / 255


@torch.no_grad()
@pytest.mark.parametrize("name", ["fast", "standard"])
@pytest.mark.parametrize("motion", [(0.1, 0.0), (0.0, -0.5), (3.0, 2.0)])
def test_motion_is_no_light(name: str, motion: tuple[float, float]) -> None:
    net = shipped(name)
    before, after = (net.encode(picture(*each))[1] for each in ((0, 0), motion))
    change = levels(after - before)[0]
    _, moved = net.velocities(after, after - before)
    assert energy(moved - change) < 0.01 * energy(change)


@torch.no_grad()
def test_motion_is_measured_while_the_light_changes() -> None:
    net = shipped("fast")
    before = net.encode(picture(0, 0))[1]
    found = []
    for light in (1.0, 1.1):
        after = net.encode(light * picture(0.2, -0.1))[1]
        found.append(net.velocities(after, after - before)[0][0, :2, 8:-8, 8:-8].mean((1, 2)))
    steady, changed = found
    assert float((changed - steady).norm()) < 0.15 * float(steady.norm())


@torch.no_grad()
def test_added_light_changes_nothing() -> None:
    """A veil adds the same to every pixel, and does not scale the texture."""
    net = shipped("fast")
    before, after = (net.encode(x)[1] for x in (picture(0, 0), picture(0, 0) + 0.1))
    velocities, moved = net.velocities(after, after - before)
    assert float(moved.abs().max()) < 1e-4
    assert float(velocities.abs().max()) < 1e-2


@torch.no_grad()
def test_a_filtered_change_of_light_is_removed_in_proportion() -> None:
    """A temporal filter passes a part of the change, of either sign."""
    net = shipped("fast")
    before, after = (net.encode(picture(0, 0) * light)[1] for light in (1.0, 1.1))
    for passed in (1.0, 0.01, -0.5):
        change = passed * (after - before)
        velocities, moved = net.velocities(after, change)
        assert energy(moved) < 1e-4 * energy(levels(change)[0])
        assert float(velocities[:, :6].abs().max()) < 0.01 * abs(passed)
