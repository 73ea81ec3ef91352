"""Motion estimates of the encoder and Lucas-Kanade with initial weights, in any picture."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from rtmag.train.network.config import CONFIGS
from rtmag.train.network.encoder import derivatives, levels, pad_border
from rtmag.train.network.layers import box_mean
from rtmag.train.network.lucas_kanade import generators
from rtmag.train.network.magnet import MagNet


def picture(dx: float, dy: float, contrast: float = 0.2, seed: int = 0) -> Tensor:
    """Soft random patterns moved by a Fourier shift, (1, 3, 128, 128)."""
    noise = np.random.default_rng(seed).standard_normal((128, 128))
    fy, fx = np.fft.fftfreq(128)[:, None], np.fft.fftfreq(128)[None]
    radius = np.hypot(fx, fy)
    spectrum = np.fft.fft2(noise) * np.exp(-((radius / 0.15) ** 2)) / (radius + 0.02)
    still = np.fft.ifft2(spectrum).real
    moved = np.fft.ifft2(spectrum * np.exp(-2j * np.pi * (fx * dx + fy * dy))).real
    light = 0.5 + contrast * (moved - still.mean()) / still.std() / 2
    return torch.from_numpy(light).float().expand(1, 3, 128, 128)


def velocities(net: MagNet, dx: float, dy: float, **options: Any) -> Tensor:
    """Mean and standard deviation of each level's estimate, without the borders: (3, 2, 2)."""
    _, before = net.encode(picture(0, 0, **options))
    _, after = net.encode(picture(dx, dy, **options))
    found = net.velocities(after, after - before)[0][0, :6, 8:-8, 8:-8]
    levels = found.reshape(3, 2, -1)
    return torch.stack([levels.mean(2), levels.std(2)], dim=1)


@pytest.fixture(scope="module")
def net() -> MagNet:
    torch.manual_seed(0)
    return MagNet(CONFIGS["standard"]).eval()


def test_initial_kernels_differ() -> None:
    kernels = derivatives(100)
    assert kernels.shape == (28, 16, 3, 3)
    flat = kernels.flatten(1)
    assert torch.linalg.matrix_rank(flat) == 28
    assert torch.allclose(flat.norm(dim=1), flat.norm(dim=1)[:1].expand(28), rtol=1e-3)
    assert len(derivatives(16)) == 16


@torch.no_grad()
@pytest.mark.parametrize("motion", [(0.1, 0.0), (0.0, -0.1), (0.3, 0.2)])
def test_motion_is_estimated_before_training(net: MagNet, motion: tuple[float, float]) -> None:
    mean, spread = velocities(net, *motion)[0]
    # Where to look for what moved: back.
    assert mean.tolist() == pytest.approx([-motion[0], -motion[1]], abs=0.06 * np.hypot(*motion))
    assert float(spread.max()) < 0.15 * np.hypot(*motion)


@torch.no_grad()
@pytest.mark.parametrize(("level", "motion"), [(1, (1.5, -1.0)), (2, (4.0, 2.0))])
def test_coarse_levels_estimate_large_motion(
    net: MagNet, level: int, motion: tuple[float, float]
) -> None:
    means = velocities(net, *motion)[:, 0]
    off = (means + torch.tensor(motion)).norm(dim=1) / np.hypot(*motion)
    assert float(off[level]) < 0.25
    assert float(off[level]) < 0.6 * float(off[0])


@torch.no_grad()
def test_estimates_do_not_depend_on_contrast(net: MagNet) -> None:
    strong, faint = (velocities(net, 0.2, 0.1, contrast=c)[0, 0] for c in (0.4, 0.1))
    assert faint.tolist() == pytest.approx(strong.tolist(), rel=0.05)


@torch.no_grad()
def test_generators_predict_the_change_of_codes() -> None:
    encoder = MagNet(CONFIGS["fast"]).encoder
    along_x, along_y = generators(encoder.kernels()[0]).chunk(2)
    shapes = (levels(encoder(pad_border(picture(dx, -2 * dx, seed=5)))[1])[0] for dx in (0.0, 0.1))
    before, after = (shape[..., 3:-3, 3:-3] for shape in shapes)  # borders see no motion
    code = after[0].flatten(1)
    expected = -0.1 * along_x @ code + 0.2 * along_y @ code
    off = (after - before)[0].flatten(1) - expected
    assert float(off.norm()) < 0.35 * float(expected.norm())
    assert float(off[:10].norm()) < 0.1 * float(expected[:10].norm())  # the lowest orders


@pytest.mark.parametrize("size", [(7, 9), (1, 4), (2, 2), (1, 1)])
def test_box_mean_at_borders_uses_the_cells_inside(size: tuple[int, int]) -> None:
    x = torch.randn(2, 5, *size)
    pooled = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    assert torch.allclose(box_mean(x), pooled, atol=1e-6)
