"""Motion of more than a cell, from codes that are matched with their neighbours' of before.

Lucas and Kanade's method follows what moved by less than the finest detail that a code still sees;
beyond that its estimate is about nothing. Codes of whole cells, however, can be compared with what
stood in another cell before, without any filter between: of the nine cells around, the one from
which the code differs least, once motion within the cell is taken off, is where it came from.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtmag.train.network.layers import box_mean, channel_sum
from rtmag.train.network.lucas_kanade import LucasKanade, solve_normal_equations

CELL = 4  # px of a level's own picture

NEIGHBOURS = tuple((x, y) for y in (-1, 0, 1) for x in (-1, 0, 1))  # cells

CENTRE = NEIGHBOURS.index((0, 0))


class Matching(nn.Module):
    """Codes and their change -> where they came from, up to a cell and a half away.

    Of a code the coarsest few channels suffice, and are better than all: finer ones repeat within
    a cell, and name a wrong one as often as the right one (of 32 channels, 8 match best).

    A neighbour takes part as far as it explains the code better than the cell itself does, so
    without a change nothing is found, exactly. The code of before is the code less its change,
    whatever temporal filter made that.
    """

    CHANNELS = 8
    around: Tensor

    def __init__(self, kernels: Tensor, step: int) -> None:
        """Begin with what makes the code.

        Args:
            kernels: (C, 16 n, 3, 3).
            step: There is an answer for every so many cells, in both directions.
        """
        super().__init__()
        self.step = step
        self.near = LucasKanade(kernels[: self.CHANNELS])
        around = CELL * torch.tensor(list(zip(*NEIGHBOURS, strict=True)), dtype=torch.float32)
        self.register_buffer("around", around[..., None, None], persistent=False)  # px

    def forward(self, code: Tensor, change: Tensor) -> Tensor:
        """(B, C, h, w) each -> (B, 4, h / step, w / step).

        Px by which to look back, x and y; how far another cell than its own is believed, and which
        share of the code none explains. The last two are within 0 and about 1.
        """
        with torch.autocast(code.device.type, enabled=False):  # as for LucasKanade
            code, change = (x[:, : self.CHANNELS].float() for x in (code, change))
            d = differences(code, change, self.step)  # (B, 9, C, h, w), of what is answered for
            code = code[:, :, :: self.step, :: self.step]
            mx, my = self.near.derivatives(code)
            shape = -1, len(NEIGHBOURS), *code.shape[2:]
            pairs = [(m * d).flatten(0, 1) for m in (mx[:, None], my[:, None], d)]
            products = mx * mx, my * my, mx * my, code * code
            sums = [channel_sum(p).reshape(shape) for p in pairs] + [
                channel_sum(p) for p in products
            ]
            xd, yd, dd, *own = torch.split(
                box_mean(torch.cat(sums, dim=1)), [9, 9, 9, 1, 1, 1, 1], dim=1
            )
            xx, yy, xy, energy = own
            vx, vy = solve_normal_equations(xx, yy, xy, xd, yd)  # (B, 9, h, w)
            # Clamped, not rectified: before a graph's first Relu only convolutions are rounded.
            error = (dd - vx * xd - vy * yd).clamp(min=0.0) / (energy + LucasKanade.EPS)
            weights = displacement_weights(error)
            x, y = self.around
            means = [channel_sum(weights * p) for p in (vx + x, vy + y, error)]
            moved = 1 - weights[:, CENTRE : CENTRE + 1]
            return torch.cat([*means[:2], moved, means[2]], dim=1)


def differences(code: Tensor, change: Tensor, step: int) -> Tensor:
    """Of every so many cells, code less what stood in the nine around before: (B, 9, C, h, w)."""
    before = F.pad(code - change, (1, 1, 1, 1), mode="replicate")
    h, w = code.shape[2:]
    code, change = (x[:, :, ::step, ::step] for x in (code, change))
    each = [
        code - before[:, :, 1 + y : 1 + y + h : step, 1 + x : 1 + x + w : step]
        for x, y in NEIGHBOURS
    ]
    each[CENTRE] = change  # as it is, for a difference of two codes has lost its digits
    return torch.stack(each, dim=1)


CENTRE_WEIGHT = 0.2  # weight of the cell itself beside neighbours that explain more

ERROR_FLOOR = 0.05  # share of a code's energy that is no reason to prefer another cell


def displacement_weights(error: Tensor) -> Tensor:
    """What nine displacements leave unexplained -> their weights, of sum 1, (B, 9, h, w).

    Exactly 1 for the cell itself where no other leaves less.
    """
    ratio = (error[:, CENTRE : CENTRE + 1] + ERROR_FLOOR) / (error + ERROR_FLOOR)
    square = ratio * ratio
    better = (square * square - 1).clamp(min=0.0)
    share = better / (CENTRE_WEIGHT + channel_sum(better))
    rest = 1 - channel_sum(share)
    return torch.cat([share[:, :CENTRE], rest, share[:, CENTRE + 1 :]], dim=1)
