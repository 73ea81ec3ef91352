"""What MagNet knows before it has seen a picture: derivatives, and how they move.

`derivatives` is a bank of Gaussian derivatives (Koenderink and van Doorn, Biological Cybernetics
1987). The derivative of one by displacement is again one, of the next order, so such a bank knows
its own change under motion; `generators` finds that change as a matrix, by least squares on random
pictures with the spectrum of natural ones. With both, MagNet is the method of Lucas and Kanade on
many channels before its first step of training.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

SIDE = 12  # px: what a 3 x 3 kernel on pixel-unshuffled pictures sees
SCALES = (2.2, 1.3)  # px, the Gaussians' widths
ORDERS = (1, 2, 3, 4)
NORM = 0.33  # of a kernel; with it shapes are about as large as contrasts


def derivatives(count: int) -> Tensor:
    """The first `count` of 28 kernels for pixel-unshuffled grey pictures, (<= count, 16, 3, 3)."""
    kernels = []
    for order in ORDERS:
        for sigma in SCALES:
            t = (torch.arange(SIDE) - (SIDE - 1) / 2) / sigma
            hermite = [torch.ones(SIDE), t, t**2 - 1, t**3 - 3 * t, t**4 - 6 * t**2 + 3]
            profile = [h * torch.exp(-t * t / 2) for h in hermite]
            kernels += [torch.outer(profile[order - x], profile[x]) for x in range(order + 1)]
    stack = torch.stack(kernels[:count])
    stack = stack * (NORM / stack.flatten(1).norm(dim=1))[:, None, None]
    return F.pixel_unshuffle(stack[:, None], 4)


def generators(kernels: Tensor) -> Tensor:
    """How codes change per pixel of motion, seen from where the motion ended.

    Args:
        kernels: (C, 16 n, 3, 3) for pictures of n colours, each of sum zero.

    Returns:
        (2 C, C): code -> its derivative by where to look, x then y.
    """
    channels = len(kernels)
    code = _codes(kernels, 0, 0)
    step = 0.5
    along_x = _codes(kernels, -step, 0) - _codes(kernels, step, 0)
    along_y = _codes(kernels, 0, -step) - _codes(kernels, 0, step)
    change = torch.cat([along_x, along_y]) / (2 * step)
    covariance = code @ code.T
    ridge = 1e-4 * covariance.diagonal().mean() * torch.eye(channels)
    matrix: Tensor = change @ code.T @ torch.linalg.inv(covariance + ridge)
    return matrix


def _codes(kernels: Tensor, dx: float, dy: float, count: int = 24, side: int = 96) -> Tensor:
    """Codes of 1/f noise moved by (dx, dy) px, (C, n)."""
    noise = torch.randn(count, side, side, generator=torch.Generator().manual_seed(0))
    f = torch.fft.fftfreq(side)
    radius = torch.hypot(f[:, None], f[None]).clamp(1 / side)
    phase = torch.exp(-2j * math.pi * (f[None] * dx + f[:, None] * dy))
    picture = torch.fft.ifft2(torch.fft.fft2(noise) / radius * phase).real[:, None]
    cells = F.pixel_unshuffle(picture.repeat(1, kernels.shape[1] // 16, 1, 1), 4)
    return F.conv2d(cells, kernels).transpose(0, 1).flatten(1)
