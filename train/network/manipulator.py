"""What MagNet reads from the change of shape: how far things moved, before that is magnified."""

import torch
from torch import Tensor, nn

from rtmag.train.network.config import Config
from rtmag.train.network.encoder import levels
from rtmag.train.network.layers import upsample
from rtmag.train.network.lucas_kanade import LucasKanade
from rtmag.train.network.matching import Matching


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
            found.append(scale * upsample(self.coarse(*pair), scale))
        if self.matches:
            matched = [match(*pair) for match, pair in zip(self.matches, (fine, half), strict=True)]
            one, signs, two, more = upsample(torch.cat(matched, dim=1), 2).chunk(4, dim=1)
            found += [one, 2 * two, signs, more]
        return torch.cat(found, dim=1)

    def forward(self, difference: Tensor, gain: Tensor) -> Tensor:
        """`gain` (B, 1, 1, 1) is alpha - 1 -> code (B, C, h, w)."""
        fine = levels(difference)[0].to(self.before.weight.dtype)
        code: Tensor = gain.to(fine.dtype) * self.after(torch.relu(self.before(fine)))
        return code
