"""What MagNet knows of one picture: what it looks like, and where things are."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtmag.train.network.layers import ResBlock

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


MARGIN = 4
"""Px around an image: a cell, for kernels reach one cell far."""


class Encoder(nn.Module):
    """Image -> texture at a quarter of the resolution, and shape on three levels.

    `shape` is one linear convolution, so that filtering it in time is exact. Its kernels sum to
    zero over space and colour: a uniform change of brightness is no motion. They begin as
    derivatives of Gaussians. Motion of many pixels shows in smaller pictures, of which grey is
    enough: kernels of their own see the picture at a half and at a quarter of its size.

    Kernels are kept as 3 x 3 on cells of 4 x 4 px, one channel per pixel and colour, and applied to
    the picture itself, in steps of a cell: the same sums without moving the pixels first.
    """

    quadrants: Tensor
    COARSE = 16  # channels of a coarse level
    PACKED = COARSE // 4 + COARSE // 16  # channels that the coarse levels fill at full resolution

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
        """Those of shape, (C, 48, 3, 3), and of its coarse levels, (16, 16, 3, 3)."""
        fine, coarse = (
            w - w.mean((1, 2, 3), keepdim=True) for w in (self.shape.weight, self.coarse.weight)
        )
        return fine, coarse

    def forward(self, padded: Tensor, white: float = 1.0) -> tuple[Tensor, Tensor]:
        """Image -> texture (B, C, H/4, W/4) and shape (B, C + 5, H/4, W/4).

        Args:
            padded: (B, 3, H + 8, W + 8), the image with its border repeated: `pad_border`.
            white: The image's largest value: scaling kernels is cheaper than scaling pictures.
        """
        shape = self.encode_shape(padded, white)
        weight, bias = self.texture.weight, self.texture.bias
        assert bias is not None
        if weight.dtype is not padded.dtype:  # half: such small kernels would lose their digits
            padded, white = (padded / white).to(weight.dtype), 1.0
        texture = _cell_convolution(padded, weight / white, bias - weight.sum((1, 2, 3)) / 2)
        texture = self.block(torch.relu(texture))  # (B, C, h, w)
        return texture, shape

    def encode_shape(self, padded: Tensor, white: float = 1.0) -> Tensor:
        """Image, or a difference of images, with its border -> shape alone.

        The last channels hold the levels at H/8 and H/16, laid out as `levels` reads them.
        """
        with torch.autocast(padded.device.type, enabled=False):
            # The difference of two shapes is a thousandth of either, too little for bfloat16.
            fine, coarse = (kernels / white for kernels in self.kernels())
            shape = _cell_convolution(padded, fine)  # (B, C, h, w)
            grey = F.conv2d(padded, self.quadrants, stride=4)[..., 1:-1, 1:-1]  # (B, 4, h, w)
            codes = _coarse_codes(grey, coarse)
            h, w = shape.shape[2:]
            folded = [code.reshape(-1, n, h, w) for code, n in zip(codes, (4, 1), strict=True)]
            return torch.cat([shape, *folded], dim=1)


def pad_border(image: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C, H + 8, W + 8), with its border repeated."""
    return F.pad(image, (MARGIN,) * 4, mode="replicate")


def _cell_convolution(padded: Tensor, kernels: Tensor, bias: Tensor | None = None) -> Tensor:
    """Convolve a picture with kernels for cells, once per cell."""
    return F.conv2d(padded, F.pixel_shuffle(kernels, 4), bias, stride=4)


def _coarse_codes(grey: Tensor, kernels: Tensor) -> tuple[Tensor, Tensor]:
    """Codes of the picture at a half and at a quarter of its size.

    Args:
        grey: (B, 4, h, w): the halved picture, 2 x 2 of its pixels to a cell. Their mean is a pixel
            of the quartered one.
        kernels: (16, 16, 3, 3), of either picture.

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
    """Shape, or a filter of it -> (B, C, h, w), (B, 16, h/2, w/2) and (B, 16, h/4, w/4)."""
    b, channels, h, w = shape.shape
    fine, half, quarter = torch.split(shape, [channels - 5, 4, 1], dim=1)
    return [fine, half.reshape(b, 16, h // 2, w // 2), quarter.reshape(b, 16, h // 4, w // 4)]
