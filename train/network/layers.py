"""Layers and operations of MagNet, written in the forms that inference runtimes run fastest."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ResBlock(nn.Module):
    """Residual block x + conv(relu(conv(x))) with 3 x 3 kernels and zero padding."""

    def __init__(self, channels: int, *, bias: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=bias)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> the same."""
        out: Tensor = x + self.conv2(torch.relu(self.conv1(x)))
        return out


def channel_sum(x: Tensor) -> Tensor:
    """Sum over channels: (B, C, ...) -> (B, 1, ...).

    It is computed as a matrix product, which takes 0.4 times as long in ONNX Runtime as a sum.
    """
    with torch.autocast(x.device.type, enabled=False):
        sums = x.new_ones(1, x.shape[1]) @ x.flatten(2)
        return sums.reshape(x.shape[0], 1, *x.shape[2:])


def box_mean(x: Tensor) -> Tensor:
    """Mean over 3 x 3 cells, at borders without the cells outside: (B, C, h, w) -> the same.

    It is computed from shifted slices, which take a quarter of the time of an average pool in ONNX
    Runtime.
    """
    padded = F.pad(x, (0, 0, 1, 1))
    x = (padded[:, :, :-2] + padded[:, :, 1:-1] + padded[:, :, 2:]) * _inverse_counts(x, 2)[:, None]
    padded = F.pad(x, (1, 1, 0, 0))
    return (padded[..., :-2] + padded[..., 1:-1] + padded[..., 2:]) * _inverse_counts(x, 3)


def _inverse_counts(x: Tensor, axis: int) -> Tensor:
    """One over the number of cells in each window along an axis, 1/3 or 1/2 at the ends: (n,)."""
    place = torch.arange(x.shape[axis], dtype=x.dtype, device=x.device)
    return 1 / (1 + place.clamp(max=1) + place.flip(0).clamp(max=1))


def squash(x: Tensor) -> Tensor:
    """Soft clipping, x / (1 + |x| / 4), so that magnified noise does not dominate the features.

    The result is about x near zero and stays within -4 and 4.
    """
    return x / (1 + x.abs() * 0.25)


def add(parts: Sequence[Tensor]) -> Tensor:
    """Sum of a few tensors; runtimes add them faster than they sum a stacked tensor."""
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def upsample(x: Tensor, scale: int) -> Tensor:
    """Upsample bilinearly with repeated edges: (B, C, h, w) -> (B, C, scale h, scale w).

    It is computed as a transposed convolution. OpenVINO takes twice as long for `interpolate`, and
    the same time again to concatenate its results.
    """
    places = (torch.arange(2 * scale, dtype=x.dtype, device=x.device) + 0.5) / scale - 1
    ramp = 1 - places.abs()
    kernels = (ramp[:, None] * ramp).expand(x.shape[1], 1, -1, -1)
    with torch.autocast(x.device.type, enabled=False):
        padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
        return F.conv_transpose2d(
            padded, kernels, stride=scale, padding=scale + scale // 2, groups=x.shape[1]
        )


def warp(image: Tensor, flow: Tensor) -> Tensor:
    """Backward bilinear warp with repeated edges: out(p) = image(p + flow(p)).

    Args:
        image: (B, C, H, W).
        flow: (B, 2, H, W), x then y, in pixels.

    Returns:
        (B, C, H, W).
    """
    height, width = image.shape[-2:]
    x = torch.arange(width, device=image.device, dtype=flow.dtype)
    y = torch.arange(height, device=image.device, dtype=flow.dtype)
    # The last coordinate instead of the size: in a graph, sizes are values on the CPU, and each
    # use on a GPU would copy them.
    gx = (flow[:, 0] + x[None, None, :]) * (2 / x[-1:]) - 1
    gy = (flow[:, 1] + y[None, :, None]) * (2 / y[-1:, None]) - 1
    grid = torch.stack([gx, gy], dim=-1)  # (B, H, W, 2)
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=True)
