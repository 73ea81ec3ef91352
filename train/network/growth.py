"""A larger MagNet that begins as a smaller one: it computes the same, and has room to learn more.

What is new reads what it likes, but nothing that was there before reads it: those weights are zero.
A larger network that starts from derivatives alone takes hours to learn what the smaller one knows.

References:
    T. Chen, I. Goodfellow, J. Shlens, Net2Net: Accelerating learning via knowledge transfer,
    ICLR 2016.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from rtmag.train.network.magnet import MagNet
from rtmag.train.network.matching import Matching

_SHAPE = "encoder.shape.weight"

_GENERATORS = "manipulator.fine.generators.weight"

_MIX = "decoder.mix.weight"


def is_smaller(given: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> bool:
    """Whether both are weights of MagNets, and each of `given` has room in its other."""
    if _SHAPE not in given or not given.keys() <= own.keys():
        return False
    pairs = [(given[name].shape, own[name].shape) for name in given]
    fit = all(len(a) == len(b) and all(map(int.__le__, a, b)) for a, b in pairs)
    return fit and (len(given) < len(own) or any(a != b for a, b in pairs))


def grow(given: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of the larger network that make it compute what the smaller one does.

    Args:
        given: Of the smaller network.
        own: Of the larger one, as initialised.
    """
    c, most = given[_SHAPE].shape[0], own[_SHAPE].shape[0]
    out = {name: value.clone() for name, value in own.items()}
    for name, value in given.items():
        outputs, inputs = (torch.arange(side) for side in (*value.shape, 1)[:2])
        if name == _MIX:  # texture, code and velocities, one after the other
            inputs = inputs + (most - c) * (inputs // c).clamp(max=2)
        if name == _GENERATORS:  # derivatives by x, then by y: new ones take no part at first
            outputs = outputs + (most - c) * (outputs // c)
            out[name].zero_()
        if value.dim() == 1:
            out[name][outputs] = value
            continue
        rows = torch.zeros_like(out[name][outputs])
        rows[:, inputs] = value
        out[name][outputs] = rows
    for name in out.keys() - given.keys():  # blocks that the smaller network has not
        if name.endswith("conv2.weight"):
            out[name].zero_()
    return out


def refit_matching(net: MagNet, given: Mapping[str, Tensor]) -> None:
    """Let matching know how the codes move that were learnt without it, in `given`."""
    if any(name.startswith("manipulator.matches.") for name in given):
        return
    for match, kernels in zip(net.manipulator.matches, net.encoder.kernels(), strict=False):
        assert isinstance(match, Matching)
        match.near.fit(kernels[: match.CHANNELS])
