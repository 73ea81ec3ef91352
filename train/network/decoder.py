"""Where MagNet looks for each cell of the magnified picture."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtmag.train.network.config import Config
from rtmag.train.network.layers import ResBlock, add, squash


class Decoder(nn.Module):
    """Texture and magnified motion -> a backward flow, by which the image is warped.

    The flow is a mean of the levels' velocities and of none, weighed by how far the body trusts
    each, plus what the body adds.
    """

    MOTION_UNIT = 8.0  # px: motion of this size is a feature of size one
    SMALL_MOTION = 4.0  # px: flows of this size lose half of the surplus; large ones had none
    LARGE_MOTION = (
        50.0  # px: flows of this size gain half of the shortfall; what adds to them saturates
    )
    LEVEL_TRUST = (
        4.0,
        2.0,
        1.0,
    )  # in the levels to begin with, and 0 in no motion: shares' logarithms
    MATCH_TRUST = (-4.0, -4.0)  # in matches, which must be learnt to be told from chance ones
    GATE_ENERGY = (
        1e-6  # energy at which texture is let through: a fortieth of a grey level, magnified
    )

    def __init__(self, config: Config) -> None:
        super().__init__()
        channels, width = config.channels, config.width
        matched = self.MATCH_TRUST if config.matching else ()
        trust = self.LEVEL_TRUST + matched
        self.count = count = len(trust)
        """How many velocities there are to trust."""
        self.layout = [2 * count, *([2 * len(matched)] if matched else [])]
        """Channels of those, and of what matches are like."""
        self.mix = nn.Conv2d(2 * channels + sum(self.layout), width, 1, bias=False)
        self.body = nn.Sequential(*[ResBlock(width, bias=False) for _ in range(config.blocks)])
        self.correction = nn.Conv2d(width, 2 + count, 3, padding=1, bias=False)
        self.trust = nn.Parameter(torch.tensor(trust))
        self.surplus, self.shortfall = config.surplus, config.shortfall
        nn.init.zeros_(self.correction.weight)

    def forward(
        self, texture: Tensor, moves: Tensor, gain: Tensor, code: Tensor, energy: Tensor
    ) -> Tensor:
        """Decide where to look.

        Args:
            texture: (B, C, h, w).
            moves: (B, 6 or 14, h, w) from `Manipulator.velocities`, not magnified.
            gain: (B, 1, 1, 1), alpha - 1.
            code: (B, C, h, w).
            energy: (B, 1, h, w) of the magnified difference.

        Returns:
            The flow, (B, 2, h, w) in px.
        """
        gate = energy / (energy + self.GATE_ENERGY)  # (B, 1, h, w)
        velocities, *signs = torch.split(moves, self.layout, dim=1)
        velocities = gain * velocities
        motion = [squash(velocities / self.MOTION_UNIT), *(gate * sign for sign in signs)]
        known = texture * gate.to(texture.dtype), squash(code), torch.cat(motion, dim=1)
        x = self.body(
            self.mix_parts([each.to(texture.dtype) for each in known])
        )  # (B, width, h, w)
        flow, trust = self.correction(x).float().split([2, self.count], dim=1)
        # A softmax beside nothing's zero, spelled out: runtimes are slow at one across channels.
        weights = torch.exp((trust + self.trust[:, None, None]).clamp(max=30)).chunk(self.count, 1)
        each = velocities.chunk(self.count, dim=1)
        seen = add([weight * velocity for weight, velocity in zip(weights, each, strict=True)])
        moved: Tensor = flow + seen / (1 + add(weights))
        size = add((moved * moved).chunk(2, dim=1))
        if self.surplus:
            moved = moved * (1 - self.surplus / (1 + size / self.SMALL_MOTION**2))
        if self.shortfall:
            moved = moved * (
                1 + self.shortfall * (1 - 1 / (1 + (size / self.LARGE_MOTION**2).square()))
            )
        return moved

    def mix_parts(self, parts: list[Tensor]) -> Tensor:
        """What `mix` makes of all channels of some parts together: (B, width, h, w).

        One after the other, as brought together they leave ONNX Runtime's own layout, and the body
        after them.
        """
        begun = 0
        mixed: list[Tensor] = []
        for part in parts:
            end = begun + part.shape[1]
            mixed.append(F.conv2d(part, self.mix.weight[:, begun:end]))
            begun = end
        return add(mixed)
