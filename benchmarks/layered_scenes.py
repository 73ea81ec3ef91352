"""Layered scenes with known displacements, to compare magnifiers.

Nothing is shared with training (train.data.synthesis): pictures, outlines, interpolation and
sampling differ. A layer is a picture with an outline. A point p of it is at p + m D(p), where D is
a translation plus a rotation about the middle of the layer; m is 0 in the reference, 1 in the moved
frame and alpha in the truth. Layers are sampled by cubic interpolation four times per pixel and
direction, and averaged.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

SIZE = 160  # px
OVER = 4  # samples per pixel and direction
TEXELS = 2.0  # texels of a picture per pixel of the scene: sharp, but not finer than a camera sees

Image = NDArray[np.uint8]
Light = NDArray[np.float32]
"""(H, W, 3) BGR in grey levels, not rounded."""


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One object that moves as a whole."""

    picture: NDArray[np.uint8]
    shift: tuple[float, float] = (0.0, 0.0)
    """px to the right and down, at m = 1."""
    turn: float = 0.0
    """Radians clockwise, at m = 1."""
    centre: tuple[float, float] = (0.0, 0.0)
    """Position of its middle, px from the middle of the scene."""
    radius: float | None = None
    """Radius of its outline, px; None covers everything."""
    lobes: int = 5
    """Number of bulges of the outline."""
    contrast: float = 1.0
    """Factor of the contrast, 0 to 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Layers from back to front."""

    layers: Sequence[Layer]

    def render(self, times: Sequence[Sequence[float]]) -> list[Light]:
        """Render pictures of the scene; `times` has m of each layer for each picture."""
        return [self._picture(each) for each in times]

    def _picture(self, times: Sequence[float]) -> Light:
        light = torch.zeros(1, 3, SIZE * OVER, SIZE * OVER)
        for layer, m in zip(self.layers, times, strict=True):
            points = _points(layer, m)
            light = torch.lerp(light, _sample(layer, points), _coverage(layer, points))
        return np.asarray(F.avg_pool2d(light, OVER)[0].permute(1, 2, 0).contiguous().numpy())

    def still(self, times: Sequence[Sequence[float]]) -> NDArray[np.bool_]:
        """Mask (H, W) of the pixels that show the same still layer in all of these pictures."""
        if any(m[0] for m in times) and self._moves(0):
            return np.zeros((SIZE, SIZE), bool)
        touched = torch.zeros(1, 1, SIZE, SIZE)
        for index, layer in enumerate(self.layers[1:], 1):
            if self._moves(index):
                for m in {each[index] for each in times}:
                    mask = F.avg_pool2d(_coverage(layer, _points(layer, m)), OVER)
                    touched = torch.maximum(touched, mask)
        near = F.max_pool2d(touched, 5, 1, 2)
        return np.asarray(near[0, 0].numpy() == 0)

    def rim(self, times: Sequence[float], width: int) -> NDArray[np.bool_]:
        """Mask (H, W) of the pixels within `width` px of the front layer's outline."""
        front = self.layers[-1]
        mask = F.avg_pool2d(_coverage(front, _points(front, times[-1])), OVER)
        side = 2 * width + 1
        grown, shrunk = F.max_pool2d(mask, side, 1, width), -F.max_pool2d(-mask, side, 1, width)
        return np.asarray((grown - shrunk)[0, 0].numpy() > 0.5)

    def _moves(self, index: int) -> bool:
        layer = self.layers[index]
        return bool(layer.turn or any(layer.shift))


def _points(layer: Layer, m: float) -> torch.Tensor:
    """Positions of the scene's samples on the layer, px from its middle, (S, S, 2)."""
    axis = (torch.arange(SIZE * OVER, dtype=torch.float64) + 0.5) / OVER - SIZE / 2
    dx = axis[None, :] - layer.centre[0] - m * layer.shift[0]
    dy = axis[:, None] - layer.centre[1] - m * layer.shift[1]
    cos, sin = np.cos(m * layer.turn), np.sin(m * layer.turn)
    return torch.stack([cos * dx + sin * dy, cos * dy - sin * dx], -1).float()


def _sample(layer: Layer, points: torch.Tensor) -> torch.Tensor:
    """Colours of the layer at these points, (1, 3, S, S)."""
    picture = torch.from_numpy(layer.picture).permute(2, 0, 1)[None].float()
    grid = (points * (2 * TEXELS / picture.shape[-1]))[None]
    colour = F.grid_sample(picture, grid, "bicubic", "reflection", align_corners=False)
    mean = picture.mean()
    return (mean + layer.contrast * (colour - mean)).clamp(0, 255)


def _coverage(layer: Layer, points: torch.Tensor) -> torch.Tensor:
    """Coverage of the layer, 0 to 1, (1, 1, S, S): a blob with a few lobes."""
    if layer.radius is None:
        return torch.ones(1, 1, *points.shape[:2])
    x, y = points.unbind(-1)
    rim = layer.radius * (1 + 0.2 * torch.cos(layer.lobes * torch.atan2(y, x)))
    inside = (rim - torch.hypot(x, y)) * OVER + 0.5  # the rim itself is a sample wide
    return inside.clamp(0, 1)[None, None]


def simulate_camera(light: Light, noise: float, rng: np.random.Generator) -> Image:
    """Simulate a camera: noise that grows with the brightness, dither, 8 bits.

    Args:
        light: A clean picture.
        noise: Standard deviation in grey levels at mid-grey.
        rng: Source of randomness.
    """
    grain = noise * np.sqrt(light.clip(0) / 127.5) * rng.standard_normal(light.shape)
    return np.floor(light + grain + rng.random(light.shape)).clip(0, 255).astype(np.uint8)
