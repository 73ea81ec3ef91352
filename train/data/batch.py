"""Training samples: their form, and the published data set of Oh et al. read as it lies on disk.

    frame_a     reference
    frame_b     moved, and its colours changed         network input: frame_a, frame_b
    frame_c     moved only                              target: amplified
    amplified   magnified motion, colours changed as in frame_b

On disk: `amplified/ frameA/ frameB/ frameC/` with `000000.png ...` and `train_mf.txt`, whose line i
is alpha of sample i. The set holds 100 000 samples of 384 x 384, far more than fits in memory: it
is streamed.
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(slots=True, eq=False)
class Batch:
    """What a training step sees; images are (B, 3, H, W) float in [0, 1], BGR."""

    frame_a: Tensor
    frame_b: Tensor
    frame_c: Tensor
    amplified: Tensor
    alpha: Tensor
    """(B,) total magnification factor."""
    flows: Tensor | None = None
    """(B, 4, S/4, S/4) px, as in Scenes; only synthesis knows them."""
    change: Tensor | None = None
    """(B, 3, S, S): what a temporal filter makes of frame_b, where it is not frame_b - frame_a."""

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        tensors = {field.name: getattr(self, field.name) for field in fields(self)}
        return Batch(**{name: t.to(device) for name, t in tensors.items() if t is not None})
