"""Matching of cells with initial weights; the result is zero where nothing moved."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rtmag.train.network.config import CONFIGS
from rtmag.train.network.encoder import levels
from rtmag.train.network.magnet import MagNet
from rtmag.train.network.matching import CENTRE, Matching, differences, displacement_weights
from tests.support import small
from tests.train.test_encoder import picture


@pytest.fixture(scope="module")
def net() -> MagNet:
    torch.manual_seed(0)
    return MagNet(CONFIGS["standard"]).eval()


def found(net: MagNet, dx: float, dy: float, **options: Any) -> list[Tensor]:
    """Results of both levels without the borders, (4, n): x, y in px and two reliabilities."""
    _, before = net.encode(picture(0, 0, **options))
    _, after = net.encode(picture(dx, dy, **options))
    pairs = zip(levels(after), levels(after - before), strict=True)
    matched = [m(*pair)[0] for m, pair in zip(net.manipulator.matches, pairs, strict=False)]
    return [each[:, 4:-4, 4:-4].flatten(1) for each in matched]


@torch.no_grad()
@pytest.mark.parametrize(
    ("level", "motion"),
    [(0, (4.0, 0.0)), (0, (0.0, -5.0)), (0, (-3.6, 4.6)), (1, (8.0, 0.0)), (1, (-6.5, 9.5))],
)
def test_motion_of_a_cell_is_estimated_before_training(
    net: MagNet, level: int, motion: tuple[float, float]
) -> None:
    x, y, moved, _ = found(net, *motion)[level].median(dim=1).values
    # Where to look for what moved: back.
    looked = [float(level + 1) * float(each) for each in (x, y)]
    assert looked == pytest.approx([-motion[0], -motion[1]], abs=0.35 * (level + 1))
    assert moved > 0.9, "another cell than its own"


@torch.no_grad()
def test_motion_within_a_cell_is_left_to_lucas_kanade(net: MagNet) -> None:
    x, y, moved, _ = found(net, 0.3, -0.2)[0].median(dim=1).values
    assert [float(x), float(y)] == pytest.approx([-0.3, 0.2], abs=0.03)
    assert moved < 0.05


@torch.no_grad()
@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("what", ["noise", "flat", "stripes"])
def test_no_change_gives_exactly_zero(net: MagNet, what: str, level: int) -> None:
    image = {
        "noise": small.image(1, 3, 64, 96),
        "flat": torch.full((1, 3, 64, 96), 0.5),
        "stripes": (torch.arange(96) % 8 / 8).expand(1, 3, 64, 96),  # each cell as the next but one
    }[what]
    code = levels(net.encode(image)[1])[level]
    assert not net.manipulator.matches[level](code, torch.zeros_like(code)).any()


def test_the_smallest_error_gets_the_weight() -> None:
    error = torch.full((1, 9, 1, 2), 0.5)
    error[0, 2, 0, 0] = 0.0
    weights = displacement_weights(error)
    assert torch.allclose(weights.sum(1), torch.ones(1, 1, 2))
    assert weights[0, 2, 0, 0] > 0.99
    assert weights[0, CENTRE, 0, 1] == 1, "none is better than the cell itself"
    assert weights[0, :, 0, 1].sum() == 1


@pytest.mark.parametrize("step", [1, 2])
def test_each_cell_is_compared_with_its_former_neighbours(step: int) -> None:
    code, before = small.image(2, 1, 3, 6, 8)
    d = differences(code, code - before, step)
    assert d.shape == (1, 9, 3, 6 // step, 8 // step)
    x, y = 2, 4  # a cell well within, of those that are answered for
    for number, (row, column) in enumerate(np.ndindex(3, 3)):
        there = before[0, :, y + row - 1, x + column - 1]
        assert torch.allclose(d[0, number, :, y // step, x // step], code[0, :, y, x] - there)


def test_only_the_coarsest_channels_are_compared() -> None:
    match = Matching(small.image(12, 48, 3, 3), step=2)
    code, change = small.image(2, 1, 12, 8, 8)
    other = code.clone()
    other[:, Matching.CHANNELS :] = 0
    assert torch.equal(match(code, change), match(other, change))
