"""The networks: size and cost, invariances, and sampling positions."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from rtmag.export.source import Cost, cost
from rtmag.train.network.config import CONFIGS, Config
from rtmag.train.network.decoder import Decoder
from rtmag.train.network.encoder import Encoder, brightness, levels, pad_border
from rtmag.train.network.layers import channel_sum, upsample, warp
from rtmag.train.network.magnet import MagNet, build
from rtmag.train.network.oh2018 import _halve
from tests.support import small


def test_oh2018_has_the_size_of_the_authors_network() -> None:
    net = build(CONFIGS["oh2018"])
    assert not any(m.bias is not None for m in net.modules() if isinstance(m, nn.Conv2d))
    assert cost(net) == Cost(parameters=918_928, macs=240_208)


@pytest.mark.parametrize(
    ("name", "macs", "most"),
    [("fast", 2_539, 3_000), ("standard", 9_194, 10_000), ("large", 57_569, 60_000)],
)
def test_magnet_keeps_its_budget(name: str, macs: int, most: int) -> None:
    """The README pages and the model cards have these numbers."""
    assert cost(build(CONFIGS[name])).macs == macs <= most


@pytest.mark.parametrize("name", CONFIGS)
def test_shapes_have_the_size_of_the_stride(name: str) -> None:
    net = build(CONFIGS[name])
    texture, shape = net.encode(torch.zeros(2, 3, 32, 48))
    channels = 32 if name == "oh2018" else net.config.channels
    assert texture.shape == (2, channels, 8, 12)
    assert shape.shape == (2, net.shape_channels, 32 // net.stride, 48 // net.stride)
    assert net(*small.image(2, 1, 3, 32, 48), torch.tensor([3.0])).shape == (1, 3, 32, 48)


@pytest.mark.parametrize("config", [small.MAGNET, small.MATCHING, small.OH2018])
def test_a_config_rebuilds_its_network(config: Config) -> None:
    again = build(Config(**config.to_dict()))
    again.load_state_dict(small.net(config).state_dict())
    assert again.config == config


def test_an_unknown_architecture_is_refused() -> None:
    with pytest.raises(ValueError, match="'magnet' or 'oh2018', got 'unet'"):
        build(dataclasses.replace(small.MAGNET, architecture="unet"))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("config", [small.MAGNET, small.MATCHING])
@pytest.mark.parametrize(("alpha", "moves"), [(1.0, True), (20.0, False), (0.0, False)])
def test_no_motion_and_alpha_one_change_nothing(
    alpha: float, moves: bool, config: Config, seed: int
) -> None:
    net = small.net(config, seed=seed)
    assert isinstance(net, MagNet)
    image, reference = small.image(2, 1, 3, 32, 48, seed=seed)
    texture, shape = net.encode(image)
    difference = shape - net.encode(reference)[1] if moves else torch.zeros_like(shape)
    flow = net.motion(texture, shape, difference, torch.tensor([alpha]))
    assert not flow.any()
    out = net.decode(image, texture, shape, difference, torch.tensor([alpha]))
    # A warp by nothing still computes its coordinates, in 24 bits.
    assert torch.allclose(out, image, atol=1e-5)


def test_motion_changes_the_picture() -> None:
    image, reference = small.image(2, 1, 3, 32, 48)
    out = small.net()(reference, image, torch.tensor([20.0]))
    assert (out - image).abs().mean() > 0.01


def lengths(alpha: float, **changes: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Lengths of the flows, in px, of two networks with equal weights and other settings."""
    given = small.net()
    other = build(dataclasses.replace(given.config, **changes))  # type: ignore[arg-type]
    other.load_state_dict(given.state_dict())
    assert isinstance(given, MagNet)
    assert isinstance(other, MagNet)
    image, reference = small.image(2, 1, 3, 32, 48)
    texture, shape = given.encode(image)
    motion = texture, shape, shape - given.encode(reference)[1], torch.tensor([alpha])
    return given.motion(*motion).norm(dim=1), other.motion(*motion).norm(dim=1)


def test_a_surplus_reduces_small_motion_only() -> None:
    for alpha in (1.01, 20.0):
        before, after = lengths(alpha, surplus=0.1)
        off = 1 - after / before
        assert torch.allclose(off, 0.1 / (1 + (before / Decoder.SMALL_MOTION) ** 2), atol=1e-4)
    assert before.max() > 2 * Decoder.SMALL_MOTION


def test_a_shortfall_enlarges_large_motion_only() -> None:
    for alpha in (1.01, 200.0):
        before, after = lengths(alpha, shortfall=0.1)
        share = (before / Decoder.LARGE_MOTION) ** 4
        assert torch.allclose(after / before - 1, 0.1 * share / (1 + share), atol=1e-4)
    assert before.max() > Decoder.LARGE_MOTION


def test_oh2018_ignores_alpha_where_nothing_moves() -> None:
    net, image = small.net(small.OH2018), small.image(1, 3, 32, 32)
    one, many = (net(image, image, torch.tensor([a])) for a in (1.0, 50.0))
    assert torch.equal(one, many)


