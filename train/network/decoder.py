"""Decoder of MagNet: texture and magnified motion become a backward flow."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtmag.train.network.config import Config
from rtmag.train.network.layers import ResBlock, add, squash


class Decoder(nn.Module):
    """Compute the flow from velocities, code and texture; it has no biases.

    The flow is a weighted mean of the velocities and of zero motion, plus a correction. The weights
    (the `trust` in each velocity) and the correction come from a small convolutional network, the
    `body`. The magnified velocities are exact only on average, so `Config.surplus` and
    `Config.shortfall` scale the flow by what a benchmark measured.
    """

    MOTION_UNIT = 8.0
    """Px; a velocity of this length becomes a feature of size 1."""
    SMALL_MOTION = 4.0
    """Px; a flow of this length loses half of `surplus`, longer ones less."""
    LARGE_MOTION = 50.0
    """Px; a flow of this length gains half of `shortfall`, longer ones up to all of it."""
    LEVEL_TRUST = (4.0, 2.0, 1.0)
    """Initial trust in the velocities of the three levels, as logits; zero motion has 0."""
    MATCH_TRUST = (-4.0, -4.0)
    """Initial trust in the matches: low, because chance matches must be learnt to be rejected."""
    GATE_ENERGY = 1e-6
    """Energy at which half of the texture passes the gate: that of a magnified change of 1/40 grey
    level."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        channels, width = config.channels, config.width
        matched = self.MATCH_TRUST if config.matching else ()
        trust = self.LEVEL_TRUST + matched
        self.count = count = len(trust)
        """Number of velocities to choose from: three levels, and two matches with matching."""
        self.layout = [2 * count, *([2 * len(matched)] if matched else [])]
        """Channels of the velocities, and of the reliability of the matches."""
        self.mix = nn.Conv2d(2 * channels + sum(self.layout), width, 1, bias=False)
        self.body = nn.Sequential(*[ResBlock(width, bias=False) for _ in range(config.blocks)])
        self.correction = nn.Conv2d(width, 2 + count, 3, padding=1, bias=False)
        self.trust = nn.Parameter(torch.tensor(trust))
        self.surplus, self.shortfall = config.surplus, config.shortfall
        nn.init.zeros_(self.correction.weight)

    def forward(
        self, texture: Tensor, estimates: Tensor, gain: Tensor, code: Tensor, energy: Tensor
    ) -> Tensor:
        """Compute the flow.

        Args:
            texture: (B, C, h, w).
            estimates: (B, 6 or 14, h, w) from `Manipulator.velocities`, not magnified.
            gain: (B, 1, 1, 1), alpha - 1.
            code: (B, C, h, w) from `Manipulator.forward`.
            energy: (B, 1, h, w), mean square of the magnified difference.

        Returns:
            The backward flow, (B, 2, h, w) px, x then y.
        """
        gate = energy / (energy + self.GATE_ENERGY)  # (B, 1, h, w)
        velocities, *reliability = torch.split(estimates, self.layout, dim=1)
        velocities = gain * velocities
        motion = [squash(velocities / self.MOTION_UNIT), *(gate * each for each in reliability)]
        features = texture * gate.to(texture.dtype), squash(code), torch.cat(motion, dim=1)
        x = self.body(
            self.mix_parts([each.to(texture.dtype) for each in features])
        )  # (B, width, h, w)
        flow, trust = self.correction(x).float().split([2, self.count], dim=1)
        # A softmax over the velocities and zero motion, written out because runtimes are slow at a
        # softmax over channels.
        weights = torch.exp((trust + self.trust[:, None, None]).clamp(max=30)).chunk(self.count, 1)
        each = velocities.chunk(self.count, dim=1)
        weighted = add([weight * velocity for weight, velocity in zip(weights, each, strict=True)])
        moved: Tensor = flow + weighted / (1 + add(weights))
        size = add((moved * moved).chunk(2, dim=1))
        if self.surplus:
            moved = moved * (1 - self.surplus / (1 + size / self.SMALL_MOTION**2))
        if self.shortfall:
            moved = moved * (
                1 + self.shortfall * (1 - 1 / (1 + (size / self.LARGE_MOTION**2).square()))
            )
        return moved

    def mix_parts(self, parts: list[Tensor]) -> Tensor:
        """Apply `mix` to the concatenation of some parts, (B, ., h, w) -> (B, width, h, w).

        Each part has its own convolution and the results are added. A concatenation would force
        ONNX Runtime out of its blocked memory layout, for the body as well.
        """
        start = 0
        mixed: list[Tensor] = []
        for part in parts:
            end = start + part.shape[1]
            mixed.append(F.conv2d(part, self.mix.weight[:, start:end]))
            start = end
        return add(mixed)
