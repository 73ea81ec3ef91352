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

    def velocities(
        self, shape: Tensor, difference: Tensor, light: tuple[Tensor, Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Estimate the backward displacements, in px of the image, not magnified.

        Args:
            shape: (B, C + 6, h, w), all levels as `Encoder` packs them.
            difference: The same shape, filtered in time.
            light: The change of each level by a change of light, as `light_codes` returns it.

        Returns:
            (B, 6, h, w), x and y of three levels. With matching (B, 14, h, w): after these, x and y
            of two matches, and two measures of reliability of each match, as `Matching` returns.
            And the change of the finest level without changes of light, (B, C, h, w).
        """
        fine, half, quarter = zip(levels(shape), levels(difference), light, strict=True)
        half_velocity, share = self.coarse.with_light(*half)
        quarter_velocity, _ = self.coarse.with_light(*quarter)
        # The half-size level decides for the finest one too, at a quarter of the cost.
        moved = fine[1] - upsample(share, 2) * fine[2]
        estimates = [self.fine(fine[0], moved)]
        estimates += [2 * upsample(half_velocity, 2), 4 * upsample(quarter_velocity, 4)]
        if self.matches:
            pairs = (fine[0], moved), (half[0], half[1] - share * half[2])
            matched = [match(*pair) for match, pair in zip(self.matches, pairs, strict=True)]
            upsampled = upsample(torch.cat(matched, dim=1), 2)
            fine_match, fine_reliability, half_match, half_reliability = upsampled.chunk(4, dim=1)
            estimates += [fine_match, 2 * half_match, fine_reliability, half_reliability]
        return torch.cat(estimates, dim=1), moved

    def forward(self, moved: Tensor, gain: Tensor) -> Tensor:
        """Change of the finest level and gain (B, 1, 1, 1), alpha - 1 -> code, (B, C, h, w)."""
        change = moved.to(self.before.weight.dtype)
        code: Tensor = gain.to(change.dtype) * self.after(torch.relu(self.before(change)))
        return code
