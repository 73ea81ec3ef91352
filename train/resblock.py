"""The block that both of MagNet's parts are built of."""

import torch
from torch import Tensor, nn


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
