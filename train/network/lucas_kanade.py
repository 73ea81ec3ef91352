"""How far things moved, from a linear code of the picture: Lucas and Kanade on many channels.

`generators` finds how codes change under motion as a matrix, by least squares on random pictures
with the spectrum of natural ones; nothing needs to be trained.

References:
    B. D. Lucas, T. Kanade, An iterative image registration technique, IJCAI 1981.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtmag.train.network.layers import box_mean, channel_sum


class LucasKanade(nn.Module):
    """Codes of a picture and their change -> how far things moved.

    A matrix gives the derivative M of the code by displacement from the code itself, and the
    displacement that explains the change d best, over 3 x 3 cells, solves the normal equations
    (M'M) v = M'd. As M is linear in the picture, v does not depend on contrast; as v is linear in
    d, it stays exact under any temporal filter.
    """

    EPS = 1e-4  # keeps the solution small where there is no texture: below a grey level of contrast

    def __init__(self, kernels: Tensor) -> None:
        """`kernels` (C, 16 n, 3, 3) make the code, to begin with."""
        super().__init__()
        self.generators = nn.Conv2d(len(kernels), 2 * len(kernels), 1, bias=False)
        self.fit(kernels)

    @torch.no_grad()
    def fit(self, kernels: Tensor) -> None:
        """Learn how codes of these kernels move, without any training."""
        self.generators.weight[:] = generators(kernels)[..., None, None]

    def derivatives(self, code: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, h, w) -> its derivatives by where to look, x and y."""
        # A product of matrices, not a convolution: runtimes would reorder all that follows.
        both, flat = self.generators.weight.flatten(1), code.flatten(2)
        along_x, along_y = both[: len(both) // 2], both[len(both) // 2 :]
        return (along_x @ flat).reshape(code.shape), (along_y @ flat).reshape(code.shape)

    def forward(self, code: Tensor, change: Tensor) -> Tensor:
        """(B, C, h, w) each -> px by which to look back for what moved, (B, 2, h, w)."""
        with torch.autocast(code.device.type, enabled=False):  # a ratio of sums of squares
            mx, my = self.derivatives(code.float())
            d = change.float()
            products = mx * mx, my * my, mx * my, mx * d, my * d
            sums = box_mean(torch.cat([channel_sum(p) for p in products], dim=1))
            xx, yy, xy, xd, yd = torch.chunk(sums, 5, dim=1)
            return torch.cat(solve_normal_equations(xx, yy, xy, xd, yd), dim=1)


def solve_normal_equations(
    xx: Tensor, yy: Tensor, xy: Tensor, xd: Tensor, yd: Tensor
) -> tuple[Tensor, Tensor]:
    """Solve the normal equations: sums of products of derivatives and changes -> x and y, in px."""
    xx, yy = xx + LucasKanade.EPS, yy + LucasKanade.EPS
    determinant = xx * yy - xy * xy
    return (yy * xd - xy * yd) / determinant, (xx * yd - xy * xd) / determinant


def generators(kernels: Tensor) -> Tensor:
    """How codes change per pixel of motion, seen from where the motion ended.

    Args:
        kernels: (C, 16 n, 3, 3) for pictures of n colours, each of sum zero.

    Returns:
        (2 C, C): code -> its derivative by where to look, x then y.
    """
    channels = len(kernels)
    code = _noise_codes(kernels, 0, 0)
    step = 0.5
    along_x = _noise_codes(kernels, -step, 0) - _noise_codes(kernels, step, 0)
    along_y = _noise_codes(kernels, 0, -step) - _noise_codes(kernels, 0, step)
    change = torch.cat([along_x, along_y]) / (2 * step)
    covariance = code @ code.T
    ridge = 1e-4 * covariance.diagonal().mean() * torch.eye(channels)
    matrix: Tensor = change @ code.T @ torch.linalg.inv(covariance + ridge)
    return matrix


def _noise_codes(kernels: Tensor, dx: float, dy: float, count: int = 24, side: int = 96) -> Tensor:
    """Codes of 1/f noise moved by (dx, dy) px, (C, n)."""
    noise = torch.randn(count, side, side, generator=torch.Generator().manual_seed(0))
    f = torch.fft.fftfreq(side)
    radius = torch.hypot(f[:, None], f[None]).clamp(1 / side)
    phase = torch.exp(-2j * math.pi * (f[None] * dx + f[:, None] * dy))
    picture = torch.fft.ifft2(torch.fft.fft2(noise) / radius * phase).real[:, None]
    cells = F.pixel_unshuffle(picture.repeat(1, kernels.shape[1] // 16, 1, 1), 4)
    return F.conv2d(cells, kernels).transpose(0, 1).flatten(1)
