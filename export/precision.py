"""Half precision where nothing small is divided: explicit types, as TensorRT wants them.

Shape, its differences and velocities stay in float32: the difference of two shapes is a thousandth
of either, and half precision keeps three digits. Texture and the decoder's body need no more.
"""

import copy
from typing import Literal

from rtmag.realtime.errors import OptionError
from rtmag.train.model import MagNet
from rtmag.train.oh2018 import Oh2018

Precision = Literal["fp32", "fp16"]


def converted(net: MagNet | Oh2018, precision: Precision) -> MagNet | Oh2018:
    """The network in that precision; a copy where it is another than its own.

    Raises:
        OptionError: half precision of a network whose shape would have to be in it too.
    """
    if precision == "fp32":
        return net
    if not isinstance(net, MagNet):
        raise OptionError("--precision fp16 is for MagNet: the paper's network makes shapes by it")
    net = copy.deepcopy(net)
    decoder, manipulator, encoder = net.decoder, net.manipulator, net.encoder
    for layer in (
        encoder.texture, encoder.block, manipulator.before, manipulator.after,
        decoder.mix, decoder.body, decoder.correction,
    ):  # fmt: skip
        layer.half()
    return net
