import dataclasses
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from rtmag.train import checkpoint
from rtmag.train.network.config import Config
from rtmag.train.network.growth import grow, is_smaller
from rtmag.train.network.lucas_kanade import generators
from rtmag.train.network.magnet import MagNet, build
from rtmag.train.network.matching import Matching
from tests.support import small

LARGER = (
    Config(channels=6, width=4, blocks=1),
    Config(channels=4, width=8, blocks=1),
    Config(channels=4, width=4, blocks=3),
    Config(channels=8, width=12, blocks=2),
)
MATCHING = Config(channels=8, width=8, blocks=2, matching=True)
PAIR = small.image(1, 3, 48, 64, seed=1), small.image(1, 3, 48, 64, seed=2)
ALPHA = torch.tensor([5.0])


def larger(config: Config) -> MagNet:
    """A network with its initial weights, some of which are zero."""
    torch.manual_seed(3)
    net = build(config)
    assert isinstance(net, MagNet)
    return net


@pytest.mark.parametrize("config", LARGER)
def test_a_larger_network_computes_what_the_smaller_one_does(
    config: Config, tmp_path: Path
) -> None:
    checkpoint.start_from(small.trained(small.MAGNET, tmp_path), net := larger(config))
    before, _ = checkpoint.load(tmp_path)
    with torch.no_grad():
        expected, unlike = before(*PAIR, ALPHA), larger(config)(*PAIR, ALPHA)
        assert torch.allclose(net(*PAIR, ALPHA), expected, atol=1e-5)
        assert not torch.allclose(unlike, expected, atol=1e-3)


def test_matching_has_little_weight_at_first_and_fits_the_kernels(tmp_path: Path) -> None:
    checkpoint.start_from(small.trained(small.MAGNET, tmp_path), net := larger(MATCHING))
    before, _ = checkpoint.load(tmp_path)
    with torch.no_grad():
        expected = before(*PAIR, ALPHA)
        off = (net(*PAIR, ALPHA) - expected).abs().mean()
        assert off < 0.1 * (expected - PAIR[1]).abs().mean()
    for match, kernels in zip(net.manipulator.matches, net.encoder.kernels(), strict=True):
        assert isinstance(match, Matching)
        known = generators(kernels[: match.CHANNELS])
        assert torch.equal(match.near.generators.weight[..., 0, 0], known)


def test_trained_matching_is_kept(tmp_path: Path) -> None:
    learnt = small.net(dataclasses.replace(MATCHING, blocks=1))
    save_file(learnt.state_dict(), tmp_path / "model.safetensors")
    checkpoint.start_from(tmp_path, net := larger(dataclasses.replace(MATCHING, channels=12)))
    with torch.no_grad():
        assert torch.allclose(net(*PAIR, ALPHA), learnt(*PAIR, ALPHA), atol=1e-4)


def test_new_channels_get_gradients() -> None:
    net = larger(LARGER[-1])
    net.load_state_dict(grow(small.net().state_dict(), net.state_dict()))
    net(*PAIR, ALPHA).square().mean().backward()
    for name in ("mix", "correction"):
        gradient = getattr(net.decoder, name).weight.grad
        assert gradient is not None and gradient[:, -1].abs().max() > 0, name
    generators = net.manipulator.fine.generators.weight.grad
    assert generators is not None and generators[-1].abs().max() > 0


def test_only_a_smaller_network_is_grown() -> None:
    weights = [small.net(config).state_dict() for config in (small.MAGNET, LARGER[-1])]
    assert is_smaller(*weights)
    assert not is_smaller(*reversed(weights))
    assert not is_smaller(weights[0], weights[0])
    assert not is_smaller(small.net(small.OH2018).state_dict(), weights[1])
