"""The temporal filter as a recurrence on torch tensors: a cascade of second-order sections.

The runtime designs a filter (rtmag/realtime/filters.py) and passes it as an array of sections, one
row b0, b1, b2, a1, a2 each, in transposed direct form II:

    y  = b0 s + z1
    z1 = b1 s - a1 y + z2
    z2 = b2 s - a2 y

`transition` writes one step of the cascade as a matrix, so that an exported graph can run it.
`Cascade` runs it on whole tensors and keeps its own memory, for validation during training.
Both start in the same way: the first value s is the reference, y = 0, and the first section holds
z1 = -b0 s, z2 = b2 s, which is the steady state of a constant input s.
"""

import torch
from torch import Tensor

from rtmag.realtime.engines.contract import MAX_SECTIONS
from rtmag.realtime.sections import Sections

IDENTITY = [[float(row == column) for column in range(5)] for row in range(5)]
"""Written out as numbers: `torch.eye` exports as comparisons of bytes, which TensorRT lacks."""


def transition(sections: Tensor, reset: Tensor) -> Tensor:
    """One step of the cascade as a matrix.

    Args:
        sections: (S, 5), S is 1 or 2; for N streams (S, 5, N, 1).
        reset: (), 0 or 1; for N streams (N, 1, 1). 1 makes the input the new reference: the matrix
            ignores the memory.

    Returns:
        (1 + 2 S, 1 + 2 S), for N streams (N, 1 + 2 S, 1 + 2 S). It maps (s, z1, z2 of each section)
        to (y, the new z1, z2 of each section).
    """
    count = sections.shape[0]
    pass_through = sections.new_tensor(
        [[1.0, 0, 0, 0, 0]] * MAX_SECTIONS
    )  # pads one section to two
    if sections.dim() > pass_through.dim():
        pass_through = pass_through[..., None, None].expand(MAX_SECTIONS, 5, *sections.shape[2:])
    first, second = torch.cat([sections, pass_through])[:MAX_SECTIONS].unbind(0)
    s, z11, z12, z21, z22 = sections.new_tensor(IDENTITY).unbind(0)
    b0, b1, b2, a1, a2 = first.unbind(0)
    y1 = b0 * s + z11
    rows = [b1 * s - a1 * y1 + z12, b2 * s - a2 * y1]
    c0, c1, c2, d1, d2 = second.unbind(0)
    y2 = c0 * y1 + z21
    rows += [c1 * y1 - d1 * y2 + z22, c2 * y1 - d2 * y2]
    step = torch.stack([y2, *rows], dim=y2.dim() - 1)
    zero = torch.zeros_like(y2)
    start = torch.stack([zero, -b0 * s, b2 * s, zero, zero], dim=y2.dim() - 1)
    matrix = step + reset * (start - step)
    return matrix[..., : 1 + 2 * count, : 1 + 2 * count]


class Cascade:
    """A filter with its memory, applied to each element of a tensor over time.

    Args:
        sections: (S, 5), for the frame rate of the input.
    """

    def __init__(self, sections: Sections) -> None:
        self.sections = sections
        self._memory: list[tuple[Tensor, Tensor]] | None = None

    def __call__(self, shape: Tensor) -> Tensor:
        """Filter the next value.

        The first value, and the first one of another shape, becomes the reference and gives zero.
        """
        if self._memory is None or self._memory[0][0].shape != shape.shape:
            return self._start(shape)
        for index, (b0, b1, b2, a1, a2) in enumerate(self.sections.tolist()):
            z1, z2 = self._memory[index]
            out = b0 * shape + z1
            self._memory[index] = (b1 * shape - a1 * out + z2, b2 * shape - a2 * out)
            shape = out
        return shape

    def _start(self, shape: Tensor) -> Tensor:
        zero = torch.zeros_like(shape)
        b0, _, b2 = self.sections[0, :3].tolist()
        self._memory = [(-b0 * shape, b2 * shape)]
        self._memory += [(zero, zero)] * (len(self.sections) - 1)
        return zero
