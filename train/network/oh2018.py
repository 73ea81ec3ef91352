"""The network of Oh et al. 2018, layer by layer, to compare MagNet with.

Inputs, outputs and stages are those of MagNet (magnet.py), but it synthesises every pixel.

References:
    T.-H. Oh et al., Learning-based Video Motion Magnification, ECCV 2018 (arXiv 1804.02684).
"""

import torch
from torch import Tensor, nn

from rtmag.train.network.config import CONFIGS, Config


def _conv(cin: int, cout: int, kernel: int) -> nn.Sequential:
    """Convolution without bias, with reflection padding that keeps the size."""
    return nn.Sequential(nn.ReflectionPad2d(kernel // 2), nn.Conv2d(cin, cout, kernel, bias=False))


def _halve(cin: int, cout: int) -> nn.Sequential:
    """Convolution with stride 2, padded as TensorFlow's SAME: 0 px before, 1 px after."""
    return nn.Sequential(
        nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(cin, cout, 3, stride=2, bias=False), nn.ReLU()
    )


class OhBlock(nn.Module):
    """The paper's residual block: reflect, conv, relu, reflect, conv, add."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _conv(channels, channels, 3), nn.ReLU(), _conv(channels, channels, 3)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> the same."""
        out: Tensor = x + self.body(x)
        return out


class Oh2018(nn.Module):
    """The network of Oh et al. with the authors' settings: 918 928 parameters, no biases.

    It needs 240 000 multiply-accumulates per pixel, 69 % of them in the nine blocks of the decoder.
    As in the authors' code, the decoder takes the texture of the current frame.
    """

    stride = 2
    """Image pixels per element of `shape`."""

    def __init__(self, config: Config = CONFIGS["oh2018"]) -> None:
        super().__init__()
        self.config = config
        c = self.shape_channels = config.channels
        self.encoder = nn.Sequential(
            _conv(3, 16, 7), nn.ReLU(), _halve(16, c), *[OhBlock(c) for _ in range(3)]
        )
        self.texture = nn.Sequential(_halve(c, c), OhBlock(c), OhBlock(c))
        self.shape = nn.Sequential(OhBlock(c), OhBlock(c))
        self.g = nn.Sequential(_conv(c, c, 7), nn.ReLU())
        self.h = nn.Sequential(_conv(c, c, 3), OhBlock(c))
        self.texture_up = nn.Sequential(
            nn.UpsamplingNearest2d(scale_factor=2), _conv(c, c, 3), nn.ReLU()
        )
        self.body = nn.Sequential(*[OhBlock(2 * c) for _ in range(config.blocks)])
        self.tail = nn.Sequential(
            nn.UpsamplingNearest2d(scale_factor=2), _conv(2 * c, c, 3), nn.ReLU(), _conv(c, 3, 7)
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.trunc_normal_(module.weight, std=0.02, a=-0.04, b=0.04)

    def encode(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Image -> texture (B, 32, H/4, W/4), shape (B, 32, H/2, W/2)."""
        features = self.encoder(image * 2 - 1)
        return self.texture(features), self.shape(features)

    def decode(
        self, image: Tensor, texture: Tensor, shape: Tensor, difference: Tensor, alpha: Tensor
    ) -> Tensor:
        """The magnified image, synthesised; `image` is not used."""
        magnified = shape + self.h(self.g(difference) * (alpha.reshape(-1, 1, 1, 1) - 1))
        x = self.body(torch.cat([self.texture_up(texture), magnified], dim=1))
        out: Tensor = (self.tail(x) + 1) / 2
        return out

    def forward(self, reference: Tensor, image: Tensor, alpha: Tensor) -> Tensor:
        """Magnify the motion from `reference` to `image`, (B, 3, H, W) each; alpha is (B,)."""
        _, reference_shape = self.encode(reference)
        texture, shape = self.encode(image)
        return self.decode(image, texture, shape, shape - reference_shape, alpha)
