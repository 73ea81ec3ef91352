"""The graph that is exported: a network with the recurrence, colours and rounding around it.

Inputs
    image     (H, W, 3) uint8, BGR; H and W multiples of 16
    alpha     () total magnification factor
    sections  (S, 5) b0, b1, b2, a1, a2 of each second-order section; S is 1 or 2
    reset     () 1: take this image as the new reference; the state is ignored
    state     (1, 2 S C, H/stride, W/stride) what the step before returned
Outputs
    image_out (H, W, 3) uint8, BGR
    state_out like state: z1 then z2 of the first section, then of the second, C channels each
Another output of MagNet, for those who compose the picture themselves
    flow      (1, 2, H/4, W/4) where to look for each pixel, x then y, px
`Streams` is the same for N streams at once: the first dimension of everything is the stream.

Conventions
    The cascade is linear in (shape, state), so one step of it is one small matrix times both. The
    matrix is made of the sections inside the graph. A reset is another matrix, which ignores the
    state: y = 0, z1 = -b0 s, z2 = b2 s in the first section, 0 in the second
    (rtmag/realtime/filters.py).
"""

import torch
from torch import Tensor, nn

from rtmag.realtime.engines.contract import SECTIONS
from rtmag.train.network.encoder import MARGIN
from rtmag.train.network.magnet import MagNet
from rtmag.train.network.oh2018 import Oh2018

IDENTITY = [[float(row == column) for column in range(5)] for row in range(5)]
"""Its own numbers, as `torch.eye` is made of comparisons of bytes, which TensorRT knows none of."""


def transition(sections: Tensor, reset: Tensor) -> Tensor:
    """One step of the cascade as a matrix.

    Args:
        sections: (S, 5), S at most 2; of several streams (S, 5, N, 1).
        reset: (), 0 or 1; of several streams (N, 1, 1).

    Returns:
        (1 + 2 S, 1 + 2 S), or so for each of N: (s, z11, z12, z21, z22) -> (y, and the new z).
    """
    count = sections.shape[0]
    through = sections.new_tensor([[1.0, 0, 0, 0, 0]] * SECTIONS)  # a section that changes nothing
    if sections.dim() > through.dim():
        through = through[..., None, None].expand(SECTIONS, 5, *sections.shape[2:])
    first, second = torch.cat([sections, through])[:SECTIONS].unbind(0)
    s, z11, z12, z21, z22 = sections.new_tensor(IDENTITY).unbind(0)
    b0, b1, b2, a1, a2 = first.unbind(0)
    y1 = b0 * s + z11
    rows = [b1 * s - a1 * y1 + z12, b2 * s - a2 * y1]
    c0, c1, c2, d1, d2 = second.unbind(0)
    y2 = c0 * y1 + z21
    rows += [c1 * y1 - d1 * y2 + z22, c2 * y1 - d2 * y2]
    step = torch.stack([y2, *rows], dim=y2.dim() - 1)
    zero = torch.zeros_like(y2)
    afresh = torch.stack([zero, -b0 * s, b2 * s, zero, zero], dim=y2.dim() - 1)
    matrix = step + reset * (afresh - step)
    return matrix[..., : 1 + 2 * count, : 1 + 2 * count]


