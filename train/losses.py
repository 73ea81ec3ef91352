"""What training minimises: named terms, each with a weight.

    reconstruction     L1(output, amplified); for MagNet, pixels of little contrast weigh more
    edges              the same of horizontal and vertical differences
    velocity           relative error of MagNet's first estimates of motion, where there is
                       contrast; only where samples know how far things moved
    flow               what MagNet's flow is wrong by beyond a pixel; as above
    gain               how far each sample's motion is shown too large or small on average; as above
    still              mean change of pixels where nothing moves; as above
    texture            L1(V(a), V(c)): texture does not depend on motion
    texture_amplified  L1(V(b), V(amplified)): nor on magnified motion
    shape              L1(M(b), M(c)): shape does not depend on colour

Oh et al. 2018, section 3.3, weigh the three regularisers with lambda = 0.1 (their code: 1, without
`texture_amplified`). MagNet uses none of them: its shape is linear and blind to brightness by
construction, and its texture only modulates a warp.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtmag.train.data.batch import Batch
from rtmag.train.network.encoder import pad_border
from rtmag.train.network.magnet import MagNet
from rtmag.train.network.oh2018 import Oh2018

WEIGHTS = {
    "oh2018": {"reconstruction": 1.0, "texture": 0.1, "texture_amplified": 0.1, "shape": 0.1},
    "magnet": {
        "reconstruction": 1.0,
        "edges": 0.5,
        "velocity": 0.05,
        "flow": 0.005,
        "gain": 0.02,
        "still": 1.0,
    },
}

MIN_MOTION = 0.3  # px: with less, noise decides, and an estimate of nothing is best

STILL_MOTION = 1e-3  # px: cells that move less are to be shown as they are

GAIN_RANGE = (
    0.03,
    4.0,
)  # px: with less there is no gain to speak of, with more other terms see to it


class Objective(nn.Module):
    """Network and losses as one module, so that distributed training wraps one forward."""

    def __init__(self, net: MagNet | Oh2018, weights: dict[str, float] | None = None) -> None:
        super().__init__()
        self.net = net
        self.weights = weights or WEIGHTS[net.config.architecture]

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The unweighted terms, scalars, and `total`, their weighted sum."""
        terms = (
            self._magnet_terms(batch) if isinstance(self.net, MagNet) else self._paper_terms(batch)
        )
        total = sum((self.weights[k] * v for k, v in terms.items()), batch.alpha.new_zeros(()))
        return terms | {"total": total}

    def _magnet_terms(self, batch: Batch) -> dict[str, Tensor]:
        """What a network answers for that moves the pixels of the frame it sees."""
        net = cast(MagNet, self.net)
        texture, shape = net.encode(batch.frame_b)
        change = batch.frame_b - batch.frame_a if batch.change is None else batch.change
        difference = net.encoder.encode_shape(pad_border(change))
        velocities = net.manipulator.velocities(shape, difference)
        flow = net.magnify(texture, difference, velocities, batch.alpha)
        out = net.compose(batch.frame_b, flow)
        contrast = local_contrast(batch.amplified)
        error = (out - batch.amplified) * contrast_weight(contrast)
        terms = {"reconstruction": error.abs().mean(), "edges": edge_loss(error)}
        if batch.flows is not None:
            before, back = batch.flows.chunk(2, dim=1)
            estimates = velocities[:, : 2 * net.decoder.count].chunk(net.decoder.count, dim=1)
            contrast = local_contrast(batch.frame_b)
            wrong = [velocity_loss(estimate, before, contrast) for estimate in estimates]
            terms["velocity"] = torch.stack(wrong).mean()
            visible = visibility(net.compose(batch.frame_b, back) - batch.amplified)
            terms["flow"] = flow_loss(flow, back, visible)
            terms["gain"] = gain_loss(flow, back, visible * contrast / (contrast + 0.02))
            terms["still"] = still_loss(out - batch.frame_b, batch.flows)
        return terms

    def _paper_terms(self, batch: Batch) -> dict[str, Tensor]:
        """What a network answers for that makes every pixel: the paper's terms."""
        net = self.net
        texture_a, shape_a = net.encode(batch.frame_a)
        texture_b, shape_b = net.encode(batch.frame_b)
        out = net.decode(batch.frame_b, texture_b, shape_b, shape_b - shape_a, batch.alpha)
        terms = {"reconstruction": l1(out.float(), batch.amplified)}
        if "texture" in self.weights:
            texture_c, shape_c = net.encode(batch.frame_c)
            texture_y, _ = net.encode(batch.amplified)
            terms["texture"] = l1(texture_a, texture_c)
            terms["texture_amplified"] = l1(texture_b, texture_y)
            terms["shape"] = l1(shape_b, shape_c)
        return terms


