"""Rendered scenes with known motion: layers move by a known amount, and by alpha times this amount.

Inputs
    bank        textures and outlines (train/data/textures.py)
Outputs
    Scenes      reference, moved and magnified images, alpha, and the flows between them
Stages
    choose      kind of scene, alpha, and for each layer an appearance, a placement and a motion
    place       affine maps of each layer for 0, 1 and alpha times its motion
    render      sample the layers at `supersample` times the resolution, back to front with true
                occlusion, then average down
    sensor      change of colour, noise, dither, rounding to 8 bits: applied at each use of a scene
                (train/data/pool.py)
Conventions
    The displacement of a point p is affine, D(p) = t + (zoom + rotation)(p - centre), in pixels of
    the final image. The magnified scene uses exactly alpha D. All arithmetic is batched, on one
    device.

References:
    Oh et al. 2018, section 4 and appendix: five kinds of scene in equal parts, alpha up to 100,
    motion up to 10 px, magnified motion up to 50 px, Poisson-like noise, rounding with dither.
    Here alpha goes up to 250, as later evaluations need (0.04 px shown as 10 px).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from rtmag.train.data.textures import Bank

Placement = tuple[Tensor, Tensor]
"""Affine maps p = matrix q + offset, (B, 3, 2, 2) and (B, 3, 2): one per scene and frame."""

CELL = 4  # px; side of a cell. Flows have one vector per cell, the resolution of MagNet's flow

KINDS = ("standard", "blurred background", "background only", "static", "static background")


@dataclass(slots=True, eq=False)
class Scenes:
    """A batch of scenes before the simulated sensor: without noise and rounding."""

    reference: Tensor
    """(B, 3, S, S) in [0, 1], BGR; frame a of a sample."""
    moved: Tensor
    """(B, 3, S, S); the scene after its motion, frame c."""
    magnified: Tensor
    """(B, 3, S, S); the scene after alpha times its motion."""
    alpha: Tensor
    """(B,) total magnification factor."""
    flows: Tensor
    """(B, 4, S/4, S/4) px, two backward flows, x then y each: from the moved frame to the
    reference, and from the magnified frame to the moved one."""
    kind: Tensor | None = None
    """(B,) index into KINDS; None for scenes from a pool."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Ranges of the random scenes; the defaults are the paper's, except alpha."""

    alpha: float = 250.0
    """Largest magnification factor, drawn log-uniformly from 1.2; the paper has 100."""
    motion: float = 10.0
    """Largest translation between reference and moved, px. Zoom and rotation may each add as much
    at 50 px from the layer's centre."""
    magnified: float = 50.0
    """Largest magnified translation, px."""
    least: float = 0.04
    """Smallest motion, px. If it is more than 1/30 of the largest motion, that 1/30 is used."""
    far: float = 0.25
    """Share of motions drawn from the upper quarter of their logarithmic range only. Large motions
    would be rare otherwise, and they are the hardest to learn."""
    objects: int = 3
    """Largest number of objects in a scene; 3 in 128 px are as dense as the paper's 7 to 15 in
    384 px."""
    attenuation: float = 0.04
    """Share of scenes with alpha below 1."""