class Graph(nn.Module):
    """A trained network as one step from image and state to image and state."""

    floats = False
    """Whether bytes become floats first and floats bytes last, whatever CPUs would rather move:
    layers of TensorRT take no bytes, but a cast at either end of its network does."""

    def __init__(self, net: MagNet | Oh2018) -> None:
        super().__init__()
        self.net = net.eval()

    def forward(
        self, image: Tensor, alpha: Tensor, sections: Tensor, reset: Tensor, state: Tensor
    ) -> tuple[Tensor, ...]:
        """One step; see the module's description."""
        if self.floats:
            image = image.to(torch.float32)
        x = image.permute(2, 0, 1)[None].to(torch.float32) / 255  # (1, 3, H, W)
        if isinstance(self.net, MagNet):
            texture, shape = self.net.encoder(_bordered(image[None]), white=255.0)
        else:
            texture, shape = self.net.encode(x)
        memory = torch.cat([shape.reshape(1, -1), state.reshape(sections.shape[0] * 2, -1)])
        # Two products, not one and slices of it: copies cost more.
        matrix = transition(sections, reset)  # (1 + 2 S, 1 + 2 S)
        difference = (matrix[:1] @ memory).reshape(shape.shape)
        memory = (matrix[1:] @ memory).reshape(state.shape)
        if not isinstance(self.net, MagNet):
            return self._shown(self.net.decode(x, texture, shape, difference, alpha)), memory
        flow = self.net.motion(texture, shape, difference, alpha)
        return self._shown(self.net.compose(x, flow)), memory, flow

    def _shown(self, image: Tensor) -> Tensor:
        """(1, 3, H, W) of 0 to 1 -> (H, W, 3) uint8."""
        levels = _levels(image)
        if self.floats:
            return levels[0].permute(1, 2, 0).to(torch.uint8)
        return levels.to(torch.uint8)[0].permute(1, 2, 0)


class Streams(Graph):
    """One step of several streams, each with parameters and a state of its own."""

    def forward(
        self, image: Tensor, alpha: Tensor, sections: Tensor, reset: Tensor, state: Tensor
    ) -> tuple[Tensor, ...]:
        """One step of each.

        Args:
            image: (N, H, W, 3) uint8.
            alpha: (N,).
            sections: (N, S, 5).
            reset: (N,).
            state: (N, 2 S C, H/stride, W/stride).

        Returns:
            As one stream's graph, (N, H, W, 3), as `state`, (N, 2, H/4, W/4).
        """
        if self.floats:
            image = image.to(torch.float32)
        x = image.permute(0, 3, 1, 2).to(torch.float32) / 255  # (N, 3, H, W)
        if isinstance(self.net, MagNet):
            texture, shape = self.net.encoder(_bordered(image), white=255.0)
        else:
            texture, shape = self.net.encode(x)
        count, rows = image.shape[0], 2 * sections.shape[1]
        memory = torch.cat([shape.reshape(count, 1, -1), state.reshape(count, rows, -1)], dim=1)
        matrix = transition(sections.permute(1, 2, 0)[..., None], reset[:, None, None])
        difference = (matrix[:, :1] @ memory).reshape(shape.shape)
        memory = (matrix[:, 1:] @ memory).reshape(state.shape)
        if not isinstance(self.net, MagNet):
            return self._shown(self.net.decode(x, texture, shape, difference, alpha)), memory
        flow = self.net.motion(texture, shape, difference, alpha)
        return self._shown(self.net.compose(x, flow)), memory, flow

    def _shown(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) of 0 to 1 -> (N, H, W, 3) uint8."""
        levels = _levels(image)
        if self.floats:
            return levels.permute(0, 2, 3, 1).to(torch.uint8)
        return levels.to(torch.uint8).permute(0, 2, 3, 1)


def _bordered(image: Tensor) -> Tensor:
    """As `rtmag.train.network.magnet.bordered`, of (N, H, W, 3): (N, 3, H + 8, W + 8), 0 to 255.

    Bytes are moved before they become floats, and colours stay last until the network takes them,
    which spares CPUs reordering the picture.
    """
    rows = torch.cat([image[:, :1]] * MARGIN + [image] + [image[:, -1:]] * MARGIN, dim=1)
    whole = torch.cat([rows[:, :, :1]] * MARGIN + [rows] + [rows[:, :, -1:]] * MARGIN, dim=2)
    return whole.to(torch.float32).permute(0, 3, 1, 2)


def _levels(image: Tensor) -> Tensor:
    """Of 0 to 1 -> whole numbers of 0 to 255, still floats."""
    return torch.round(image.clamp(0, 1) * 255)
