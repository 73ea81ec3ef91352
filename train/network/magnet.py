"""MagNet, the real-time network.

Inputs
    image       (B, 3, H, W) float in [0, 1], BGR; H and W multiples of 16
    alpha       (B,) total magnification factor; 1 leaves motion unchanged

Outputs
    image       (B, 3, H, W) float, about [0, 1], not clipped

Stages
    encode      image -> texture (appearance), shape (positions)
    difference  shape - reference shape; live, a temporal filter of shape takes its place
    light       what a change of light explains is taken out of the difference
    decode      image, texture, shape, difference, alpha -> magnified image

Conventions
    The output is the *current* frame with its motion magnified, so the difference is scaled by
    alpha - 1. A difference of zero, or alpha = 1, changes nothing, exactly: no layer after the
    difference has a bias, and texture passes a gate that is zero when the difference is zero.

References:
    T.-H. Oh et al., Learning-based Video Motion Magnification, ECCV 2018 (arXiv 1804.02684).
    B. D. Lucas, T. Kanade, An iterative image registration technique, IJCAI 1981 (velocities).
"""

from torch import Tensor, nn
from torch.nn import functional as F

from rtmag.train.network.config import CONFIGS, Config
from rtmag.train.network.decoder import Decoder
from rtmag.train.network.encoder import Encoder, pad_border
from rtmag.train.network.layers import channel_sum, warp
from rtmag.train.network.light import light_codes
from rtmag.train.network.lucas_kanade import LucasKanade
from rtmag.train.network.manipulator import Manipulator
from rtmag.train.network.oh2018 import Oh2018


def build(config: Config) -> "MagNet | Oh2018":
    """Build the network of a configuration, with initial weights.

    Raises:
        ValueError: the architecture is not `magnet` or `oh2018`.
    """
    if config.architecture == "magnet":
        return MagNet(config)
    if config.architecture == "oh2018":
        return Oh2018(config)
    raise ValueError(f"architecture must be 'magnet' or 'oh2018', got {config.architecture!r}")


class MagNet(nn.Module):
    """The real-time network: about 9 000 multiply-accumulates per pixel at C = 32.

    The network of Oh et al. needs 240 000, most of them to synthesise pixels that the input already
    has. MagNet's decoder computes a flow instead, and the current frame is warped. (A learnt
    residual on top of the warp made no difference: SSIM changed by 0.0001.)
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
        """Weights that are about right before training and should change slowly."""
        encoder, manipulator = self.encoder, self.manipulator
        motions = [each for each in manipulator.modules() if isinstance(each, LucasKanade)]
        layers = [encoder.shape, encoder.coarse, *(each.generators for each in motions)]
        return [layer.weight for layer in layers]

    def encode(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Image (B, 3, H, W) -> texture (B, C, H/4, W/4), shape (B, C + 6, H/4, W/4)."""
        texture, shape = self.encoder(pad_border(image))
        return texture, shape

    def motion(self, texture: Tensor, shape: Tensor, difference: Tensor, alpha: Tensor) -> Tensor:
        """The backward flow of the magnified picture: (B, 2, h, w) px, x then y, one per cell."""
        velocities, moved = self.velocities(shape, difference)
        return self.magnify(texture, moved, velocities, alpha)

    def velocities(self, shape: Tensor, difference: Tensor) -> tuple[Tensor, Tensor]:
        """Velocities of `Manipulator.velocities`, and the difference without changes of light."""
        light = light_codes(shape, difference, self.encoder.kernels())
        return self.manipulator.velocities(shape, difference, light)

    def magnify(self, texture: Tensor, moved: Tensor, velocities: Tensor, alpha: Tensor) -> Tensor:
        """The backward flow, from the finest level of the difference and from velocities.

        Both are results of `velocities`: (B, C, h, w) and (B, 6 or 14, h, w).
        """
        gain = alpha.reshape(-1, 1, 1, 1) - 1
        code = self.manipulator(moved, gain)
        energy = gain * gain * channel_sum(moved * moved) / moved.shape[1]
        flow: Tensor = self.decoder(texture, velocities, gain, code, energy)
        return flow.float()

    def decode(
        self, image: Tensor, texture: Tensor, shape: Tensor, difference: Tensor, alpha: Tensor
    ) -> Tensor:
        """The image with its motion magnified."""
        return self.compose(image, self.motion(texture, shape, difference, alpha))

    def compose(self, image: Tensor, flow: Tensor) -> Tensor:
        """Warp the image (B, 3, H, W) by a flow (B, 2, H/4, W/4) in px."""
        flow = F.interpolate(flow, scale_factor=4.0, mode="bilinear", align_corners=False)
        return warp(image, flow)

    def forward(self, reference: Tensor, image: Tensor, alpha: Tensor) -> Tensor:
        """Magnify the motion from `reference` to `image`, (B, 3, H, W) each; alpha is (B,)."""
        _, reference_shape = self.encode(reference)
        texture, shape = self.encode(image)
        return self.decode(image, texture, shape, shape - reference_shape, alpha)