def test_each_sample_has_its_own_alpha() -> None:
    net = small.net()
    a, b = small.image(2, 2, 3, 32, 32)
    both = net(a, b, torch.tensor([3.0, 30.0]))
    apart = [net(a[i : i + 1], b[i : i + 1], torch.tensor(f)) for i, f in enumerate((3.0, 30.0))]
    assert torch.allclose(both, torch.cat(apart), atol=1e-3)


def test_shape_is_linear_in_the_image() -> None:
    net = small.net()
    a, b = small.image(2, 1, 3, 32, 32)
    mixed = net.encode(0.3 * a + 0.7 * b)[1]
    assert torch.allclose(mixed, 0.3 * net.encode(a)[1] + 0.7 * net.encode(b)[1], atol=1e-5)


def test_codes_ignore_uniform_brightness() -> None:
    net, image = small.net(), small.image(1, 3, 32, 32)
    shape, brighter, plain = (
        net.encode(x)[1] for x in (image, image + 0.2, torch.full_like(image, 0.9))
    )
    for code, other, none in zip(*map(levels, (shape, brighter, plain)), strict=True):
        assert torch.allclose(code, other, atol=1e-5)
        assert none.abs().max() < 1e-5
    assert torch.allclose(brightness(brighter), brightness(shape) + 0.2, atol=1e-5)
    cells = F.avg_pool2d(image, 4).mean(1, keepdim=True)
    assert torch.allclose(brightness(shape), cells, atol=1e-5)


def test_shape_stays_exact_under_autocast() -> None:
    torch.manual_seed(0)
    encoder, image = Encoder(4), pad_border(small.image(1, 3, 32, 32))
    expected = encoder(image)[1]
    with torch.autocast("cpu", torch.bfloat16):
        found = encoder(image)[1]
    assert found.dtype is torch.float32
    assert torch.equal(found, expected)


@pytest.mark.parametrize("config", [small.MAGNET, small.MATCHING, small.OH2018])
def test_every_weight_gets_a_gradient(config: Config) -> None:
    net = small.net(config)
    a, b = small.image(2, 2, 3, 32, 32)
    net(a, b, torch.tensor([5.0, 9.0])).square().mean().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("tap", [(0, 0), (1, 1), (2, 2), (0, 2)])
def test_a_convolution_with_stride_2_is_padded_as_in_tensorflow(tap: tuple[int, int]) -> None:
    """SAME, kernel 3, stride 2, even size: nothing before, one zero after."""
    layer = _halve(1, 1)
    weight = torch.zeros(1, 1, 3, 3)
    weight[0, 0, tap[0], tap[1]] = 1
    with torch.no_grad():
        next(layer.parameters()).copy_(weight)
    image = small.image(1, 1, 8, 12)
    expected = F.pad(image, (0, 1, 0, 1))[..., tap[0] : tap[0] + 8 : 2, tap[1] : tap[1] + 12 : 2]
    assert torch.equal(layer(image), expected)


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (3, 0), (0, -2), (-5, 4)])
def test_a_warp_by_whole_pixels_is_a_shift(dx: int, dy: int) -> None:
    image = small.image(1, 3, 20, 24)
    flow = torch.tensor([dx, dy], dtype=torch.float32).reshape(1, 2, 1, 1).expand(1, 2, 20, 24)
    y, x = np.clip(np.arange(20) + dy, 0, 19), np.clip(np.arange(24) + dx, 0, 23)
    assert torch.allclose(warp(image, flow), image[:, :, y][..., x], atol=1e-4)


def test_a_warp_interpolates_between_pixels() -> None:
    ramp = torch.arange(24.0).expand(1, 1, 20, 24)
    flow = torch.tensor([0.25, 0.5]).reshape(1, 2, 1, 1).expand(1, 2, 20, 24)
    assert torch.allclose(warp(ramp, flow)[..., :-1], ramp[..., :-1] + 0.25, atol=1e-4)


@pytest.mark.parametrize("scale", [2, 4])
def test_upsampling_is_bilinear(scale: int) -> None:
    x = torch.randn(2, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    known = F.interpolate(x, scale_factor=float(scale), mode="bilinear")
    torch.testing.assert_close(upsample(x, scale), known)
    with torch.autocast("cpu"):
        assert upsample(x, scale).dtype is torch.float32


def test_channel_sums_are_sums_over_channels() -> None:
    x = torch.randn(2, 9, 5, 7, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(channel_sum(x), x.sum(1, keepdim=True))
    with torch.autocast("cpu"):
        assert channel_sum(x).dtype is torch.float32


def test_mixing_parts_equals_mixing_their_concatenation() -> None:
    decoder = Decoder(CONFIGS["standard"])
    x = torch.randn(1, decoder.mix.in_channels, 5, 7, generator=torch.Generator().manual_seed(0))
    parts = [x[:, :32], x[:, 32:64], x[:, 64:]]
    torch.testing.assert_close(decoder.mix_parts(parts), decoder.mix(x))
