"""MagNet, the network that runs live.

Inputs
    image       (B, 3, H, W) float in [0, 1], BGR; H and W multiples of 16
    alpha       (B,) total magnification factor; 1 leaves motion unchanged

Outputs
    image       (B, 3, H, W) float, about [0, 1], not clipped

Stages
    encode      image -> texture (what it looks like), shape (where things are)
    difference  shape - reference shape; at run time any temporal filter of shape takes its place
    decode      image, texture, shape, difference, alpha -> magnified image

Conventions
    The net shows the *current* frame with its motion enlarged, so the difference is scaled by
    alpha - 1. A difference of zero, or alpha = 1, changes nothing, exactly: everything
    after the difference is free of biases, and what does not scale with it, such as texture, enters
    through a gate that is zero there.

References:
    T.-H. Oh et al., Learning-based Video Motion Magnification, ECCV 2018 (arXiv 1804.02684).
    B. D. Lucas, T. Kanade, An iterative image registration technique, IJCAI 1981 (velocity).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtmag.train.config import CONFIGS, Config
from rtmag.train.kernels import derivatives
from rtmag.train.lucas_kanade import LucasKanade
from rtmag.train.matching import Matching
from rtmag.train.oh2018 import Oh2018


def build(config: Config) -> "MagNet | Oh2018":
    """The network that a configuration describes, freshly initialised."""
    if config.architecture == "magnet":
        return MagNet(config)
    if config.architecture == "oh2018":
        return Oh2018(config)
    raise ValueError(f"architecture must be 'magnet' or 'oh2018', got {config.architecture!r}")


def column(alpha: Tensor) -> Tensor:
    """(B,) or () -> (B, 1, 1, 1), to multiply feature maps."""
    return alpha.reshape(-1, 1, 1, 1)


def squash(x: Tensor) -> Tensor:
    """X near zero, +-4 far from it: magnified noise must not drown the body's other features."""
    return x / (1 + x.abs() / 4)


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
            padded: (B, 3, H + 8, W + 8), the image with its border repeated: `bordered`.
            white: The image's largest value: scaling kernels is cheaper than scaling pictures.
        """
        shape = self.locate(padded, white)
        weight, bias = self.texture.weight, self.texture.bias
        assert bias is not None
        if weight.dtype is not padded.dtype:  # half: such small kernels would lose their digits
            padded, white = (padded / white).to(weight.dtype), 1.0
        texture = _code(padded, weight / white, bias - weight.sum((1, 2, 3)) / 2)
        texture = self.block(torch.relu(texture))  # (B, C, h, w)
        return texture, shape

    def locate(self, padded: Tensor, white: float = 1.0) -> Tensor:
        """Image, or a difference of images, with its border -> shape alone.

        The last channels hold the levels at H/8 and H/16, laid out as `levels` reads them.
        """
        with torch.autocast(padded.device.type, enabled=False):
            # The difference of two shapes is a thousandth of either, too little for bfloat16.
            fine, coarse = (kernels / white for kernels in self.kernels())
            shape = _code(padded, fine)  # (B, C, h, w)
            grey = F.conv2d(padded, self.quadrants, stride=4)[..., 1:-1, 1:-1]  # (B, 4, h, w)
            codes = _coarse_codes(grey, coarse)
            h, w = shape.shape[2:]
            folded = [code.reshape(-1, n, h, w) for code, n in zip(codes, (4, 1), strict=True)]
            return torch.cat([shape, *folded], dim=1)


def bordered(image: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C, H + 8, W + 8), with its border repeated."""
    return F.pad(image, (MARGIN,) * 4, mode="replicate")


def _code(padded: Tensor, kernels: Tensor, bias: Tensor | None = None) -> Tensor:
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