def l1(a: Tensor, b: Tensor) -> Tensor:
    """Mean absolute difference."""
    return (a - b).abs().mean()


def edge_loss(error: Tensor) -> Tensor:
    """Mean absolute difference of neighbouring pixels' errors, both directions summed."""
    horizontal = (error[..., :, 1:] - error[..., :, :-1]).abs().mean()
    vertical = (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
    return horizontal + vertical


def local_contrast(image: Tensor) -> Tensor:
    """Standard deviation of the grey picture around each cell: (B, C, H, W) -> (B, 1, H/4, W/4)."""
    grey = image.mean(1, keepdim=True)
    cells = F.avg_pool2d(torch.cat([grey, grey * grey], dim=1), 4)
    mean, square = F.avg_pool2d(cells, 3, 1, 1, count_include_pad=False).chunk(2, dim=1)
    deviation: Tensor = (square - mean * mean).clamp(min=0).sqrt()
    return deviation


def velocity_loss(estimate: Tensor, true: Tensor, contrast: Tensor) -> Tensor:
    """Error of an estimated motion relative to the true one, where the image shows anything.

    Squared up to the size of the motion itself, so that noise does not pull estimates down to the
    median, which is often zero; linear beyond, where a cell shows the rim of something else.

    Args:
        estimate: (B, 2, h, w) px.
        true: The same.
        contrast: (B, 1, h, w) of the frame that the motion is of, from `local_contrast`.
    """
    wrong = (estimate - true).norm(dim=1, keepdim=True)
    wrong = wrong / (true.norm(dim=1, keepdim=True) + MIN_MOTION)
    error = F.huber_loss(wrong, torch.zeros_like(wrong), reduction="none")
    return (error * contrast / (contrast + 0.02)).mean()


def visibility(error: Tensor) -> Tensor:
    """How surely a cell shows what its true flow finds, from the error that flow alone leaves.

    Where that is large, what is to be shown lies hidden in the frame that it is looked for in.

    Args:
        error: (B, 3, 4 h, 4 w).

    Returns:
        (B, 1, h, w), 0 to 1.
    """
    hidden = F.avg_pool2d(error.abs().mean(1, keepdim=True), 4) / 0.05
    return 1 / (1 + hidden * hidden)


def flow_loss(flow: Tensor, true: Tensor, visible: Tensor) -> Tensor:
    """Mean distance in pixels, beyond one, between where flow looks and where it should.

    Pictures tell a flow that is off by many pixels neither how far nor which way; below one they
    judge it better than truth does, which knows nothing of noise.

    Args:
        flow: (B, 2, h, w) px.
        true: The same.
        visible: (B, 1, h, w), from `visibility`.
    """
    excess = torch.relu((flow - true).norm(dim=1, keepdim=True) - 1)
    return (excess * visible).mean()


def gain_loss(flow: Tensor, true: Tensor, weight: Tensor) -> Tensor:
    """How far gains are from 1, each sample's averaged over its cells before it is judged.

    Noise averages out, so what is left is bias: against errors of single pixels it pays to show
    little of small motion, and nothing else here would object.

    Args:
        flow: (B, 2, h, w) px.
        true: The same.
        weight: (B, 1, h, w) of each cell.
    """
    least, most = GAIN_RANGE
    size = true.square().sum(1, keepdim=True)
    weight = weight * (size < most * most) / (size + least * least)
    excess = (weight * ((flow - true) * true).sum(1, keepdim=True)).mean((1, 2, 3))
    asked = (weight * size).mean((1, 2, 3))
    return (excess.abs() / (asked + 0.05)).mean()


def still_loss(change: Tensor, flows: Tensor) -> Tensor:
    """Mean change of what does not move.

    Beside the reconstruction, because things that move drag a rim along, and noise crawls in what
    shows little: errors that are small, and catch the eye, for they come and go with the motion.

    Args:
        change: (B, 3, 4 h, 4 w), from the frame that is shown to what is shown.
        flows: (B, 4, h, w) px, as in Scenes.
    """
    still = (flows.abs().amax(1, keepdim=True) < STILL_MOTION).to(change.dtype)
    return (change.abs() * F.interpolate(still, scale_factor=4.0, mode="nearest")).mean()


def contrast_weight(contrast: Tensor) -> Tensor:
    """Weight of each pixel, (B, 1, 4 h, 4 w): about 1, more where there is little contrast.

    The error of a wrong motion is proportional to the contrast; unweighted, little would be learnt
    from dim pictures and faint edges, which eyes (and SSIM) judge by their own standard.
    """
    return F.interpolate(0.15 / (contrast + 0.1), scale_factor=4.0, mode="nearest")
