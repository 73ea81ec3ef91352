"""The training loss: a weighted sum of named terms.

Both networks
    reconstruction     L1(output, amplified); for MagNet weighted by contrast
MagNet
    edges              L1 of horizontal and vertical differences of the same error
    velocity           relative error of the velocities before magnification
    flow               error of the magnified flow beyond one pixel
    gain               bias of the magnification, per sample
    still              change of pixels that do not move
Oh et al. 2018
    texture            L1(V(a), V(c)): texture must not depend on motion
    texture_amplified  L1(V(b), V(amplified)): texture must not depend on magnified motion
    shape              L1(M(b), M(c)): shape must not depend on colour

V is the texture and M the shape of a frame; a, b and c are the frames of a `Batch`.

`velocity`, `flow`, `gain` and `still` need the true motion, which only rendered scenes have.

Oh et al. 2018, section 3.3, weigh the three regularisers with lambda = 0.1; their code uses 1, and
no `texture_amplified`. MagNet uses none of them. By construction its shape is linear and ignores
uniform changes of brightness, and its texture only modulates a warp.
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

MIN_MOTION = 0.3
"""Px; added to the length of the true motion before a velocity error is divided by it, because
noise dominates smaller motion."""

STILL_MOTION = 1e-3
"""Px; cells that move less count as still."""

GAIN_RANGE = (0.03, 4.0)
"""Px; range of motion for which the gain is measured. The gain of smaller motion cannot be
measured, and other terms cover larger motion."""

HALF_CONTRAST = 0.02
"""Contrast (white is 1) at which a cell has half of the full weight in `velocity` and `gain`."""


class Objective(nn.Module):
    """Network and loss as one module, because distributed training wraps a single `forward`.

    Args:
        net: The network to train.
        weights: Weight of each term; None: those of `WEIGHTS`.
    """

    def __init__(self, net: MagNet | Oh2018, weights: dict[str, float] | None = None) -> None:
        super().__init__()
        self.net = net
        self.weights = weights or WEIGHTS[net.config.architecture]

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The terms without their weights, as scalars, and `total`, their weighted sum."""
        terms = (
            self._magnet_terms(batch) if isinstance(self.net, MagNet) else self._paper_terms(batch)
        )
        total = sum((self.weights[k] * v for k, v in terms.items()), batch.alpha.new_zeros(()))
        return terms | {"total": total}

    def _magnet_terms(self, batch: Batch) -> dict[str, Tensor]:
        """The terms of MagNet, which warps the current frame."""
        net = cast(MagNet, self.net)
        texture, shape = net.encode(batch.frame_b)
        change = batch.frame_b - batch.frame_a if batch.change is None else batch.change
        difference = net.encoder.encode_shape(pad_border(change))
        velocities, moved = net.velocities(shape, difference)
        flow = net.magnify(texture, moved, velocities, batch.alpha)
        out = net.compose(batch.frame_b, flow)
        contrast = local_contrast(batch.amplified)
        error = (out - batch.amplified) * contrast_weight(contrast)
        terms = {"reconstruction": error.abs().mean(), "edges": edge_loss(error)}
        if batch.flows is not None:
            before, back = batch.flows.chunk(2, dim=1)
            estimates = velocities[:, : 2 * net.decoder.count].chunk(net.decoder.count, dim=1)
            contrast = local_contrast(batch.frame_b)
            errors = [velocity_loss(estimate, before, contrast) for estimate in estimates]
            terms["velocity"] = torch.stack(errors).mean()
            visible = visibility(net.compose(batch.frame_b, back) - batch.amplified)
            terms["flow"] = flow_loss(flow, back, visible)
            terms["gain"] = gain_loss(flow, back, visible * contrast / (contrast + HALF_CONTRAST))
            terms["still"] = still_loss(out - batch.frame_b, batch.flows)
        return terms

    def _paper_terms(self, batch: Batch) -> dict[str, Tensor]:
        """The terms of Oh et al. 2018, whose network synthesises every pixel."""
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
    """L1 of the error's differences between neighbouring pixels, horizontal plus vertical."""
    horizontal = (error[..., :, 1:] - error[..., :, :-1]).abs().mean()
    vertical = (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
    return horizontal + vertical


def local_contrast(image: Tensor) -> Tensor:
    """Standard deviation of brightness around each cell: (B, C, H, W) -> (B, 1, H/4, W/4).

    A cell is 4 x 4 px; the deviation is over its 3 x 3 neighbourhood of cells.
    """
    grey = image.mean(1, keepdim=True)
    cells = F.avg_pool2d(torch.cat([grey, grey * grey], dim=1), 4)
    mean, square = F.avg_pool2d(cells, 3, 1, 1, count_include_pad=False).chunk(2, dim=1)
    deviation: Tensor = (square - mean * mean).clamp(min=0).sqrt()
    return deviation


def velocity_loss(estimate: Tensor, true: Tensor, contrast: Tensor) -> Tensor:
    """Huber loss of the velocity error relative to the true motion, weighted by contrast.

    Errors smaller than the motion are squared: with an absolute loss, noise would pull estimates to
    the median, which is often zero. Larger errors count linearly, because cells at the edge of an
    object mix two motions and would dominate a squared loss.

    Args:
        estimate: (B, 2, h, w) px.
        true: (B, 2, h, w) px.
        contrast: (B, 1, h, w), from `local_contrast` of the moved frame. Cells with little
            contrast have little weight.
    """
    relative = (estimate - true).norm(dim=1, keepdim=True)
    relative = relative / (true.norm(dim=1, keepdim=True) + MIN_MOTION)
    error = F.huber_loss(relative, torch.zeros_like(relative), reduction="none")
    return (error * contrast / (contrast + HALF_CONTRAST)).mean()


def visibility(error: Tensor) -> Tensor:
    """Weight of each cell, low where the frame does not show what the target needs (occlusion).

    Args:
        error: (B, 3, 4 h, 4 w), the frame warped by the true flow, minus the target. It is small
            unless the pixels that the flow points to are covered by something else.

    Returns:
        (B, 1, h, w), 0 (hidden) to 1 (visible).
    """
    hidden = F.avg_pool2d(error.abs().mean(1, keepdim=True), 4) / 0.05
    return 1 / (1 + hidden * hidden)


def flow_loss(flow: Tensor, true: Tensor, visible: Tensor) -> Tensor:
    """Mean endpoint error of the flow beyond one pixel, weighted by visibility.

    For errors of many pixels the reconstruction loss has no useful gradient. For errors below one
    pixel the reconstruction loss is the better measure, because it takes noise into account.

    Args:
        flow: (B, 2, h, w) px.
        true: (B, 2, h, w) px.
        visible: (B, 1, h, w), from `visibility`.
    """
    excess = torch.relu((flow - true).norm(dim=1, keepdim=True) - 1)
    return (excess * visible).mean()


def gain_loss(flow: Tensor, true: Tensor, weight: Tensor) -> Tensor:
    """Distance of each sample's mean gain from 1, averaged over the samples.

    The gain of a cell is the length of the flow along the true flow, relative to the true flow. It
    is averaged over the cells of a sample first, so that noise cancels and the bias remains. The
    other terms allow such a bias: they are lowest if uncertain motion is shown too small.

    Args:
        flow: (B, 2, h, w) px.
        true: (B, 2, h, w) px.
        weight: (B, 1, h, w) of each cell.
    """
    smallest, largest = GAIN_RANGE
    size = true.square().sum(1, keepdim=True)
    weight = weight * (size < largest * largest) / (size + smallest * smallest)
    excess = (weight * ((flow - true) * true).sum(1, keepdim=True)).mean((1, 2, 3))
    expected = (weight * size).mean((1, 2, 3))
    return (excess.abs() / (expected + 0.05)).mean()


def still_loss(change: Tensor, flows: Tensor) -> Tensor:
    """Mean absolute change of pixels that do not move.

    Added to the reconstruction loss to suppress two small but visible artefacts: halos around
    moving objects, and crawling noise in flat areas.

    Args:
        change: (B, 3, 4 h, 4 w), the output minus the current frame.
        flows: (B, 4, h, w) px, as in `Scenes.flows`.
    """
    still = (flows.abs().amax(1, keepdim=True) < STILL_MOTION).to(change.dtype)
    return (change.abs() * F.interpolate(still, scale_factor=4.0, mode="nearest")).mean()


def contrast_weight(contrast: Tensor) -> Tensor:
    """Weight of each pixel: about 1, up to 1.5 where there is little contrast.

    The error of a wrong motion is proportional to the contrast. Without weights, dim pictures and
    faint edges would add little to the loss, although the eye and SSIM judge errors relative to the
    contrast.

    Args:
        contrast: (B, 1, h, w), from `local_contrast` of the target.

    Returns:
        (B, 1, 4 h, 4 w).
    """
    return F.interpolate(0.15 / (contrast + 0.1), scale_factor=4.0, mode="nearest")
