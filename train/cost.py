"""What a network costs, whatever runs it."""

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from rtmag.train.network.magnet import MagNet
from rtmag.train.network.oh2018 import Oh2018

SIDE = 64  # px; a larger one gives a little less, as borders are seen too


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one step."""

    parameters: int
    macs: int
    """Multiply-accumulates per pixel of convolutions and matrix products; one encode per frame."""


def cost(net: MagNet | Oh2018) -> Cost:
    """Count."""
    image, alpha = torch.zeros(1, 3, SIDE, SIDE), torch.tensor([2.0])
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        texture, shape = net.encode(image)
        net.decode(image, texture, shape, torch.zeros_like(shape), alpha)
    macs = int(counter.get_total_flops()) // (2 * SIDE * SIDE)
    return Cost(sum(p.numel() for p in net.parameters()), macs)
