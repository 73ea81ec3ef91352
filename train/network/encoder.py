"""Encoder of MagNet: one picture becomes texture (its appearance) and shape (its positions)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtmag.train.network.layers import ResBlock, channel_sum

SIDE = 12  # px; side of a kernel: 3 cells of 4 px

SCALES = (2.2, 1.3)  # px, standard deviations of the Gaussians

ORDERS = (1, 2, 3, 4)  # of the derivatives

NORM = 0.33  # L2 norm of a kernel, so that shape has about the size of the local contrast


def derivatives(count: int) -> Tensor:
    """Derivatives of Gaussians as kernels for pixel-unshuffled grey pictures.

    Returns:
        (min(count, 28), 16, 3, 3), coarse scales and low orders first.
    """
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


CELL = 4  # px

MARGIN = CELL
"""Px of padding around an image: one cell, since the kernels reach one cell far."""


class Encoder(nn.Module):
    """Compute texture at a quarter of the resolution, and shape on three levels.

    Shape is a linear convolution of the image, so filtering shape in time is the same as filtering
    the image. Its kernels sum to zero over space and colour, so a uniform change of brightness is
    not motion. Their initial values are derivatives of Gaussians. Two coarser levels show larger
    motion: the grey image at half and at quarter size, with kernels of their own.

    A cell is 4 x 4 px. Kernels are stored as 3 x 3 cells, with one channel per pixel of a cell and
    colour, and applied to the image itself with a stride of one cell. That gives the same sums as
    a pixel-unshuffled image, without moving the pixels.

    Args:
        channels: Channels C of texture and of the finest level of shape.
    """

    quadrants: Tensor
    COARSE = 16  # channels of a coarse level
    PACKED = COARSE // 4 + COARSE // 16 + 1
    """Channels of both coarse levels, reshaped to (., h, w), and of the brightness."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.shape = nn.Conv2d(48, channels, 3, bias=False)
        self.coarse = nn.Conv2d(16, self.COARSE, 3, bias=False)
        known = derivatives(channels)
        with torch.no_grad():
            self.shape.weight[: len(known)] = known.repeat(1, 3, 1, 1)
            self.coarse.weight[:] = 3 * derivatives(self.COARSE)
        quadrants = torch.eye(4).reshape(4, 1, 2, 2).repeat_interleave(2, 2).repeat_interleave(2, 3)
        self.register_buffer("quadrants", quadrants.repeat(1, 3, 1, 1) / 12, persistent=False)
        self.texture = nn.Conv2d(48, channels, 3)
        self.block = ResBlock(channels, bias=True)

    def kernels(self) -> tuple[Tensor, Tensor]:
        """Zero-sum kernels of the fine level (C, 48, 3, 3) and coarse levels (16, 16, 3, 3)."""
        fine, coarse = (
            w - w.mean((1, 2, 3), keepdim=True) for w in (self.shape.weight, self.coarse.weight)
        )
        return fine, coarse

    def forward(self, padded: Tensor, white: float = 1.0) -> tuple[Tensor, Tensor]:
        """Image -> texture (B, C, H/4, W/4) and shape (B, C + 6, H/4, W/4).

        Args:
            padded: (B, 3, H + 8, W + 8), the image after `pad_border`.
            white: Value of white in the image, 1 or 255. The kernels are divided by it, which is
                cheaper than dividing the image.
        """
        shape = self.encode_shape(padded, white)
        weight, bias = self.texture.weight, self.texture.bias
        assert bias is not None
        if weight.dtype is not padded.dtype:  # half precision cannot hold such small kernels
            padded, white = (padded / white).to(weight.dtype), 1.0
        texture = _cell_convolution(padded, weight / white, bias - weight.sum((1, 2, 3)) / 2)
        texture = self.block(torch.relu(texture))  # (B, C, h, w)
        return texture, shape

    def encode_shape(self, padded: Tensor, white: float = 1.0) -> Tensor:
        """Compute the shape of a padded image, or of a difference of images: (B, C + 6, H/4, W/4).

        The last 6 channels hold the coarse levels, reshaped, and the brightness; `levels` and
        `brightness` separate them.
        """
        with torch.autocast(padded.device.type, enabled=False):
            # Shapes differ between frames by a thousandth, too little for bfloat16.
            fine, coarse = (kernels / white for kernels in self.kernels())
            shape = _cell_convolution(padded, fine)  # (B, C, h, w)
            grey = F.conv2d(padded, self.quadrants, stride=4)[..., 1:-1, 1:-1]  # (B, 4, h, w)
            mean = channel_sum(grey) / (4 * white)
            return pack([shape, *_coarse_codes(grey, coarse), mean])


def pad_border(image: Tensor) -> Tensor:
    """Repeat the border of an image: (B, C, H, W) -> (B, C, H + 8, W + 8)."""
    return F.pad(image, (MARGIN,) * 4, mode="replicate")


def _cell_convolution(padded: Tensor, kernels: Tensor, bias: Tensor | None = None) -> Tensor:
    """Convolve a padded image with kernels of 3 x 3 cells, with a stride of one cell."""
    return F.conv2d(padded, F.pixel_shuffle(kernels, 4), bias, stride=4)


def _coarse_codes(grey: Tensor, kernels: Tensor) -> tuple[Tensor, Tensor]:
    """Codes of the grey image at half and at quarter size.

    Args:
        grey: (B, 4, h, w), the image at half size: the four pixels of each cell as channels. Their
            mean is one pixel at quarter size.
        kernels: (16, 16, 3, 3), the same for both sizes.

    Returns:
        (B, 16, h/2, w/2) and (B, 16, h/4, w/4).
    """
    pixels = F.pixel_shuffle(kernels, 4)  # (16, 1, 12, 12)
    half, quarter = (F.pad(grey, (edge,) * 4, mode="replicate") for edge in (2, 4))
    return (
        F.conv2d(half, F.pixel_unshuffle(pixels, 2), stride=2),
        F.conv2d(quarter, pixels.expand(-1, 4, -1, -1) / 4, stride=4),
    )


def levels(shape: Tensor) -> list[Tensor]:
    """Separate the levels of shape, or of filtered shape, at 1/4, 1/8 and 1/16 of the image size.

    Returns:
        (B, C, h, w), (B, 16, h/2, w/2) and (B, 16, h/4, w/4).
    """
    b, channels, h, w = shape.shape
    fine, half, quarter, _ = torch.split(shape, [channels - 6, 4, 1, 1], dim=1)
    return [fine, half.reshape(b, 16, h // 2, w // 2), quarter.reshape(b, 16, h // 4, w // 4)]


def brightness(shape: Tensor) -> Tensor:
    """Mean brightness of each cell, (B, 1, h, w), 0 to 1; of filtered shape: its change."""
    return shape[:, -1:]


def pack(parts: Sequence[Tensor]) -> Tensor:
    """Put the levels and the brightness into one tensor, (B, C + 6, h, w)."""
    fine, half, quarter, mean = parts
    h, w = fine.shape[2:]
    return torch.cat([fine, half.reshape(-1, 4, h, w), quarter.reshape(-1, 1, h, w), mean], dim=1)
