"""What training minimises: named terms, each with a weight.

    reconstruction     L1(output, amplified); for MagNet, pixels of little contrast weigh more
    edges              the same of horizontal and vertical differences
    texture            L1(V(a), V(c)): texture does not depend on motion
    texture_amplified  L1(V(b), V(amplified)): nor on magnified motion
    shape              L1(M(b), M(c)): shape does not depend on colour

Oh et al. 2018, section 3.3, weigh the three regularisers with lambda = 0.1 (their code: 1, without
`texture_amplified`). MagNet uses none of them: its shape is linear and blind to brightness by
construction, and its texture only modulates a warp.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from rtmag.train.dataset import Batch
from rtmag.train.model import MagNet, Oh2018

WEIGHTS = {
    "oh2018": {"reconstruction": 1.0, "texture": 0.1, "texture_amplified": 0.1, "shape": 0.1},
    "magnet": {"reconstruction": 1.0, "edges": 0.5},
}


class Objective(nn.Module):
    """Network and losses as one module, so that distributed training wraps one forward."""

    def __init__(self, net: MagNet | Oh2018, weights: dict[str, float] | None = None) -> None:
        super().__init__()
        self.net = net
        self.weights = weights or WEIGHTS[net.config.architecture]

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The unweighted terms, scalars, and `total`, their weighted sum."""
        net, terms = self.net, {}
        texture_a, shape_a = net.encode(batch.frame_a)
        texture_b, shape_b = net.encode(batch.frame_b)
        out = net.decode(batch.frame_b, texture_b, shape_b, shape_b - shape_a, batch.alpha).float()
        error = out - batch.amplified
        if "edges" in self.weights:
            error = error * evened(batch.amplified)
            terms["edges"] = edges(error)
        terms["reconstruction"] = error.abs().mean()
        if "texture" in self.weights:
            texture_c, shape_c = net.encode(batch.frame_c)
            texture_y, _ = net.encode(batch.amplified)
            terms["texture"] = l1(texture_a, texture_c)
            terms["texture_amplified"] = l1(texture_b, texture_y)
            terms["shape"] = l1(shape_b, shape_c)
        terms["total"] = sum((self.weights[k] * v for k, v in terms.items()), out.new_zeros(()))
        return terms


def l1(a: Tensor, b: Tensor) -> Tensor:
    """Mean absolute difference."""
    return (a - b).abs().mean()


def edges(error: Tensor) -> Tensor:
    """Mean absolute difference of neighbouring pixels' errors, both directions summed."""
    horizontal = (error[..., :, 1:] - error[..., :, :-1]).abs().mean()
    vertical = (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
    return horizontal + vertical


def evened(image: Tensor) -> Tensor:
    """Weight of each pixel, (B, 1, H, W): about 1, more where there is little contrast.

    The error of a wrong motion is proportional to the contrast; unweighted, little would be learnt
    from dim pictures and faint edges, which eyes (and SSIM) judge by their own standard.
    """
    grey = image.mean(1, keepdim=True)
    mean, square = (F.avg_pool2d(x, 9, 1, 4, count_include_pad=False) for x in (grey, grey * grey))
    contrast = (square - mean * mean).clamp(min=0).sqrt()
    return 0.15 / (contrast + 0.1)
