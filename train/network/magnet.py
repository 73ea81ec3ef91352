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
    The net shows the *current* frame with its motion upsample, so the difference is scaled by
    alpha - 1. A difference of zero, or alpha = 1, changes nothing, exactly: everything
    after the difference is free of biases, and what does not scale with it, such as texture, enters
    through a gate that is zero there.

References:
    T.-H. Oh et al., Learning-based Video Motion Magnification, ECCV 2018 (arXiv 1804.02684).
    B. D. Lucas, T. Kanade, An iterative image registration technique, IJCAI 1981 (velocity).
"""

from torch import Tensor, nn
from torch.nn import functional as F

from rtmag.train.network.config import CONFIGS, Config
from rtmag.train.network.decoder import Decoder
from rtmag.train.network.encoder import Encoder, levels, pad_border
from rtmag.train.network.layers import channel_sum, warp
from rtmag.train.network.lucas_kanade import LucasKanade
from rtmag.train.network.manipulator import Manipulator
from rtmag.train.network.oh2018 import Oh2018


def build(config: Config) -> "MagNet | Oh2018":
    """The network that a configuration describes, freshly initialised."""
    if config.architecture == "magnet":
        return MagNet(config)
    if config.architecture == "oh2018":
        return Oh2018(config)
    raise ValueError(f"architecture must be 'magnet' or 'oh2018', got {config.architecture!r}")


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
        texture, shape = self.encoder(pad_border(image))
        return texture, shape

    def motion(self, texture: Tensor, shape: Tensor, difference: Tensor, alpha: Tensor) -> Tensor:
        """Where to look for each cell of the picture: (B, 2, h, w), x then y, in pixels."""
        velocities = self.manipulator.velocities(shape, difference)
        return self.magnify(texture, difference, velocities, alpha)

    def magnify(
        self, texture: Tensor, difference: Tensor, velocities: Tensor, alpha: Tensor
    ) -> Tensor:
        """What `motion` does once velocities (B, 6 or 14, h, w) are known."""
        gain = alpha.reshape(-1, 1, 1, 1) - 1
        code = self.manipulator(difference, gain)
        fine = levels(difference)[0].float()
        energy = gain * gain * channel_sum(fine * fine) / fine.shape[1]
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
