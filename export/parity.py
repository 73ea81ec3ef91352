"""Parity check: the exported graph against the network, in every mode, over moving frames.

Each carries its own state from frame to frame, so that errors of the recurrence add up and become
visible.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import product

import numpy as np
import torch

from rtmag.export.graph import Graph
from rtmag.export.source import ExportSource
from rtmag.realtime.engines.contract import SIDE_MULTIPLE
from rtmag.realtime.engines.engine import Engine
from rtmag.realtime.errors import ParityError
from rtmag.realtime.filters import Dynamic, Filter, Static, Temporal
from rtmag.realtime.frame import Image
from rtmag.realtime.opencv import cv2
from rtmag.realtime.sections import Sections, State

FRAMES = 32

FPS = 30.0

ALPHAS = (2.0, 20.0, 100.0)

FILTERS: tuple[Filter, ...] = (
    Static(), Static(drift=0.2), Dynamic(), Temporal(0.5, 3), Temporal(0.5, 3, order=2),
)  # fmt: skip

# Grey levels. Both sides round to 8 bits, and a value between two levels may be rounded either way.
# Alpha 100 multiplies differences in the last digit of shape by a hundred. So single pixels may
# differ by a few levels, but not the mean.
WORST = 3

MEAN = 0.02

WORST_HALF, MEAN_HALF = 8, 0.2  # half precision has three decimal digits

STREAMS = 5  # compared together, where the graph takes any number

SKIP_EVERY = 7  # frames; each stream skips one of them

RESTART_EVERY = 5  # frames; stream k starts again at frame 5 k

CountReport = Callable[[int, int], None]
"""Receives the number of the comparison that begins, from 1, and the total number."""


def _ignore(done: int, total: int) -> None:
    pass


@dataclass(slots=True)
class Parity:
    """Differences between graph and network over all modes and alphas so far."""

    worst: int = 0
    """Largest difference of a pixel, in grey levels."""
    mean: float = 0.0
    """Mean difference, in grey levels."""
    steps: int = 0
    """Number of compared frames."""

    def add(self, expected: Image, actual: Image) -> None:
        """Add the pictures of one frame."""
        difference = np.abs(expected.astype(np.int16) - actual)
        self.worst = max(self.worst, int(difference.max()))
        self.mean += (float(difference.mean()) - self.mean) / (self.steps + 1)
        self.steps += 1

    def to_dict(self) -> dict[str, float]:
        """Plain values, for metadata."""
        return {k: round(v, 6) for k, v in asdict(self).items()}


def clip(size: tuple[int, int], frames: int = FRAMES) -> list[Image]:
    """Frames of a texture that sways by half a pixel at 1.5 Hz and 30 fps, with a little noise."""
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
def torch_step(
    graph: Graph, image: Image, alpha: float, sections: Sections, state: State | None
) -> tuple[Image, State]:
    """Run one step of the network in PyTorch; the arguments are those of `Engine.step`."""
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


@dataclass(frozen=True, slots=True)
class Bounds:
    """Largest accepted differences, in grey levels."""

    worst: int
    mean: float

    def check(self, parity: Parity, filter: Filter, alpha: float) -> None:
        """Raise ParityError if the differences exceed the bounds."""
        if parity.worst > self.worst or parity.mean > self.mean:
            raise ParityError(
                f"exported graph differs from the network by {parity.worst} grey levels "
                f"({parity.mean:.3f} on average) in mode {filter} at alpha {alpha:g}; "
                "the model was not written"
            )


def bounds(*, half: bool) -> Bounds:
    """The differences that rounding alone can cause."""
    return Bounds(WORST_HALF, MEAN_HALF) if half else Bounds(WORST, MEAN)


def check_parity(
    source: ExportSource, engine: Engine, *, half: bool = False, report: CountReport = _ignore
) -> Parity:
    """Compare an exported graph with the network that it was made from.

    Args:
        source: The network, in float32.
        engine: The exported graph, opened by its runtime.
        half: True to accept the differences of half precision; implied by a half-precision source.
        report: Receives the progress.

    Raises:
        ParityError: they differ by more than rounding can cause.
    """
    run = compare if source.streams is None else compare_streams
    return run(source.reference, engine, half=half or source.half, report=report)


def compare(
    graph: Graph, engine: Engine, *, half: bool = False, report: CountReport = _ignore
) -> Parity:
    """Run graph and engine over the same frames; raises the errors of `check_parity`."""
    images = clip(engine.size or (96, 80))
    parity, allowed = Parity(), bounds(half=half)
    cases = list(product(FILTERS, ALPHAS))
    for number, (filter, alpha) in enumerate(cases, 1):
        report(number, len(cases))
        sections = filter.sections(FPS)
        ours: State | None = None
        theirs: State | None = None
        for image in images:
            expected, ours = torch_step(graph, image, alpha, sections, ours)
            actual, theirs = engine.step(image, alpha, sections, theirs)
            parity.add(expected, actual)
            allowed.check(parity, filter, alpha)
    return parity


def compare_streams(
    graph: Graph, engine: Engine, *, half: bool = False, report: CountReport = _ignore
) -> Parity:
    """Run several streams together through the engine, and each alone through the network.

    The streams differ in picture, mode and alpha, restart at different frames, and each skips some
    frames. Together they cover every mode at every alpha. Raises the errors of `check_parity`.
    """
    images = clip(engine.size or (96, 80))
    parity, allowed = Parity(), bounds(half=half)
    cases = list(product(FILTERS, ALPHAS))
    count = int(min(engine.streams_per_run, STREAMS))
    for begin in range(0, len(cases), count):
        report(begin + 1, len(cases))
        chosen = [cases[(begin + k) % len(cases)] for k in range(count)]
        ours: list[State | None] = [None] * count
        theirs: list[State | None] = [None] * count
        for number, image in enumerate(images):
            present = [k for k in range(count) if (number + k) % SKIP_EVERY]
            for k in present:
                if number == RESTART_EVERY * k:
                    ours[k] = theirs[k] = None
            shown = [np.roll(image, SIDE_MULTIPLE * k, axis=1) for k in present]
            alphas = [chosen[k][1] for k in present]
            sections = [chosen[k][0].sections(FPS) for k in present]
            actual, states = engine.step_many(shown, alphas, sections, [theirs[k] for k in present])
            for place, k in enumerate(present):
                theirs[k] = states[place]
                step = shown[place], alphas[place], sections[place], ours[k]
                expected, ours[k] = torch_step(graph, *step)
                parity.add(expected, actual[place])
                allowed.check(parity, *chosen[k])
    return parity
