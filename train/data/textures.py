"""Textures and outlines of objects, the material of rendered scenes.

Textures are (3, T, T) uint8, BGR: drawn here, or cut from photographs. The photographs are those of
scikit-image's wheel that are public domain or CC0, or a folder of the user. Outlines are (1, M, M)
uint8, 255 inside the object. A `Bank` holds both on the training device.

The photographs in HELD_OUT are never used for training, so benchmarks may use them.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import skimage
import torch
from numpy.typing import NDArray
from torch import Tensor

from rtmag.realtime.errors import OptionError
from rtmag.realtime.opencv import cv2

Picture = NDArray[np.uint8]

PHOTOGRAPHS = (
    "astronaut.png", "brick.png", "camera.png", "cell.png", "grass.png", "gravel.png",
    "hubble_deep_field.jpg", "moon.png", "retina.jpg", "rocket.jpg",
)  # fmt: skip

HELD_OUT = ("chelsea.png", "coffee.png", "coins.png")

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"}


def _spectrum_noise(size: int, slope: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Noise (size, size) with amplitudes proportional to 1/f^slope, scaled to [0, 1]."""
    f = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :])
    f[0, 0] = 1 / size
    spectrum = np.fft.rfft2(rng.standard_normal((size, size))) / f**slope
    noise = np.fft.irfft2(spectrum, s=(size, size))
    low, high = np.percentile(noise, [0.5, 99.5])
    return np.asarray(np.clip((noise - low) / (high - low), 0, 1), np.float32)


def _two_colours(amount: NDArray[np.float32], rng: np.random.Generator) -> Picture:
    """Picture (H, W, 3) between two random colours; `amount` is (H, W) in [0, 1]."""
    a, b = rng.integers(0, 256, (2, 3)).astype(np.float32)
    return np.asarray(a + amount[..., None] * (b - a), np.uint8)


def _desaturate(picture: Picture, rng: np.random.Generator) -> Picture:
    """Mix a picture with its grey version, since natural colours are strongly correlated."""
    grey = picture.mean(-1, keepdims=True)
    return np.asarray(grey + rng.uniform(0, 0.7) * (picture - grey), np.uint8)


def dead_leaves(size: int, rng: np.random.Generator) -> Picture:
    """Opaque discs with radii distributed as r^-3: the occlusion statistics of natural images.

    A. Lee, D. Mumford, J. Huang, Occlusion models for natural images, IJCV 2001. Each leaf is
    shaded with 1/f noise, and half of the pictures have polygons among the discs.
    """
    image = np.zeros((size, size, 3), np.uint8)
    smallest, largest = rng.choice([2.0, 4.0, 8.0]), size / 4
    palette = rng.integers(0, 256, (int(rng.integers(3, 12)), 3))
    angular = rng.random() < 0.5
    for _ in range(int(rng.integers(800, 2500))):
        u = rng.random()
        radius = 1 / np.sqrt(u / smallest**2 + (1 - u) / largest**2)
        colour = np.clip(palette[rng.integers(len(palette))] + rng.normal(0, 18, 3), 0, 255)
        centre = rng.random(2) * size
        if angular and rng.random() < 0.5:
            corners = np.sort(rng.random(int(rng.integers(3, 7)))) * 2 * np.pi
            points = centre + radius * np.stack([np.cos(corners), np.sin(corners)], 1)
            cv2.fillPoly(image, [(points * 16).astype(np.int32)], colour.tolist(), cv2.LINE_AA, 4)
        else:
            at = (int(centre[0] * 16), int(centre[1] * 16))
            cv2.circle(image, at, int(radius * 16), colour.tolist(), -1, cv2.LINE_AA, 4)
    shade = _spectrum_noise(size, rng.uniform(0.8, 1.6), rng)[..., None]
    depth = rng.uniform(0, 0.7)
    return np.asarray(image * (1 - depth * shade), np.uint8)


