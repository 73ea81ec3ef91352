"""Manipulator of MagNet: the change of shape becomes velocities and a code for the decoder."""

import torch
from torch import Tensor, nn

from rtmag.train.network.config import Config
from rtmag.train.network.encoder import levels
from rtmag.train.network.layers import upsample
from rtmag.train.network.lucas_kanade import LucasKanade
from rtmag.train.network.matching import Matching


class Manipulator(nn.Module):
    """Velocities of each level before magnification, and a non-linear code of the magnified change.

    The non-linear code is the manipulator of Oh et al. 2018, section 3.2; the velocities are an
    addition.

    Args:
        config: The network's configuration.
        kernels: The encoder's shape kernels, fine and coarse, for the initial weights.
    """

    def __init__(self, config: Config, kernels: tuple[Tensor, Tensor]) -> None:
        super().__init__()
        channels = config.channels
        self.fine, self.coarse = (LucasKanade(each) for each in kernels)
        # For the fine and the half-size level; both give a result for every 8 px of the image.
        pairs = zip(kernels, (2, 1), strict=True) if config.matching else ()
        self.matches = nn.ModuleList(Matching(*pair) for pair in pairs)
        self.before = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.after = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def velocities(self, shape: Tensor, difference: Tensor) -> Tensor:
        """Estimate the backward displacements, in px of the image, not magnified.

        Args:
            shape: (B, C + 5, h, w), all levels as `Encoder` packs them.
            difference: The same shape, filtered in time.

        Returns:
            (B, 6, h, w), x and y of three levels. With matching (B, 14, h, w): after these, x and y
            of two matches, and two measures of reliability of each match, as `Matching` returns.
        """
        pairs = zip(levels(shape), levels(difference), strict=True)
        fine, half, quarter = pairs
        estimates = [self.fine(*fine)]
        for scale, pair in ((2, half), (4, quarter)):
            estimates.append(scale * upsample(self.coarse(*pair), scale))
        if self.matches:
            matched = [match(*pair) for match, pair in zip(self.matches, (fine, half), strict=True)]
            upsampled = upsample(torch.cat(matched, dim=1), 2)
            fine_match, fine_reliability, half_match, half_reliability = upsampled.chunk(4, dim=1)
            estimates += [fine_match, 2 * half_match, fine_reliability, half_reliability]
        return torch.cat(estimates, dim=1)

    def forward(self, difference: Tensor, gain: Tensor) -> Tensor:
        """Difference (B, C + 5, h, w) and gain (B, 1, 1, 1), alpha - 1 -> code (B, C, h, w)."""
        fine = levels(difference)[0].to(self.before.weight.dtype)
        code: Tensor = gain.to(fine.dtype) * self.after(torch.relu(self.before(fine)))
        return code
