"""Rendered scenes: their motion is the one that alpha and flows state."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from rtmag.realtime.analysis.tracking import displacement
from rtmag.train.data import textures
from rtmag.train.data.synthesis import (
    CELL,
    KINDS,
    Limits,
    Scenes,
    Synthesizer,
    add_noise,
    offset_colour,
    quantize,
)
from rtmag.train.data.textures import Bank
from rtmag.train.network.layers import warp
from tests.support import small


class Forced(Synthesizer):
    """Renderer of one kind of scene, with translations only."""

    def __init__(self, bank: Bank, kind: int, **options: Any) -> None:
        super().__init__(bank, **options)
        self.kind = kind
        self.shifts: list[Tensor] = []

    def _index(self, count: int, *shape: int) -> Tensor:
        drawn = super()._index(count, *shape)
        return torch.full_like(drawn, self.kind) if count == len(KINDS) else drawn

    def _motion(self, alpha: Tensor, moves: Tensor) -> tuple[Tensor, Tensor]:
        shift, linear = super()._motion(alpha, moves)
        self.shifts.append(shift)
        return shift, torch.zeros_like(linear)


@pytest.fixture(scope="module")
def bank() -> Bank:
    """Textures of 1/f noise, whose motion can be measured at every place and scale."""
    rng = np.random.default_rng(1)
    planes = [textures._spectrum_noise(256, 1.2, rng) * 255 for _ in range(4)]
    pictures = torch.from_numpy(np.stack(planes)).to(torch.uint8)[:, None].expand(-1, 3, -1, -1)
    outlines = np.stack([textures.outline(64, rng) for _ in range(4)])
    return Bank(pictures.contiguous(), torch.from_numpy(outlines)[:, None])


def brightness(image: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.asarray(image.mean(0).numpy() * 255, np.float32)


def test_a_moving_background_is_magnified_by_alpha(bank: Bank) -> None:
    limits = Limits(motion=0.5, magnified=1.6, alpha=20, attenuation=0.0)
    maker = Forced(bank, KINDS.index("background only"), size=96, limits=limits, seed=2)
    scenes = maker.batch(8)
    for i, shift in enumerate(maker.shifts[0]):
        once = displacement(brightness(scenes.reference[i]), brightness(scenes.moved[i]))
        many = displacement(brightness(scenes.reference[i]), brightness(scenes.magnified[i]))
        assert once == pytest.approx(shift.tolist(), abs=0.02)
        assert many == pytest.approx((scenes.alpha[i] * shift).tolist(), abs=0.06)
        assert np.hypot(*many) > 1.15 * np.hypot(*once)


def test_attenuation_moves_less(bank: Bank) -> None:
    limits = Limits(motion=1.5, magnified=30, attenuation=1.0)
    maker = Forced(bank, KINDS.index("background only"), size=96, limits=limits, seed=3)
    scenes = maker.batch(4)
    assert scenes.alpha.max() < 1
    for i, shift in enumerate(maker.shifts[0]):
        less = displacement(brightness(scenes.reference[i]), brightness(scenes.magnified[i]))
        assert less == pytest.approx((scenes.alpha[i] * shift).tolist(), abs=0.05)


def test_affine_motion_is_placed_exactly(bank: Bank) -> None:
    """A point p of a layer moves to p + m D(p), for m = 0, 1 and alpha."""
    maker = Synthesizer(bank, size=32, seed=4)
    kept: list[tuple[Tensor, Tensor]] = []
    draw = maker._motion

    def remember(alpha: Tensor, moves: Tensor) -> tuple[Tensor, Tensor]:
        kept.append(draw(alpha, moves))
        return kept[-1]

    maker._motion = remember  # type: ignore[method-assign]
    alpha, centre = torch.tensor([2.0, 30.0, 0.5]), torch.tensor([[3.0, -4.0], [0, 0], [9, 9]])
    matrix, offset = maker._place(alpha, centre, torch.tensor([True, True, True]))
    shift, linear = kept[0]
    assert linear.abs().max() > 0
    point = torch.tensor([7.0, 11.0])
    for m in range(3):
        times = (torch.zeros(3), torch.ones(3), alpha)[m][:, None]
        moved = point + times * (shift + (linear @ (point - centre)[..., None])[..., 0])
        found = (matrix[:, m] @ moved[..., None])[..., 0] + offset[:, m]
        assert torch.allclose(found, point - centre, atol=1e-4)


@pytest.mark.parametrize("objects", [0, 3])
def test_static_scenes_are_equal_bit_by_bit(bank: Bank, objects: int) -> None:
    maker = Forced(bank, KINDS.index("static"), size=32, limits=Limits(objects=objects))
    scenes = maker.batch(8)
    assert torch.equal(scenes.reference, scenes.moved)
    assert torch.equal(scenes.reference, scenes.magnified)
    assert scenes.alpha.std() > 0


def test_a_static_background_stays_and_objects_move(bank: Bank) -> None:
    kind = KINDS.index("static background")
    bare = Forced(bank, kind, size=32, limits=Limits(objects=0)).batch(8)
    assert torch.equal(bare.reference, bare.magnified)
    full = Forced(bank, kind, size=32, limits=Limits(objects=3)).batch(8)
    assert not torch.equal(full.reference, full.moved)
    untouched = (full.reference == full.magnified).all(1).flatten(1).float().mean(1)
    assert untouched.max() > 0.2


def test_a_background_alone_has_no_objects(bank: Bank) -> None:
    maker = Forced(bank, KINDS.index("background only"), size=32, limits=Limits(objects=3))
    maker.bank = Bank(bank.textures, torch.full_like(bank.outlines, 255))
    background = maker._layer_background
    layers: list[tuple[Tensor, Tensor]] = []

    def remember(kind: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
        layers.append(background(kind, alpha))
        return layers[-1]

    maker._layer_background = remember  # type: ignore[method-assign]
    scenes = maker.batch(2)
    first = layers[0][0].reshape(2, 3, 3, 64, 64)[:, :, 0]
    assert torch.allclose(scenes.reference, F.avg_pool2d(first, 2), atol=1e-6)


def test_flows_point_back_to_the_frame_before(bank: Bank) -> None:
    """Warping a frame by the flow gives the next frame, with rotation and zoom too."""
    limits = Limits(motion=8.0, least=1.0, magnified=16.0, objects=0)
    scenes = Synthesizer(bank, size=96, limits=limits, seed=5).batch(24)
    flows = F.interpolate(scenes.flows, scale_factor=CELL, mode="bilinear", align_corners=False)

    def inner(image: Tensor) -> Tensor:
        """Mean of the blurred middle: no content from outside, little interpolation error."""
        return F.avg_pool2d(image[..., 16:-16, 16:-16], 4).abs().mean((1, 2, 3))

    frames = scenes.reference, scenes.moved, scenes.magnified
    for seen, shown, flow in zip(frames, frames[1:], flows.chunk(2, dim=1), strict=False):
        error, change = inner(warp(seen, flow) - shown), inner(seen - shown)
        assert (change > 0.002).sum() > 6
        assert (error < 0.3 * change + 1e-3).all()


def test_a_covered_cell_has_the_flow_of_the_object(bank: Bank) -> None:
    maker = Forced(bank, KINDS.index("static background"), size=64, limits=Limits(objects=1))
    maker.bank = Bank(bank.textures, torch.full_like(bank.outlines, 255))
    scenes = maker.batch(48)
    back = -maker.shifts[1][:, :, None, None]
    further = (scenes.alpha - 1)[:, None, None, None]
    for flow, once in zip(scenes.flows.chunk(2, dim=1), (back, further * back), strict=True):
        still = flow.abs().amax(1, keepdim=True) < 1e-5
        assert torch.where(still, once, flow).sub(once).abs().max() < 1e-3
        assert 0.1 < still.float().mean() < 0.9


def test_blurred_backgrounds_have_less_contrast(bank: Bank) -> None:
    options: dict[str, Any] = {"size": 64, "limits": Limits(objects=0)}
    sharp = Forced(bank, KINDS.index("standard"), **options).batch(32).reference
    soft = Forced(bank, KINDS.index("blurred background"), **options).batch(32).reference

    def detail(images: Tensor) -> Tensor:
        return images.diff(dim=-1).abs().mean()

    assert detail(soft) < 0.3 * detail(sharp)


def test_limits_hold(bank: Bank) -> None:
    maker = Synthesizer(bank, size=8)
    count = 20_000
    alpha = torch.exp(maker._uniform(count, low=np.log(0.05), high=np.log(100)))
    moves = maker._uniform(count) < 0.5
    shift, linear = maker._motion(alpha, moves)
    length = shift.norm(dim=-1)
    assert length.max() <= 10 * (1 + 1e-6)
    assert (alpha * length).max() <= 50 * (1 + 1e-6)
    assert length.max() > 9
    assert (alpha * length).max() > 47
    assert not shift[~moves].any()
    assert not linear[~moves].any()
    # 50 px from the centre, turning and zooming each move a point no further than the shift.
    assert (linear.abs().amax((1, 2)) * 50 <= length * (1 + 1e-5)).all()


@pytest.mark.parametrize("far", [0.0, 0.4])
def test_a_share_of_motions_is_large(bank: Bank, far: float) -> None:
    maker = Synthesizer(bank, size=8, limits=Limits(far=far))
    alpha = torch.full((20_000,), 2.0)
    shift, _ = maker._motion(alpha, torch.ones(20_000, dtype=torch.bool))
    above = (shift.norm(dim=-1) > 10 * (0.04 / 10) ** 0.25).float().mean()
    assert above == pytest.approx(far + (1 - far) / 4, abs=0.02)


@pytest.fixture(scope="module")
def many() -> Scenes:
    """5000 scenes, enough to measure shares."""
    bank = small.bank(count=2, size=8)
    return Synthesizer(bank, size=4, supersample=1, limits=Limits(objects=0)).batch(5000)


def test_kinds_come_in_equal_parts(many: Scenes) -> None:
    assert many.kind is not None
    shares = torch.bincount(many.kind, minlength=len(KINDS)) / len(many.kind)
    assert len(shares) == len(KINDS)
    assert (shares - 0.2).abs().max() < 0.025


def test_alpha_is_log_uniform(many: Scenes) -> None:
    weakened = many.alpha < 1
    assert 0.02 < weakened.float().mean() < 0.06
    alpha = many.alpha[~weakened]
    assert alpha.min() >= 1.2 * (1 - 1e-5)
    assert 225 < alpha.max() <= 250 * (1 + 1e-5)
    assert float(alpha.median()) == pytest.approx(np.sqrt(1.2 * 250), rel=0.1)


def test_images_have_the_right_shape_and_range(many: Scenes) -> None:
    for image in (many.reference, many.moved, many.magnified):
        assert image.shape == (5000, 3, 4, 4)
        assert image.dtype is torch.float32
        assert image.min() >= 0
        assert image.max() <= 1


def test_the_same_seed_gives_the_same_scenes() -> None:
    maker = [Synthesizer(small.bank(device="cpu"), size=16, seed=seed) for seed in (5, 5, 6)]
    one, again, other = (dataclasses.astuple(each.batch(3)) for each in maker)
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert not torch.equal(one[0], other[0])
    following = maker[0].batch(3)
    assert not torch.equal(following.reference, one[0])
    assert following.reference.device == torch.device("cpu")


# ---- sensor -----------------------------------------------------------------------------------


def test_dither_preserves_values_between_two_levels() -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.full((1, 3, 100, 100), 102.3 / 255)
    levels = quantize(image, generator) * 255
    assert set(levels.round().flatten().tolist()) == {102.0, 103.0}
    assert float(levels.mean()) == pytest.approx(102.3, abs=0.02)
    assert quantize(torch.tensor([[[[-0.2, 1.2]]]]), generator).tolist() == [[[[0.0, 1.0]]]]


def test_whole_levels_survive_rounding() -> None:
    levels = torch.arange(0, 256, 5).float().reshape(1, 1, 1, -1)
    assert torch.equal((quantize(levels / 255) * 255).round(), levels)


def test_the_variance_of_noise_is_proportional_to_brightness() -> None:
    generator = torch.Generator().manual_seed(0)
    steps = torch.tensor([0.0, 0.125, 0.25, 0.5, 1.0])
    image = steps.reshape(1, 1, -1, 1).expand(2, 3, -1, 20_000)
    grain = add_noise(image, torch.tensor([0.3, 0.15]), generator) - image
    variance = grain.var(dim=(1, 3))  # (strength, brightness)
    assert torch.allclose(variance[0] / variance[0, -1], steps, rtol=0.03)
    assert torch.allclose(variance[0], 4 * variance[1], rtol=0.05)
    assert float(variance[0, 3].sqrt()) * 255 == pytest.approx(3.4, abs=0.05)
    assert grain.mean().abs() < 1e-4


def test_a_colour_offset_is_added_and_clipped() -> None:
    image = torch.full((1, 3, 2, 2), 0.9)
    out = offset_colour(image, torch.tensor([[0.25, -0.25, 0.0]]))
    assert out[0, :, 0, 0].tolist() == pytest.approx([1.0, 0.65, 0.9])
