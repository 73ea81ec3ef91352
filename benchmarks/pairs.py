"""Pairs of frames with their true magnification: the sets of the quality benchmark.

axial       the grid of the axial evaluation: 15 motions, magnified to 10 px
noise       21 noise levels at 0.05 px, magnified to 10 px
alpha       alpha 2 to 100 at 0.1 px
large       motions of 2 to 10 px at alpha 3
rotation    an object that rotates; the motion is that of its outline
contrast    a quarter of a pixel at alpha 20, decreasing contrast
occlusion   an object in front of a still background, scored at its outline only
static      no motion, only noise, alpha 20
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from benchmarks.classical import Stepper
from benchmarks.layered_scenes import Image, Layer, Light, Scene, simulate_camera
from rtmag.realtime.filters import Static

MOTIONS = (0.04, 0.05, 0.063, 0.079, 0.1, 0.13, 0.16, 0.2, 0.25, 0.32, 0.4, 0.5, 0.63, 0.79, 1.0)
NOISES = tuple(round(float(level), 3) for level in np.geomspace(0.01, 100, 21))
BORDER = 8  # px left out on each side, as in the axial protocol
RIM = 6  # px to each side of an object's outline


@dataclass(frozen=True, slots=True)
class Condition:
    """Motion, alpha, noise and contrast of a pair."""

    set: str
    at: float
    """The value that varies within the set."""
    motion: float
    """px."""
    alpha: float
    noise: float = 0.0
    """Standard deviation in grey levels at mid-grey."""
    contrast: float = 1.0
    """Factor of the contrast, 0 to 1."""


def conditions() -> list[Condition]:
    """All conditions."""
    return [
        *(Condition("axial", m, m, 10 / m) for m in MOTIONS),
        *(Condition("noise", n, 0.05, 200, noise=n) for n in NOISES),
        *(Condition("alpha", a, 0.1, a) for a in (2.0, 5.0, 10.0, 20.0, 50.0, 100.0)),
        *(Condition("large", m, m, 3) for m in (2.0, 3.0, 4.5, 6.7, 10.0)),
        *(Condition("rotation", m, m, 20) for m in (0.05, 0.2, 0.5)),
        *(Condition("contrast", c, 0.25, 20, contrast=c) for c in (1.0, 0.5, 0.25, 0.1)),
        *(Condition("occlusion", m, m, 20) for m in (0.1, 0.25, 0.5)),
        *(Condition("static", n, 0.0, 20, noise=n) for n in (0.0, 1.0, 3.0, 6.0)),
    ]


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """A reference, a moved frame, and the true magnified picture of the moved frame."""

    reference: Image
    moved: Image
    truth: Light
    scored: NDArray[np.bool_]
    """Pixels that count."""
    still: NDArray[np.bool_]
    """Pixels that should not change."""


def scene(condition: Condition, pictures: list[Image], rng: np.random.Generator) -> Scene:
    """Make a scene of two layers; both, one or none of them moves."""
    behind, before = rng.choice(len(pictures), 2, replace=False)
    moves = condition.set not in ("occlusion", "rotation", "static")
    radius = float(rng.uniform(30, 45))
    turns = condition.set == "rotation"
    return Scene(
        [
            Layer(
                pictures[behind],
                shift=_direction(condition.motion if moves else 0.0, rng),
                contrast=condition.contrast,
            ),
            Layer(
                pictures[before],
                shift=(0.0, 0.0) if turns else _direction(condition.motion, rng),
                turn=condition.motion / radius if turns else 0.0,
                centre=(float(rng.uniform(-20, 20)), float(rng.uniform(-20, 20))),
                radius=radius,
                lobes=int(rng.integers(2, 7)),
                contrast=condition.contrast,
            ),
        ]
    )


def _direction(length: float, rng: np.random.Generator) -> tuple[float, float]:
    angle = rng.uniform(0, 2 * np.pi)
    return float(length * np.cos(angle)), float(length * np.sin(angle))


def pairs(condition: Condition, pictures: list[Image], count: int) -> Iterator[Pair]:
    """Yield `count` pairs; the same condition always gives the same pairs."""
    for index in range(count):
        # Within a set, pairs differ in the varied value only.
        made = scene(condition, pictures, np.random.default_rng([index, seed_of(condition.set)]))
        rng = np.random.default_rng([index, int(1000 * condition.at)])
        times = [[m] * 2 for m in (0.0, 1.0, condition.alpha)]
        reference, moved, truth = made.render(times)
        scored = made.rim(times[2], RIM) if condition.set == "occlusion" else None
        inner = np.zeros(truth.shape[:2], bool)
        inner[BORDER:-BORDER, BORDER:-BORDER] = True
        yield Pair(
            reference=simulate_camera(reference, condition.noise, rng),
            moved=simulate_camera(moved, condition.noise, rng),
            truth=truth,
            scored=inner if scored is None else inner & scored,
            still=inner & made.still(times),
        )


def seed_of(name: str) -> int:
    """Seed of a set, the same in every run."""
    return int.from_bytes(name.encode(), "big")


def score(method: Stepper, pair: Pair, alpha: float) -> dict[str, float]:
    """Compare a method's picture with the truth: MAE (of 1), SSIM, PSNR (dB), leak (of 255)."""
    sections = Static().sections(30.0)
    _, state = method.step(pair.reference, alpha, sections, None)
    shown, _ = method.step(pair.moved, alpha, sections, state)
    error = (shown.astype(np.float32) - pair.truth)[pair.scored]
    similarity = structural_similarity(
        shown.astype(np.float32), pair.truth, channel_axis=2, data_range=255, full=True
    )[1]
    out = {
        "mae": float(np.abs(error).mean() / 255),
        "ssim": float(similarity[pair.scored].mean()),
        "psnr": float(10 * np.log10(255**2 / max(float(np.square(error).mean()), 1e-4))),
    }
    if pair.still.sum() > 200:
        change = shown.astype(np.float32) - pair.moved
        out["leak"] = float(np.abs(change[pair.still]).mean())
    return out
