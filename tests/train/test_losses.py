"""Terms of the training loss."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rtmag.train.data.batch import Batch
from rtmag.train.losses import (
    WEIGHTS,
    Objective,
    edge_loss,
    flow_loss,
    gain_loss,
    l1,
    local_contrast,
    still_loss,
    velocity_loss,
    visibility,
)
from rtmag.train.network.config import Config
from rtmag.train.network.magnet import MagNet
from rtmag.train.network.oh2018 import Oh2018
from tests.support import small


class Recorder(nn.Module):
    """A net whose texture is the red plane and whose shape is the blue one; its output is fixed."""

    def __init__(self, out: Tensor) -> None:
        super().__init__()
        self.config = small.OH2018
        self.out = out
        self.decoded: dict[str, Tensor] = {}

    def encode(self, image: Tensor) -> tuple[Tensor, Tensor]:
        return image[:, 2:], image[:, :1]

    def decode(
        self, image: Tensor, texture: Tensor, shape: Tensor, difference: Tensor, alpha: Tensor
    ) -> Tensor:
        self.decoded = {
            "image": image, "texture": texture, "shape": shape,
            "difference": difference, "alpha": alpha,
        }  # fmt: skip
        return self.out


def objective(net: Any, weights: dict[str, float] | None = None) -> Objective:
    return Objective(net, weights)


def flat(*levels: tuple[float, float, float]) -> Batch:
    """Pictures of one BGR colour each, in the order of Batch."""
    pictures = [torch.tensor(c).reshape(1, 3, 1, 1).expand(1, 3, 8, 8) for c in levels]
    return Batch(*pictures, alpha=torch.tensor([4.0]))  # type: ignore[misc]


def test_the_network_gets_frames_a_and_b_and_the_texture_of_b() -> None:
    batch = small.batch()
    net = Recorder(batch.amplified)
    objective(net)(batch)
    assert torch.equal(net.decoded["image"], batch.frame_b)
    assert torch.equal(net.decoded["texture"], batch.frame_b[:, 2:])
    assert torch.equal(net.decoded["difference"], batch.frame_b[:, :1] - batch.frame_a[:, :1])
    assert torch.equal(net.decoded["alpha"], batch.alpha)


def test_each_term_of_the_paper() -> None:
    #            a             b             c             amplified
    batch = flat((0, 0, 0.1), (0.5, 0, 0.3), (0.8, 0, 0.6), (0, 0, 0.7))
    out = batch.amplified + 0.25
    terms = objective(Recorder(out))(batch)
    assert {name: round(float(value), 5) for name, value in terms.items()} == {
        "reconstruction": 0.25,
        "texture": 0.5,  # red of a and c
        "texture_amplified": 0.4,  # red of b and amplified
        "shape": 0.3,  # blue of b and c
        "total": round(0.25 + 0.1 * (0.5 + 0.4 + 0.3), 5),
    }


def test_the_weights_of_the_paper() -> None:
    assert WEIGHTS["oh2018"] == {
        "reconstruction": 1, "texture": 0.1, "texture_amplified": 0.1, "shape": 0.1
    }  # fmt: skip


def test_weights_can_be_chosen() -> None:
    batch = flat((0, 0, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0))
    terms = objective(Recorder(batch.amplified + 0.5), {"reconstruction": 3.0})(batch)
    assert set(terms) == {"reconstruction", "total"}
    assert float(terms["total"]) == pytest.approx(1.5)


@pytest.mark.parametrize(("config", "kind"), [(small.MAGNET, MagNet), (small.OH2018, Oh2018)])
def test_each_network_has_the_terms_of_its_architecture(config: Config, kind: type) -> None:
    net = small.net(config)
    assert isinstance(net, kind)
    terms = Objective(net)(small.batch())
    weights = WEIGHTS[config.architecture].copy()
    for unknown in ("velocity", "flow", "gain", "still"):  # to these samples
        weights.pop(unknown, None)
    assert set(terms) == {*weights, "total"}
    total = sum(weights[name] * float(terms[name].detach()) for name in weights)
    assert float(terms["total"].detach()) == pytest.approx(total, rel=1e-5)
    terms["total"].backward()
    assert all(p.grad is not None for p in net.parameters())


def test_motion_terms_need_true_flows() -> None:
    net = small.net()
    assert isinstance(net, MagNet)
    batch = small.batch()
    batch.flows = torch.full((2, 4, 8, 8), 3.0)
    terms = Objective(net)(batch)
    assert set(terms) == {"reconstruction", "edges", "velocity", "flow", "gain", "still", "total"}
    weights = WEIGHTS["magnet"]
    total = sum(weights[name] * float(terms[name].detach()) for name in weights)
    assert float(terms["total"].detach()) == pytest.approx(total, rel=1e-5)
    terms["velocity"].backward()
    assert net.manipulator.fine.generators.weight.grad is not None


def test_velocity_loss_is_relative_and_weighted_by_contrast() -> None:
    true = torch.zeros(1, 2, 4, 4)
    true[:, 0] = 8.0
    much, nothing = torch.full((1, 1, 4, 4), 0.3), torch.zeros(1, 1, 4, 4)
    assert float(velocity_loss(true, true, much)) == 0
    wrong = float(velocity_loss(true + torch.tensor([0.0, 4.0])[:, None, None], true, much))
    assert wrong == pytest.approx(0.5 * 0.5**2, rel=0.2)  # half the motion, squared, halved
    assert float(velocity_loss(2 * true, true, nothing)) == 0


def test_flow_loss_starts_at_one_pixel_and_ignores_hidden_cells() -> None:
    true = torch.zeros(1, 2, 4, 4)
    visible, hidden = (
        visibility(torch.zeros(1, 3, 16, 16)),
        visibility(torch.full((1, 3, 16, 16), 0.5)),
    )
    off = torch.tensor([3.0, 4.0])[:, None, None]
    assert float(flow_loss(true + 0.1 * off, true, visible)) == 0
    assert float(flow_loss(true + off, true, visible)) == pytest.approx(4)
    assert float(flow_loss(true + off, true, hidden)) == pytest.approx(4 / 101)


def test_gain_loss_measures_the_bias_of_each_sample() -> None:
    torch.manual_seed(0)
    everywhere = torch.ones(1, 1, 16, 16)
    for length in (0.1, 1.0):
        true = torch.zeros(1, 2, 16, 16)
        true[:, 1] = length
        assert float(gain_loss(true, true, everywhere)) == 0
        assert float(gain_loss(0.7 * true, true, everywhere)) == pytest.approx(0.3, rel=0.15)
        noise = length * torch.randn(1, 2, 16, 16)
        assert float(gain_loss(true + noise, true, everywhere)) < 0.15
    assert float(gain_loss(torch.ones_like(true), torch.zeros_like(true), everywhere)) == 0
    assert float(gain_loss(true, 30 * true, everywhere)) == 0


def test_still_loss_counts_changes_of_still_pixels() -> None:
    flows = torch.zeros(1, 4, 2, 4)
    flows[:, 2, :, 2:] = 0.5  # the right half comes from elsewhere
    change = torch.full((1, 3, 8, 16), -0.1)
    assert float(still_loss(change, flows)) == pytest.approx(0.05)
    change[..., :8] = 0
    assert float(still_loss(change, flows)) == 0


def test_local_contrast_is_the_deviation_around_each_cell() -> None:
    picture = small.image(1, 3, 20, 24)
    found = local_contrast(picture)
    assert found.shape == (1, 1, 5, 6)
    for y, x in ((2, 3), (0, 0), (4, 1)):
        rows, columns = slice(max(4 * y - 4, 0), 4 * y + 8), slice(max(4 * x - 4, 0), 4 * x + 8)
        grey = picture[0].mean(0)[rows, columns]
        assert float(found[0, 0, y, x]) == pytest.approx(float(grey.std(correction=0)), abs=1e-5)


def test_a_perfect_output_costs_nothing() -> None:
    batch = small.batch()
    batch.frame_c = batch.frame_a = batch.amplified = batch.frame_b
    terms = objective(Recorder(batch.amplified))(batch)
    assert not any(float(value) for value in terms.values())


def test_l1_is_the_mean_over_everything() -> None:
    a = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert float(l1(a, torch.zeros_like(a))) == pytest.approx(2.5)


def test_edge_loss_counts_differences_of_neighbours_only() -> None:
    image = small.image(1, 3, 8, 8)
    assert float(edge_loss(image - (image + 0.3))) == pytest.approx(0, abs=1e-6)
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    assert float(edge_loss(ramp)) == pytest.approx(1)
    assert float(edge_loss(ramp.transpose(2, 3))) == pytest.approx(1)
    assert float(edge_loss(ramp + 2 * ramp.transpose(2, 3))) == pytest.approx(3)