class Manipulator(nn.Module):
    """Shape difference -> how far things moved, as each level sees it, and a non-linear code."""

    def __init__(self, config: Config, kernels: tuple[Tensor, Tensor]) -> None:
        """`kernels` are the encoder's, to begin with."""
        super().__init__()
        channels = config.channels
        self.fine, self.coarse = (LucasKanade(each) for each in kernels)
        # Of the fine level and the half as fine one, both at every 8 px.
        pairs = zip(kernels, (2, 1), strict=True) if config.matching else ()
        self.matches = nn.ModuleList(Matching(*pair) for pair in pairs)
        self.before = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.after = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def velocities(self, shape: Tensor, difference: Tensor) -> Tensor:
        """Px by which to look back for what moved: (B, 6, h, w), x and y of each level.

        With matching (B, 14, h, w): x and y of two levels' matches, and what each is like.
        """
        pairs = zip(levels(shape), levels(difference), strict=True)
        fine, half, quarter = pairs
        found = [self.fine(*fine)]
        for scale, pair in ((2, half), (4, quarter)):
            wide = F.interpolate(self.coarse(*pair), scale_factor=float(scale), mode="bilinear")
            found.append(scale * wide)
        if self.matches:
            matched = [match(*pair) for match, pair in zip(self.matches, (fine, half), strict=True)]
            wide = F.interpolate(torch.cat(matched, dim=1), scale_factor=2.0, mode="bilinear")
            one, signs, two, more = wide.chunk(4, dim=1)
            found += [one, 2 * two, signs, more]
        return torch.cat(found, dim=1)

    def forward(self, difference: Tensor, gain: Tensor) -> Tensor:
        """`gain` (B, 1, 1, 1) is alpha - 1 -> code (B, C, h, w)."""
        fine = levels(difference)[0].to(self.before.weight.dtype)
        code: Tensor = self.after(gain.to(fine.dtype) * torch.relu(self.before(fine)))
        return code


class Decoder(nn.Module):
    """Texture and magnified motion -> a backward flow, by which the image is warped.

    The flow is a mean of the levels' velocities and of none, weighed by how far the body trusts
    each, plus what the body adds.
    """

    REACH = 8.0  # px: motion of this size is a feature of size one
    FEW = (
        4.0  # px: flows of this size lose half of the surplus, as none of it was seen in large ones
    )
    TRUST = (4.0, 2.0, 1.0)  # in the levels to begin with, and 0 in no motion: shares' logarithms
    MATCHED = (-2.0, -2.0)  # in matches, which must be learnt to be told from chance ones
    GATE = 1e-6  # energy at which texture is let through: a fortieth of a grey level, magnified

    def __init__(self, config: Config) -> None:
        super().__init__()
        channels, width = config.channels, config.width
        matched = self.MATCHED if config.matching else ()
        trust = self.TRUST + matched
        self.count = count = len(trust)
        """How many velocities there are to trust."""
        self.layout = [2 * count, *([2 * len(matched)] if matched else [])]
        """Channels of those, and of what matches are like."""
        self.mix = nn.Conv2d(2 * channels + sum(self.layout), width, 1, bias=False)
        self.body = nn.Sequential(*[ResBlock(width, bias=False) for _ in range(config.blocks)])
        self.correction = nn.Conv2d(width, 2 + count, 3, padding=1, bias=False)
        self.trust = nn.Parameter(torch.tensor(trust))
        self.surplus = config.surplus
        nn.init.zeros_(self.correction.weight)

    def forward(
        self, texture: Tensor, moves: Tensor, gain: Tensor, code: Tensor, energy: Tensor
    ) -> Tensor:
        """Decide where to look.

        Args:
            texture: (B, C, h, w).
            moves: (B, 6 or 14, h, w) from `Manipulator.velocities`, not magnified.
            gain: (B, 1, 1, 1), alpha - 1.
            code: (B, C, h, w).
            energy: (B, 1, h, w) of the magnified difference.

        Returns:
            The flow, (B, 2, h, w) in px.
        """
        gate = energy / (energy + self.GATE)  # (B, 1, h, w)
        velocities, *signs = torch.split(moves, self.layout, dim=1)
        velocities = gain * velocities
        known = [texture * gate.to(texture.dtype), squash(code), squash(velocities / self.REACH)]
        known += [gate * sign for sign in signs]
        x = self.body(self.mix(torch.cat(known, dim=1).to(texture.dtype)))  # (B, width, h, w)
        flow, trust = self.correction(x).float().split([2, self.count], dim=1)
        # A softmax beside nothing's zero, spelled out: runtimes are slow at one across channels.
        weight = torch.exp((trust + self.trust[:, None, None]).clamp(max=30))
        share = weight / (1 + weight.sum(1, keepdim=True))
        each = velocities.reshape(-1, self.count, 2, *velocities.shape[2:])
        moved: Tensor = flow + (share[:, :, None] * each).sum(1)
        if self.surplus:
            size = moved.square().sum(1, keepdim=True)
            moved = moved * (1 - self.surplus / (1 + size / self.FEW**2))
        return moved


