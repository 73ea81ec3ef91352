"""Motion of more than a cell, by comparing each cell's code with nine former codes around it.

The method of Lucas and Kanade (lucas_kanade.py) works for motion smaller than the finest detail of
the code; beyond that it returns about zero. Here the code of a cell is compared with the former
codes of the cell and its eight neighbours. For each of the nine, Lucas-Kanade first removes the
motion within a cell. The neighbour with the smallest remaining difference is the origin.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtmag.train.network.layers import box_mean, channel_sum
from rtmag.train.network.lucas_kanade import LucasKanade, solve_normal_equations

CELL = 4  # px, in the picture of the level

NEIGHBOURS = tuple((x, y) for y in (-1, 0, 1) for x in (-1, 0, 1))  # cells

CENTRE = NEIGHBOURS.index((0, 0))


class Matching(nn.Module):
    """Find the displacement of each cell, up to one and a half cells, from its code and change.

    Only the coarsest channels of the code are compared. Finer patterns repeat within a cell and
    match wrong cells as often as the right one: of 32 channels, the first 8 match best.

    A neighbour gets weight only if it explains the code better than the cell itself. Without a
    change the result is therefore exactly zero. The former code is the code minus its change, for
    every temporal filter.

    Args:
        kernels: (C, 16 n, 3, 3), the kernels of the code, for the initial weights.
        step: Distance between the results in cells, horizontally and vertically.
    """

    CHANNELS = 8
    around: Tensor

    def __init__(self, kernels: Tensor, step: int) -> None:
        super().__init__()
        self.step = step
        self.near = LucasKanade(kernels[: self.CHANNELS])
        around = CELL * torch.tensor(list(zip(*NEIGHBOURS, strict=True)), dtype=torch.float32)
        self.register_buffer("around", around[..., None, None], persistent=False)  # px

    def forward(self, code: Tensor, change: Tensor) -> Tensor:
        """Match the codes.

        Args:
            code: (B, C, h, w).
            change: (B, C, h, w), the filtered change of the code.

        Returns:
            (B, 4, h / step, w / step): the backward displacement, x and y in px; the weight of all
            neighbours together, 0 to 1; and the share of the code that no displacement explains,
            0 to about 1.
        """
        with torch.autocast(code.device.type, enabled=False):  # ratios of sums need float32
            code, change = (x[:, : self.CHANNELS].float() for x in (code, change))
            d = differences(code, change, self.step)  # (B, 9, C, h / step, w / step)
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
            # `clamp`, not `relu`: an engine computes in bfloat16 after the graph's first Relu node.
            error = (dd - vx * xd - vy * yd).clamp(min=0.0) / (energy + LucasKanade.EPS)
            weights = displacement_weights(error)
            x, y = self.around
            means = [channel_sum(weights * p) for p in (vx + x, vy + y, error)]
            moved = 1 - weights[:, CENTRE : CENTRE + 1]
            return torch.cat([*means[:2], moved, means[2]], dim=1)


def differences(code: Tensor, change: Tensor, step: int) -> Tensor:
    """Differences between the code of each cell and the nine former codes around it.

    Args:
        code: (B, C, h, w).
        change: (B, C, h, w); the former code is code - change.
        step: Distance between the cells to compare, horizontally and vertically.

    Returns:
        (B, 9, C, h / step, w / step).
    """
    before = F.pad(code - change, (1, 1, 1, 1), mode="replicate")
    h, w = code.shape[2:]
    code, change = (x[:, :, ::step, ::step] for x in (code, change))
    each = [
        code - before[:, :, 1 + y : 1 + y + h : step, 1 + x : 1 + x + w : step]
        for x, y in NEIGHBOURS
    ]
    each[CENTRE] = change  # exact; code - (code - change) would be rounded
    return torch.stack(each, dim=1)


CENTRE_WEIGHT = 0.2  # of the cell itself, relative to neighbours that explain the code better

ERROR_FLOOR = 0.05  # share of a code's energy; smaller errors do not favour another cell


def displacement_weights(error: Tensor) -> Tensor:
    """Weights of the nine displacements, (B, 9, h, w), with sum 1.

    The cell itself has weight exactly 1 where no neighbour has a smaller error.

    Args:
        error: (B, 9, h, w), the share of the code that each displacement leaves unexplained.
    """
    ratio = (error[:, CENTRE : CENTRE + 1] + ERROR_FLOOR) / (error + ERROR_FLOOR)
    square = ratio * ratio
    better = (square * square - 1).clamp(min=0.0)
    share = better / (CENTRE_WEIGHT + channel_sum(better))
    rest = 1 - channel_sum(share)
    return torch.cat([share[:, :CENTRE], rest, share[:, CENTRE + 1 :]], dim=1)
