"""What MagNet sees before it has seen a picture: derivatives of Gaussians.

The derivative of one by displacement is again one, of the next order, so such a bank knows its own
change under motion (train/lucas_kanade.py).

References:
    J. J. Koenderink, A. J. van Doorn, Representation of local geometry in the visual system,
    Biological Cybernetics 1987.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

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