def grating(size: int, rng: np.random.Generator) -> Picture:
    """Stripes, weaves and similar periodic patterns, slightly bent."""
    y, x = np.mgrid[:size, :size].astype(np.float32)
    bend = _spectrum_noise(size, 2.0, rng) * rng.choice([0.0, 20.0, 60.0])
    angle, period = rng.uniform(0, np.pi), np.exp(rng.uniform(np.log(6), np.log(60)))
    phase = (x * np.cos(angle) + y * np.sin(angle) + bend) * (2 * np.pi / period)
    wave = np.sin(phase)
    if rng.random() < 0.5:
        across = (y * np.cos(angle) - x * np.sin(angle) + bend) * (2 * np.pi / period)
        wave = wave * np.sin(across * rng.uniform(0.5, 2))
    if rng.random() < 0.4:
        wave = np.tanh(wave * 6)
    return _two_colours((wave * 0.5 + 0.5).astype(np.float32), rng)


def noise(size: int, rng: np.random.Generator) -> Picture:
    """Noise with a random spectrum, in two colours or many, like clouds, plaster or bark."""
    slope = rng.uniform(0.5, 2.2)
    if rng.random() < 0.5:
        picture = _two_colours(_spectrum_noise(size, slope, rng), rng)
    else:
        planes = [_spectrum_noise(size, slope, rng) for _ in range(3)]
        picture = (np.stack(planes, -1) * 255).astype(np.uint8)
    if rng.random() < 0.3:
        wide = cv2.resize(picture, (size * int(rng.integers(2, 6)), size))
        picture = np.ascontiguousarray(wide[:, :size])
    return picture


def text(size: int, rng: np.random.Generator) -> Picture:
    """Lines of random letters on a faint background: sharp edges in all directions."""
    image = _two_colours(0.2 * _spectrum_noise(size, 1.5, rng), rng)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-*/()"))
    y = 0
    while y < size + 40:
        scale = float(rng.uniform(0.4, 2.5))
        line = "".join(rng.choice(letters, 40))
        colour = [int(c) for c in rng.integers(0, 256, 3)]
        at = (int(rng.integers(-60, 10)), y)
        cv2.putText(image, line, at, int(rng.integers(0, 8)), scale, colour,
                    int(rng.integers(1, 4)), cv2.LINE_AA)  # fmt: skip
        y += int(28 * scale) + int(rng.integers(2, 12))
    return image


def gradient(size: int, rng: np.random.Generator) -> Picture:
    """A smooth picture without detail, like a wall, skin or sky, where noise must not crawl."""
    smooth = cv2.GaussianBlur(_spectrum_noise(size, 2.2, rng), (0, 0), float(rng.uniform(4, 20)))
    return _two_colours(np.asarray(smooth, np.float32), rng)


PROCEDURAL: tuple[tuple[Callable[[int, np.random.Generator], Picture], float], ...] = (
    (dead_leaves, 0.5), (noise, 0.16), (grating, 0.12), (text, 0.12), (gradient, 0.10),
)  # fmt: skip


def bundled_photographs(names: tuple[str, ...] = PHOTOGRAPHS) -> list[Picture]:
    """Photographs of scikit-image's wheel, (H, W, 3) BGR each."""
    folder = Path(skimage.__file__).parent / "data"
    return [read_picture(folder / name) for name in names]


def image_paths(folder: Path) -> list[Path]:
    """Picture files in a folder and its subfolders, sorted; COCO and VOC layouts work as well.

    VOC's label pictures (`SegmentationClass`, `SegmentationObject`) are skipped.

    Raises:
        OptionError: the folder is missing or holds no picture.
    """
    if not folder.is_dir():
        raise OptionError(f"cannot read images from {str(folder)!r}: no such folder")
    paths = sorted(
        p for p in folder.rglob("*")
        if p.suffix.lower() in SUFFIXES and "Segmentation" not in p.parent.name
    )  # fmt: skip
    if not paths:
        raise OptionError(f"cannot read images from {str(folder)!r}: it holds no picture")
    return paths


def read_picture(path: Path) -> Picture:
    """Read a picture file, (H, W, 3) BGR.

    Raises:
        OptionError: OpenCV cannot read the file.
    """
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise OptionError(f"cannot read {str(path)!r}: not a picture")
    return np.asarray(image, np.uint8)