class MagNet(nn.Module):
    """The real-time network: about 9 000 multiply-accumulates per pixel at C = 32.

    Oh et al. spend 240 000, most of them on synthesising pixels that the input already holds.
    Here the decoder says where pixels go, and the current frame is warped. (A residual that was
    added to that learnt nothing: without it SSIM differed by 0.0001.)
    """

    stride = 4
    """Image pixels per element of `shape`."""

    def __init__(self, config: Config = CONFIGS["standard"]) -> None:
        super().__init__()
        self.config = config
        self.shape_channels = config.channels + Encoder.PACKED
        self.encoder = Encoder(config.channels)
        self.manipulator = Manipulator(config, self.encoder.kernels())
        self.decoder = Decoder(config)

    def basis(self) -> list[Tensor]:
        """What is about right before any training, and should change slowly if at all."""
        encoder, manipulator = self.encoder, self.manipulator
        motions = [each for each in manipulator.modules() if isinstance(each, LucasKanade)]
        layers = [encoder.shape, encoder.coarse, *(each.generators for each in motions)]
        return [layer.weight for layer in layers]

    def encode(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Image -> (texture, shape)."""
        texture, shape = self.encoder(bordered(image))
        return texture, shape

    def motion(self, texture: Tensor, shape: Tensor, difference: Tensor, alpha: Tensor) -> Tensor:
        """Where to look for each cell of the picture: (B, 2, h, w), x then y, in pixels."""
        velocities = self.manipulator.velocities(shape, difference)
        return self.magnify(texture, difference, velocities, alpha)

    def magnify(
        self, texture: Tensor, difference: Tensor, velocities: Tensor, alpha: Tensor
    ) -> Tensor:
        """What `motion` does once velocities (B, 6 or 14, h, w) are known."""
        gain = column(alpha) - 1
        code = self.manipulator(difference, gain)
        energy = gain * gain * levels(difference)[0].float().square().mean(1, keepdim=True)
        flow: Tensor = self.decoder(texture, velocities, gain, code, energy)
        return flow.float()

    def decode(
        self, image: Tensor, texture: Tensor, shape: Tensor, difference: Tensor, alpha: Tensor
    ) -> Tensor:
        """The image with its motion magnified."""
        return self.compose(image, self.motion(texture, shape, difference, alpha))

    def compose(self, image: Tensor, flow: Tensor) -> Tensor:
        """Move the image's pixels."""
        flow = F.interpolate(flow, scale_factor=4.0, mode="bilinear", align_corners=False)
        return warp(image, flow)

    def forward(self, reference: Tensor, image: Tensor, alpha: Tensor) -> Tensor:
        """Two frames -> the second with its motion since the first magnified."""
        _, reference_shape = self.encode(reference)
        texture, shape = self.encode(image)
        return self.decode(image, texture, shape, shape - reference_shape, alpha)


def warp(image: Tensor, flow: Tensor) -> Tensor:
    """Backward bilinear warp: out(p) = image(p + flow(p)), edges repeated.

    Args:
        image: (B, C, H, W).
        flow: (B, 2, H, W), x then y, in pixels.
    """
    height, width = image.shape[-2:]
    x = torch.arange(width, device=image.device, dtype=flow.dtype)
    y = torch.arange(height, device=image.device, dtype=flow.dtype)
    gx = (flow[:, 0] + x[None, None, :]) * (2 / (width - 1)) - 1
    gy = (flow[:, 1] + y[None, :, None]) * (2 / (height - 1)) - 1
    grid = torch.stack([gx, gy], dim=-1)  # (B, H, W, 2)
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=True)