class Synthesizer:
    """Renderer of random scenes, on the device of the bank.

    Args:
        bank: Textures and outlines.
        size: Side S of the scenes, px, a multiple of 4.
        supersample: Samples per pixel in each direction.
        limits: Ranges of the random scenes; None: the defaults.
        seed: The same seed gives the same scenes.
    """

    def __init__(
        self,
        bank: Bank,
        *,
        size: int = 128,
        supersample: int = 2,
        limits: Limits | None = None,
        seed: int = 0,
    ) -> None:
        self.bank = bank
        self.size = size
        self.supersample = supersample
        self.limits = limits or Limits()
        self.device = bank.textures.device
        self.generator = torch.Generator(self.device).manual_seed(seed)
        self._points = self._raster(1 / supersample)
        self._cells = self._raster(CELL)

    def _raster(self, step: float) -> Tensor:
        """Centres of squares of side `step` px, row by row: (N, 2) px from the image's middle."""
        axis = (torch.arange(int(self.size / step), device=self.device) + 0.5) * step
        y, x = torch.meshgrid(axis - self.size / 2, axis - self.size / 2, indexing="ij")
        return torch.stack([x.flatten(), y.flatten()], -1)

    def _uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        u = torch.rand(*shape, generator=self.generator, device=self.device)
        return low + (high - low) * u

    def _index(self, count: int, *shape: int) -> Tensor:
        return torch.randint(count, shape, generator=self.generator, device=self.device)

    def batch(self, count: int) -> Scenes:
        """Render `count` new scenes."""
        kind = self._index(len(KINDS), count)
        alpha = torch.exp(self._uniform(count, low=math.log(1.2), high=math.log(self.limits.alpha)))
        weaken = self._uniform(count) < self.limits.attenuation
        alpha = torch.where(weaken, self._uniform(count), alpha)
        frames, flows = self._layer_background(kind, alpha)
        for _ in range(self.limits.objects):
            colour, mask, carried = self._layer_object(kind, alpha)
            frames = torch.lerp(frames, colour, mask)
            flows = torch.where(self._covered_cells(mask), carried, flows)
        s = self.size * self.supersample
        frames = frames.reshape(count, 3, 3, s, s).transpose(1, 2).reshape(count * 3, 3, s, s)
        frames = F.avg_pool2d(frames, self.supersample).reshape(count, 3, 3, self.size, self.size)
        return Scenes(frames[:, 0], frames[:, 1], frames[:, 2], alpha, flows, kind)

    # ---- choose -------------------------------------------------------------------------------

    def _motion(self, alpha: Tensor, moves: Tensor) -> tuple[Tensor, Tensor]:
        """Draw translations (B, 2) px and linear parts (B, 2, 2) per px, zero where not `moves`."""
        count = alpha.shape[0]
        limit = torch.minimum(
            torch.full_like(alpha, self.limits.motion),
            self.limits.magnified / alpha.clamp(min=1.0),
        )
        # Log-uniform over a factor of 30 or more: most motions are small, large ones still occur.
        least = torch.clamp(self.limits.least / limit, max=1 / 30)
        part = self._uniform(count)
        part = torch.where(self._uniform(count) < self.limits.far, part / 4, part)
        length = limit * least**part
        angle = self._uniform(count, high=2 * math.pi)
        shift = length[:, None] * torch.stack([angle.cos(), angle.sin()], -1)
        # Rotation and zoom move a point at 50 px from the centre at most as far as the translation.
        turn = self._uniform(count, 2, low=-1, high=1) * (length / 50)[:, None]
        turn = turn * (self._uniform(count, 2) < 0.5)
        zoom, rotation = turn.unbind(-1)
        linear = torch.stack([zoom, -rotation, rotation, zoom], -1).reshape(count, 2, 2)
        keep = moves.to(shift.dtype)
        return shift * keep[:, None], linear * keep[:, None, None]

    # ---- place --------------------------------------------------------------------------------

    def _place(self, alpha: Tensor, centre: Tensor, moves: Tensor) -> Placement:
        """Affine maps from the final image to the layer, for 0, 1 and alpha times its motion.

        They give px from the layer's centre c. A layer point p moves to q = p + m D(p), with m the
        multiple and A the linear part, so p - c = (I + m A)^-1 (q - c - m t).
        """
        shift, linear = self._motion(alpha, moves)
        times = torch.stack([torch.zeros_like(alpha), torch.ones_like(alpha), alpha], 1)  # (B, 3)
        eye = torch.eye(2, device=self.device)
        matrix = torch.linalg.inv(eye + times[..., None, None] * linear[:, None])  # (B, 3, 2, 2)
        origin = centre[:, None] + times[..., None] * shift[:, None]  # (B, 3, 2)
        return matrix, -(matrix @ origin[..., None])[..., 0]

    def _rotate_and_scale(self, place: Placement, size: Tensor) -> Placement:
        """Rotate a placement by a random angle per scene and divide it by `size` (B,)."""
        angle = self._uniform(size.shape[0], high=2 * math.pi)
        cos, sin = angle.cos() / size, angle.sin() / size
        turn = torch.stack([cos, -sin, sin, cos], -1).reshape(-1, 1, 2, 2)
        matrix, offset = place
        return turn @ matrix, (turn @ offset[..., None])[..., 0]

    def _flows(self, place: Placement) -> Tensor:
        """Backward flows of one layer, in the order of `Scenes.flows`: (B, 4, h, w) px."""
        matrix, offset = place
        back = torch.linalg.inv(matrix[:, :2])  # (B, 2, 2, 2): two pairs of frames
        change = back @ matrix[:, 1:] - torch.eye(2, device=self.device)
        shift = back @ (offset[:, 1:] - offset[:, :2])[..., None]  # (B, 2, 2, 1)
        flows: Tensor = change @ self._cells.T + shift  # (B, 2, 2, cells)
        return flows.reshape(len(matrix), 4, self.size // CELL, self.size // CELL)

    def _covered_cells(self, mask: Tensor) -> Tensor:
        """True for cells of the moved and magnified frame that are half covered: (B, 4, h, w)."""
        later = torch.cat(mask.chunk(3, dim=2)[1:], dim=1)
        covered = F.avg_pool2d(later, CELL * self.supersample) >= 0.5
        return covered.repeat_interleave(2, dim=1)

    # ---- render -------------------------------------------------------------------------------

    def _sample(self, bank: Tensor, place: Placement, padding: str) -> Tensor:
        """Sample one random picture of a bank per scene, which spans [-1, 1]: (B, C, 3 s, s).

        The three frames are stacked vertically; s is the supersampled side.
        """
        matrix, offset = (part.flatten(0, 1) for part in place)  # (3B, 2, 2), (3B, 2)
        count, s = matrix.shape[0] // 3, self.size * self.supersample
        points = self._points.expand(matrix.shape[0], -1, -1)
        points = torch.baddbmm(offset[:, None], points, matrix.transpose(1, 2))  # (3B, N, 2)
        picture = bank[self._index(bank.shape[0], count)].to(torch.float32).mul_(1 / 255)
        grid = points.reshape(count, 3 * s, s, 2)
        return F.grid_sample(
            picture, grid, mode="bilinear", padding_mode=padding, align_corners=False
        )

    def _texture(self, place: Placement, blurred: Tensor | None = None) -> Tensor:
        """Random textures with about one texel per supersampled pixel: (B, 3, 3 s, s)."""
        count, side = place[0].shape[0], self.bank.textures.shape[-1]
        scale = torch.exp(self._uniform(count, low=math.log(0.7), high=math.log(2.5)))
        contrast = self._uniform(count, low=0.3, high=1.0)
        if blurred is not None:  # blurred by enlargement: few texels over many pixels
            scale = torch.where(blurred, scale * self._uniform(count, low=3, high=10), scale)
            contrast = torch.where(blurred, contrast * 0.5, contrast)
        matrix, offset = self._rotate_and_scale(place, scale * side / 2 / self.supersample)
        offset = offset + self._uniform(count, 1, 2, low=-0.5, high=0.5)
        colour = self._sample(self.bank.textures, (matrix, offset), "reflection")
        floor = (1 - contrast) * self._uniform(count)
        return colour.mul_(contrast[:, None, None, None]).add_(floor[:, None, None, None])

    def _layer_background(self, kind: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
        """Colour (B, 3, 3 s, s) and flows (B, 4, h, w) of the background."""
        centre = self._uniform(kind.shape[0], 2, low=-0.5, high=0.5) * self.size
        place = self._place(alpha, centre, moves=kind <= 2)
        return self._texture(place, blurred=kind == 1), self._flows(place)

    def _layer_object(self, kind: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Colour (B, 3, 3 s, s), coverage (B, 1, 3 s, s) and flows (B, 4, h, w) of one object."""
        count = kind.shape[0]
        centre = self._uniform(count, 2, low=-0.5, high=0.5) * self.size
        place = self._place(alpha, centre, (kind != 3) & (self._uniform(count) < 0.8))
        radius = self.size * torch.exp(self._uniform(count, low=math.log(0.1), high=math.log(0.5)))
        mask = self._sample(self.bank.outlines, self._rotate_and_scale(place, radius), "zeros")
        present = (kind != 2) & (self._uniform(count) < 0.75)
        mask = mask * present.to(mask.dtype)[:, None, None, None]
        return self._texture(place), mask, self._flows(place)


# ---- sensor -----------------------------------------------------------------------------------


def offset_colour(image: Tensor, offset: Tensor) -> Tensor:
    """Add an offset (B, 3) to the colours of (B, 3, H, W) and clip; turns frame c into frame b."""
    return (image + offset[:, :, None, None]).clamp(0, 1)


def add_noise(image: Tensor, strength: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Add Poisson-like noise, whose variance is proportional to the brightness.

    Args:
        image: (B, 3, H, W) in [0, 1].
        strength: (B,), 0 is no noise; 0.3, the paper's largest, has a standard deviation of 3.4
            grey levels at mid-grey.
        generator: Source of randomness.
    """
    draw = torch.randn(image.shape, generator=generator, device=image.device)
    sigma = (
        strength[:, None, None, None] * torch.sqrt(2 * image.clamp(min=0)) / (2 * math.sqrt(127.5))
    )
    return image + draw * sigma


def quantize(image: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Round to 8 bits with dither, which preserves changes below one grey level on average."""
    dither = torch.rand(image.shape, generator=generator, device=image.device)
    return torch.floor(image * 255 + dither).clamp(0, 255) / 255
