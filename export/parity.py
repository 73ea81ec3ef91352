"""Does the exported graph do what the network does? Every mode, state carried, moving frames."""

from dataclasses import asdict, dataclass

import numpy as np
import torch

from rtmag.export.graph import Graph
from rtmag.realtime.engine import Engine
from rtmag.realtime.errors import ParityError
from rtmag.realtime.filters import Dynamic, Filter, Sections, State, Static, Temporal
from rtmag.realtime.frame import Image
from rtmag.realtime.opencv import cv2

FRAMES = 32
FPS = 30.0
ALPHAS = (2.0, 20.0, 100.0)
FILTERS: tuple[Filter, ...] = (
    Static(), Static(drift=0.2), Dynamic(), Temporal(0.5, 3), Temporal(0.5, 3, order=2),
)  # fmt: skip

# Both sides round to 8 bits. A value on the brink of two levels may fall either way, and at alpha
# 100 a last-digit difference of shape is a hundred times larger: a level here and there, never on
# average.
WORST = 3
MEAN = 0.02
WORST_HALF, MEAN_HALF = 8, 0.2  # three digits of what is magnified
MEAN_COMPOSED = 0.3  # the moved picture and the residual are rounded each for itself


@dataclass(slots=True)
class Parity:
    """How far the two were apart, in grey levels, over all modes and factors."""

    worst: int = 0
    mean: float = 0.0
    steps: int = 0

    def to_dict(self) -> dict[str, float]:
        """Plain values, for metadata."""
        return {k: round(v, 6) for k, v in asdict(self).items()}


def clip(size: tuple[int, int], frames: int = FRAMES) -> list[Image]:
    """A textured picture that sways by half a pixel at 1.5 Hz, with a little noise."""
    width, height = size
    rng = np.random.default_rng(7)
    fine = cv2.GaussianBlur(rng.normal(0, 1, (height, width, 3)), (0, 0), 1.5) * 4
    coarse = cv2.GaussianBlur(rng.normal(0, 1, (height, width, 3)), (0, 0), 6) * 16
    still = np.clip(128 + 25 * (fine + coarse), 0, 255)
    wave = np.fft.fft2(still, axes=(0, 1))
    fy, fx = np.fft.fftfreq(height)[:, None, None], np.fft.fftfreq(width)[None, :, None]
    images = []
    for i in range(frames):
        shift = 0.5 * np.sin(2 * np.pi * 1.5 * i / FPS)
        moved = np.fft.ifft2(wave * np.exp(-2j * np.pi * shift * (fx + 0.5 * fy)), axes=(0, 1)).real
        images.append(np.clip(moved + rng.normal(0, 1, moved.shape), 0, 255).astype(np.uint8))
    return images


@torch.no_grad()
def _torch_step(
    graph: Graph, image: Image, alpha: float, sections: Sections, state: State | None
) -> tuple[Image, State]:
    height, width = image.shape[:2]
    net = graph.net
    shape = (1, 2 * len(sections) * net.shape_channels, height // net.stride, width // net.stride)
    out, memory, *_ = graph(
        torch.from_numpy(image),
        torch.tensor(alpha),
        torch.from_numpy(sections),
        torch.tensor(float(state is None)),
        torch.zeros(shape) if state is None else torch.from_numpy(state),
    )
    return out.numpy(), memory.numpy()


def compare(graph: Graph, engine: Engine, *, half: bool = False) -> Parity:
    """Run both over the same moving frames.

    Raises:
        ParityError: they differ by more than rounding explains.
    """
    images = clip(engine.size or (96, 80))
    parity, total = Parity(), 0.0
    worst = WORST_HALF if half else WORST
    most = MEAN_HALF if half else MEAN_COMPOSED if engine.composes else MEAN
    for filter in FILTERS:
        sections = filter.sections(FPS)
        for alpha in ALPHAS:
            ours: State | None = None
            theirs: State | None = None
            for image in images:
                expected, ours = _torch_step(graph, image, alpha, sections, ours)
                found, theirs = engine.step(image, alpha, sections, theirs)
                difference = np.abs(expected.astype(np.int16) - found)
                parity.worst = max(parity.worst, int(difference.max()))
                total += float(difference.mean())
                parity.steps += 1
                parity.mean = total / parity.steps
                if parity.worst > worst or parity.mean > most:
                    raise ParityError(
                        f"exported graph differs from the network by {parity.worst} grey levels "
                        f"({parity.mean:.3f} on average) in mode {filter} at alpha {alpha:g}; "
                        "the model was not written"
                    )
    return parity
