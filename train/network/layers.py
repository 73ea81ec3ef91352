"""How far things moved, from a linear code of the picture: Lucas and Kanade on many channels.

`generators` finds how codes change under motion as a matrix, by least squares on random pictures
with the spectrum of natural ones; nothing needs to be trained.

References:
    B. D. Lucas, T. Kanade, An iterative image registration technique, IJCAI 1981.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ResBlock(nn.Module):
    """x + conv(relu(conv(x))), zero-padded."""

    def __init__(self, channels: int, *, bias: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=bias)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> the same."""
        out: Tensor = x + self.conv2(torch.relu(self.conv1(x)))
        return out


def channel_sum(x: Tensor) -> Tensor:
    """Sums over channels: (B, C, ...) -> (B, 1, ...).

    As a product of matrices: that takes ONNX Runtime 0.4 of a sum's time.
    """
    with torch.autocast(x.device.type, enabled=False):
        sums = x.new_ones(1, x.shape[1]) @ x.flatten(2)
        return sums.reshape(x.shape[0], 1, *x.shape[2:])


def box_mean(x: Tensor) -> Tensor:
    """Means over 3 x 3 cells, of those that there are.

    As sums of what lies side by side: that takes ONNX Runtime a quarter of an average pool's time.
    """
    padded = F.pad(x, (0, 0, 1, 1))
    x = (padded[:, :, :-2] + padded[:, :, 1:-1] + padded[:, :, 2:]) * _thirds(x, 2)[:, None]
    padded = F.pad(x, (1, 1, 0, 0))
    return (padded[..., :-2] + padded[..., 1:-1] + padded[..., 2:]) * _thirds(x, 3)


def _thirds(x: Tensor, axis: int) -> Tensor:
    """One over the number of neighbours along an axis, the cell itself included: (n,)."""
    place = torch.arange(x.shape[axis], dtype=x.dtype, device=x.device)
    return 1 / (1 + place.clamp(max=1) + place.flip(0).clamp(max=1))


def squash(x: Tensor) -> Tensor:
    """X near zero, +-4 far from it: magnified noise must not drown the body's other features."""
    return x / (1 + x.abs() * 0.25)


def add(parts: Sequence[Tensor]) -> Tensor:
    """Their sum; of a few, runtimes add sooner than they sum along an axis."""
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def upsample(x: Tensor, scale: int) -> Tensor:
    """Interpolate bilinearly, edges repeated: (B, C, h, w) -> (B, C, scale h, scale w).

    As a convolution transposed: OpenVINO takes twice as long for `interpolate`, and as long again
    to bring together what that returns.
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
    """Backward bilinear warp: out(p) = image(p + flow(p)), edges repeated.

    Args:
        image: (B, C, H, W).
        flow: (B, 2, H, W), x then y, in pixels.
    """
    height, width = image.shape[-2:]
    x = torch.arange(width, device=image.device, dtype=flow.dtype)
    y = torch.arange(height, device=image.device, dtype=flow.dtype)
    # By the last place, not the size: a graph's sizes are the CPU's, and would cross the bus here.
    gx = (flow[:, 0] + x[None, None, :]) * (2 / x[-1:]) - 1
    gy = (flow[:, 1] + y[None, :, None]) * (2 / y[-1:, None]) - 1
    grid = torch.stack([gx, gy], dim=-1)  # (B, H, W, 2)
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=True)