def crop(picture: Picture, size: int, rng: np.random.Generator) -> Picture:
    """Cut a random square from a picture and resize it, (size, size, 3)."""
    side = int(min(picture.shape[:2]) * rng.uniform(0.45, 1.0))
    y = int(rng.integers(0, picture.shape[0] - side + 1))
    x = int(rng.integers(0, picture.shape[1] - side + 1))
    method = cv2.INTER_AREA if side > size else cv2.INTER_CUBIC
    return np.asarray(
        cv2.resize(picture[y : y + side, x : x + side], (size, size), interpolation=method)
    )


def outline(size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Outline of one object, (size, size): a blob, polygon, disc, frame, or one to three bars.

    Some blobs, polygons and discs have a hole.
    """
    mask = np.zeros((size, size), np.uint8)
    half, kind = size / 2, rng.integers(0, 5)
    angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    if kind == 0:
        radius = np.full_like(angle, 0.62)
        for harmonic in range(2, 8):
            swing = rng.normal(0, 0.22 / harmonic)
            radius += swing * np.cos(harmonic * angle + rng.uniform(0, 2 * np.pi))
        radius = np.clip(radius, 0.15, 0.97)
    elif kind == 1:
        corners = np.sort(rng.random(int(rng.integers(3, 9)))) * 2 * np.pi
        angle, radius = corners, rng.uniform(0.45, 0.97, corners.shape)
    else:
        radius = np.full_like(angle, rng.uniform(0.5, 0.95))
    if kind <= 2:
        points = half + half * np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
        cv2.fillPoly(mask, [(points * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    if kind == 3 or (kind <= 2 and rng.random() < 0.2):
        hole = int(half * rng.uniform(0.15, 0.4))
        value = 255 if kind == 3 else 0
        cv2.rectangle(
            mask, (size // 6, size // 6), (size - size // 6, size - size // 6), value, hole
        )
    if kind == 4:
        for _ in range(int(rng.integers(1, 4))):
            ends = (rng.uniform(0.05, 0.95, (2, 2)) * size).astype(int)
            thick = int(size * rng.uniform(0.03, 0.15))
            cv2.line(mask, ends[0].tolist(), ends[1].tolist(), 255, thick, cv2.LINE_AA)
    return mask


class Bank:
    """Textures and outlines of one run, on one device."""

    def __init__(self, textures: Tensor, outlines: Tensor) -> None:
        self.textures = textures
        """(N, 3, T, T) uint8, BGR."""
        self.outlines = outlines
        """(N, 1, M, M) uint8."""

    @classmethod
    def make(
        cls,
        *,
        count: int = 256,
        size: int = 512,
        seed: int = 0,
        device: str | torch.device = "cpu",
        images: Path | None = None,
    ) -> "Bank":
        """Make a bank of 40 % photographs and 60 % procedural textures.

        Args:
            count: Number of textures, and of outlines.
            size: Side of each texture in pixels.
            seed: The same seed gives the same bank.
            device: Device of the tensors.
            images: Folder of photographs to use in place of the bundled ones.

        Raises:
            OptionError: the folder is missing, holds no picture, or one cannot be read.
        """
        rng = np.random.default_rng(seed)
        paths = image_paths(images) if images else []
        photographs = [] if paths else bundled_photographs()
        draw, share = zip(*PROCEDURAL, strict=True)
        textures = np.empty((count, size, size, 3), np.uint8)
        for i in range(count):
            if rng.random() < 0.4:
                pick = int(rng.integers(len(paths) or len(photographs)))
                picture = read_picture(paths[pick]) if paths else photographs[pick]
                textures[i] = crop(picture, size, rng)
            else:
                textures[i] = _desaturate(draw[int(rng.choice(len(draw), p=share))](size, rng), rng)
        outlines = np.stack([outline(256, rng) for _ in range(count)])
        return cls(
            torch.from_numpy(textures).permute(0, 3, 1, 2).contiguous().to(device),
            torch.from_numpy(outlines)[:, None].to(device),
        )
