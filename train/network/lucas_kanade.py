"""Motion of less than a cell by the method of Lucas and Kanade, on the channels of a linear code.

The method needs the derivative of the code by displacement. `generators` finds a matrix that
computes this derivative from the code itself, by least squares on noise with the spectrum of
natural pictures. So the layer works before any training.

References:
    B. D. Lucas, T. Kanade, An iterative image registration technique, IJCAI 1981.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtmag.train.network.layers import box_mean, channel_sum

KNOWN = 0.5, 0.8
"""Shares of what no displacement explains: light that explains less than the first is not removed,
light that explains more than the second is removed as a whole. Both were chosen by measuring."""

LARGEST_SHARE = 1.5
"""Of the light of rows and columns: a lamp may shine on a part of the picture."""

LIGHT_RIDGE = 1.001  # times the energy of light: none is found where it looks like displacement

TINY = 1e-12  # energy; ONNX Runtime would drop the addition of such a number, but not a clamp


class LucasKanade(nn.Module):
    """Estimate the displacement of each cell from its code and the change of its code.

    M is the derivative of the code by displacement, d the change. The displacement v that explains
    d best over 3 x 3 cells solves the normal equations (M'M) v = M'd. M is linear in the picture,
    so v does not depend on contrast. v is linear in d, so it is exact for every temporal filter.

    Args:
        kernels: (C, 16 n, 3, 3), the kernels of the code for n colours, from which the initial
            weights are computed.
    """

    EPS = 1e-4  # added to M'M: keeps v near zero in plain areas, below a grey level of contrast

    def __init__(self, kernels: Tensor) -> None:
        super().__init__()
        self.generators = nn.Conv2d(len(kernels), 2 * len(kernels), 1, bias=False)
        self.fit(kernels)

    @torch.no_grad()
    def fit(self, kernels: Tensor) -> None:
        """Set the weights to `generators` of these kernels."""
        self.generators.weight[:] = generators(kernels)[..., None, None]

    def derivatives(self, code: Tensor) -> tuple[Tensor, Tensor]:
        """Derivatives of the code (B, C, h, w) by displacement in x and y, (B, C, h, w) each."""
        # A matrix product instead of a 1 x 1 convolution: runtimes would change the memory layout
        # for the convolution and for everything after it.
        both, flat = self.generators.weight.flatten(1), code.flatten(2)
        along_x, along_y = both[: len(both) // 2], both[len(both) // 2 :]
        return (along_x @ flat).reshape(code.shape), (along_y @ flat).reshape(code.shape)

    def forward(self, code: Tensor, change: Tensor) -> Tensor:
        """Code and its change, (B, C, h, w) each -> displacement (B, 2, h, w) px, x then y.

        The displacement points back: to where the content of the cell was before.
        """
        with torch.autocast(code.device.type, enabled=False):  # ratios of sums need float32
            mx, my = self.derivatives(code.float())
            d = change.float()
            products = mx * mx, my * my, mx * my, mx * d, my * d
            sums = box_mean(torch.cat([channel_sum(p) for p in products], dim=1))
            return torch.cat(solve_normal_equations(*torch.chunk(sums, 5, dim=1)), dim=1)

    def with_light(self, code: Tensor, change: Tensor, light: Tensor) -> tuple[Tensor, Tensor]:
        """Solve for displacement and light.

        Light is removed only where it explains most of what no displacement explains: where
        something moves far, neither explains the change.

        Args:
            code: (B, C, h, w).
            change: The filtered change of the code, the same shape.
            light: The change that a change of light would have made, the same shape.

        Returns:
            The displacement (B, 2, h, w) px, as `forward` returns it, and the share of the light to
            subtract from the change, (B, 1, h, w).
        """
        with torch.autocast(code.device.type, enabled=False):
            mx, my = self.derivatives(code.float())
            d, g = change.float(), light.float()
            squares = mx * mx, my * my, mx * my
            with_changes = mx * d, my * d, mx * g, my * g, d * d, d * g, g * g
            products = [channel_sum(product) for product in (*squares, *with_changes)]
            return solve_with_light(*torch.chunk(box_mean(torch.cat(products, dim=1)), 10, dim=1))


def solve_with_light(
    xx: Tensor, yy: Tensor, xy: Tensor, xd: Tensor, yd: Tensor, xg: Tensor, yg: Tensor,
    dd: Tensor, dg: Tensor, gg: Tensor,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Solve for the displacement (B, 2, h, w) px and the share of the light, (B, 1, h, w).

    The arguments are sums of products of x, y, the derivatives by displacement; d, the change; and
    g, the change that a change of light would have made.
    """
    vx, vy = solve_normal_equations(xx, yy, xy, xd, yd)  # without light
    ux, uy = solve_normal_equations(xx, yy, xy, xg, yg)  # the displacement that light looks like
    own = (LIGHT_RIDGE * gg - ux * xg - uy * yg).clamp(min=TINY)
    common = dg - ux * xd - uy * yd
    left = (dd - vx * xd - vy * yd).clamp(min=TINY)
    share = common / own
    known = share * common / left  # of what no displacement explains, 0 to 1
    low, high = KNOWN
    share = share.clamp(0.0, LARGEST_SHARE) * ((known - low) / (high - low)).clamp(0.0, 1.0)
    return torch.cat([vx - share * ux, vy - share * uy], dim=1), share


def solve_normal_equations(
    xx: Tensor, yy: Tensor, xy: Tensor, xd: Tensor, yd: Tensor
) -> tuple[Tensor, Tensor]:
    """Solve the normal equations for (x, y) in px; the arguments are sums of products.

    Args:
        xx: Sum of squares of the derivative by x.
        yy: Sum of squares of the derivative by y.
        xy: Sum of products of both derivatives.
        xd: Sum of products of the derivative by x and the change.
        yd: Sum of products of the derivative by y and the change.
    """
    xx, yy = xx + LucasKanade.EPS, yy + LucasKanade.EPS
    determinant = xx * yy - xy * xy
    return (yy * xd - xy * yd) / determinant, (xx * yd - xy * xd) / determinant


def generators(kernels: Tensor) -> Tensor:
    """Matrix that computes the derivative of a code by displacement from the code.

    Args:
        kernels: (C, 16 n, 3, 3) for pictures of n colours; each kernel sums to zero.

    Returns:
        (2 C, C): derivatives by x in the first C rows, by y in the others. The displacement points
        from the present position to the former one.
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
    """Codes of 1/f noise that is moved by (dx, dy) px, (C, number of cells)."""
    noise = torch.randn(count, side, side, generator=torch.Generator().manual_seed(0))
    f = torch.fft.fftfreq(side)
    radius = torch.hypot(f[:, None], f[None]).clamp(1 / side)
    phase = torch.exp(-2j * math.pi * (f[None] * dx + f[:, None] * dy))
    picture = torch.fft.ifft2(torch.fft.fft2(noise) / radius * phase).real[:, None]
    cells = F.pixel_unshuffle(picture.repeat(1, kernels.shape[1] // 16, 1, 1), 4)
    return F.conv2d(cells, kernels).transpose(0, 1).flatten(1)
