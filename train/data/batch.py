"""A batch of training samples, in the form of Oh et al. 2018.

frame_a     reference                                        network input
frame_b     moved, with a change of colour                   network input
frame_c     moved only                                       for the losses of Oh et al.
amplified   moved alpha times as far, colour as in frame_b   target
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(slots=True, eq=False)
class Batch:
    """Samples of one training step; images are (B, 3, H, W) float in [0, 1], BGR."""

    frame_a: Tensor
    frame_b: Tensor
    frame_c: Tensor
    amplified: Tensor
    alpha: Tensor
    """(B,) total magnification factor."""
    flows: Tensor | None = None
    """(B, 4, H/4, W/4) px, as in `Scenes.flows`; None for the published data set."""
    change: Tensor | None = None
    """(B, 3, H, W), the temporally filtered image; None: frame_b - frame_a."""

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        tensors = {field.name: getattr(self, field.name) for field in fields(self)}
        return Batch(**{name: t.to(device) for name, t in tensors.items() if t is not None})
