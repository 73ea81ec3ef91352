"""Growth of a MagNet: a larger network starts with the weights of a smaller one.

It computes the same as the smaller one at first. New channels and blocks may read all features,
but the old parts do not read them yet: those weights start at zero. Training from initial weights
would take hours to reach the same point.

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


def is_smaller(small: Mapping[str, Tensor], large: Mapping[str, Tensor]) -> bool:
    """True if both are weights of MagNets and each tensor of `small` fits into its larger twin."""
    if _SHAPE not in small or not small.keys() <= large.keys():
        return False
    pairs = [(small[name].shape, large[name].shape) for name in small]
    fit = all(len(a) == len(b) and all(map(int.__le__, a, b)) for a, b in pairs)
    return fit and (len(small) < len(large) or any(a != b for a, b in pairs))


def grow(small: Mapping[str, Tensor], large: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights with which the larger network computes the same as the smaller one.

    Args:
        small: Weights of the smaller network.
        large: Initial weights of the larger network.
    """
    channels, added = small[_SHAPE].shape[0], large[_SHAPE].shape[0] - small[_SHAPE].shape[0]
    out = {name: value.clone() for name, value in large.items()}
    for name, value in small.items():
        outputs, inputs = (torch.arange(side) for side in (*value.shape, 1)[:2])
        if name == _MIX:  # its inputs are texture, code and velocities, in this order
            inputs = inputs + added * (inputs // channels).clamp(max=2)
        if name == _GENERATORS:  # derivatives by x, then by y; new ones start at zero
            outputs = outputs + added * (outputs // channels)
            out[name].zero_()
        if value.dim() == 1:
            out[name][outputs] = value
            continue
        rows = torch.zeros_like(out[name][outputs])
        rows[:, inputs] = value
        out[name][outputs] = rows
    for name in out.keys() - small.keys():  # blocks that the smaller network lacks
        if name.endswith("conv2.weight"):
            out[name].zero_()
    return out


def refit_matching(net: MagNet, small: Mapping[str, Tensor]) -> None:
    """Fit the matching layers to trained shape kernels, if `small` was trained without matching."""
    if any(name.startswith("manipulator.matches.") for name in small):
        return
    for match, kernels in zip(net.manipulator.matches, net.encoder.kernels(), strict=False):
        assert isinstance(match, Matching)
        match.near.fit(kernels[: match.CHANNELS])
