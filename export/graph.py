"""The graph to export: a network with bytes in and out and the temporal filter inside.

Inputs
    image     (H, W, 3) uint8, BGR; H and W multiples of 16
    alpha     () total magnification factor
    sections  (S, 5) b0, b1, b2, a1, a2 of each second-order section; S is 1 or 2
    reset     () 1: this image becomes the reference and the state is ignored; 0 otherwise
    state     (1, 2 S C, H/stride, W/stride) the state_out of the previous step
Outputs
    image_out (H, W, 3) uint8, BGR
    state_out like state: z1, then z2 of the first section, then of the second, C channels each
    flow      (1, 2, H/4, W/4) px, x then y: the backward flow; MagNet only, for runtimes that warp
              the picture outside the graph
`Streams` has N streams in one step: the first dimension of every input and output is the stream.

Conventions
    The filter is linear in (shape, state), so one step is the product of one small matrix with
    both (train/network/recurrence.py). The graph computes that matrix from the sections.
"""

import torch
from torch import Tensor, nn

from rtmag.train.network.encoder import MARGIN
from rtmag.train.network.magnet import MagNet
from rtmag.train.network.oh2018 import Oh2018
from rtmag.train.network.recurrence import transition


class Graph(nn.Module):
    """A trained network as one step from image and state to image and state."""

    floats = False
    """True to convert bytes to float before all other operations, and back after them. TensorRT
    needs this: its layers do not take bytes, but it allows a cast at either end of the network.
    False for CPUs, which move bytes faster than floats."""

    def __init__(self, net: MagNet | Oh2018) -> None:
        super().__init__()
        self.net = net.eval()

    def forward(
        self, image: Tensor, alpha: Tensor, sections: Tensor, reset: Tensor, state: Tensor
    ) -> tuple[Tensor, ...]:
        """Run one step of one stream; the module's docstring gives inputs and outputs."""
        # No dimension of streams: ONNX Runtime multiplies matrices faster than batches of one.
        matrix = transition(sections, reset)
        out, *rest = self._step(self._cast(image)[None], alpha, sections, matrix, state)
        return out[0].to(torch.uint8), *rest

    def _step(
        self, image: Tensor, alpha: Tensor, sections: Tensor, matrix: Tensor, state: Tensor
    ) -> tuple[Tensor, ...]:
        """Run one step of N streams; `matrix` has a dimension of streams, or none where N = 1."""
        x = image.permute(0, 3, 1, 2).to(torch.float32) / 255  # (N, 3, H, W)
        if isinstance(self.net, MagNet):
            texture, shape = self.net.encoder(_pad_border(image), white=255.0)
        else:
            texture, shape = self.net.encode(x)
        streams, rows = matrix.shape[:-2], 2 * sections.shape[-2]
        memory = torch.cat(
            [shape.reshape(*streams, 1, -1), state.reshape(*streams, rows, -1)], dim=-2
        )
        # Two products instead of one whose result is sliced: the slices would be copies.
        difference = (matrix[..., :1, :] @ memory).reshape(shape.shape)
        memory = (matrix[..., 1:, :] @ memory).reshape(state.shape)
        if not isinstance(self.net, MagNet):
            out = self.net.decode(x, texture, shape, difference, alpha)
            return self._levels(out), memory
        flow = self.net.motion(texture, shape, difference, alpha)
        return self._levels(self.net.compose(x, flow)), memory, flow

    def _cast(self, image: Tensor) -> Tensor:
        return image.to(torch.float32) if self.floats else image

    def _levels(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] -> (N, H, W, 3) grey levels, rounded; bytes unless `floats`."""
        levels = torch.round(image.clamp(0, 1) * 255)
        return (levels if self.floats else levels.to(torch.uint8)).permute(0, 2, 3, 1)


class Streams(Graph):
    """One step of N streams, each with its own parameters and state."""

    def forward(
        self, image: Tensor, alpha: Tensor, sections: Tensor, reset: Tensor, state: Tensor
    ) -> tuple[Tensor, ...]:
        """Run one step of each stream.

        Args:
            image: (N, H, W, 3) uint8.
            alpha: (N,).
            sections: (N, S, 5).
            reset: (N,).
            state: (N, 2 S C, H/stride, W/stride).

        Returns:
            The outputs of `Graph`: (N, H, W, 3), the new state, and (N, 2, H/4, W/4).
        """
        matrix = transition(sections.permute(1, 2, 0)[..., None], reset[:, None, None])
        out, *rest = self._step(self._cast(image), alpha, sections, matrix, state)
        return out.to(torch.uint8), *rest


def _pad_border(image: Tensor) -> Tensor:
    """Repeat the border of bytes: (N, H, W, 3) -> (N, 3, H + 8, W + 8) float, 0 to 255.

    The same as `rtmag.train.network.encoder.pad_border`, in another order. Bytes are padded before
    they become floats, and colours stay in the last dimension until then, because CPUs are slow at
    reordering floats.
    """
    rows = torch.cat([image[:, :1]] * MARGIN + [image] + [image[:, -1:]] * MARGIN, dim=1)
    padded = torch.cat([rows[:, :, :1]] * MARGIN + [rows] + [rows[:, :, -1:]] * MARGIN, dim=2)
    return padded.to(torch.float32).permute(0, 3, 1, 2)
