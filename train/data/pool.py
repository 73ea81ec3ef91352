"""A ring of synthesised scenes on disk, so that a slow generator can feed a fast learner.

Rendering a scene costs more than learning from it once. Each scene is therefore used `reuse` times
on average, every time cropped, mirrored and recoloured differently and with noise, dither and
colour change of its own; meanwhile new scenes replace the oldest. Scenes are kept clean, as 16-bit
values, with their flows. `fresh` does without: on a GPU every step may see scenes never seen
before.
"""

import itertools
import json
import math
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rtmag.realtime.errors import OptionError
from rtmag.train.data.batch import Batch
from rtmag.train.data.synthesis import CELL, Scenes, Synthesizer, add_noise, offset_colour, quantize

MAX_NOISE = 0.9  # strongest noise: three times the paper's, about 10 grey levels, a dark room

NOISE_RAMP = 1000  # batches until noise has its full strength: it hides what is learnt first

FILTERED_SHARE = 0.5  # of the samples: as a temporal filter shows them, which averages noise away

MIN_FILTERED_NOISE = 0.05  # of the noise is what a narrow band leaves

BLUR_SHARE = (
    0.25  # of the samples: as through a lens, a codec or an enlargement that keeps no detail
)

BLUR_RANGE = (0.5, 4.0)  # px: its range

CHUNK = 8  # scenes rendered at a time: more does not fit the caches, fewer cost calls (measured)


class Pool:
    """Scenes waiting to be learnt from; the same folder continues where it was left."""

    def __init__(self, synthesizer: Synthesizer, *, capacity: int, folder: Path | None) -> None:
        self.synthesizer = synthesizer
        self.capacity = capacity
        self.size = synthesizer.size
        self.made = 0
        """Scenes rendered so far; the newest lies at (made - 1) % capacity."""
        self._count_file = folder / "pool.json" if folder else None
        shape = (capacity, 9, self.size, self.size)  # reference, moved, magnified; uint16
        cells = (capacity, 4, self.size // CELL, self.size // CELL)
        if folder is None:
            self.images: NDArray[np.uint16] = np.zeros(shape, np.uint16)
            self.flows: NDArray[np.float16] = np.zeros(cells, np.float16)
            self.alpha: NDArray[np.float32] = np.zeros(capacity, np.float32)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            _check_size(folder, list(shape))
            self.images = _open(folder / "images.u16", shape, np.uint16)
            self.flows = _open(folder / "flows.f16", cells, np.float16)
            self.alpha = _open(folder / "alpha.f32", (capacity,), np.float32)
            self._resume()

    def _resume(self) -> None:
        assert self._count_file is not None
        if self._count_file.is_file():
            self.made = int(json.loads(self._count_file.read_text())["made"])
            # Not the scenes that the first filling drew.
            generator = self.synthesizer.generator
            generator.manual_seed((generator.initial_seed() + self.made + 1) % 2**63)

    def __len__(self) -> int:
        return min(self.made, self.capacity)

    def add(self, count: int) -> None:
        """Render `count` scenes, in chunks, over the oldest ones."""
        for _ in range(-(-count // CHUNK)):
            scenes = self.synthesizer.batch(CHUNK)
            stack = torch.cat([scenes.reference, scenes.moved, scenes.magnified], 1)
            values = (stack.clamp(0, 1) * 65535).round().cpu().numpy().astype(np.uint16)
            slots = np.arange(self.made, self.made + CHUNK) % self.capacity
            self.images[slots] = values
            self.flows[slots] = scenes.flows.cpu().numpy()
            self.alpha[slots] = scenes.alpha.cpu().numpy()
            self.made += CHUNK
        if self._count_file is not None:
            state = {"made": self.made, "shape": list(self.images.shape)}
            self._count_file.write_text(json.dumps(state))

    def batches(
        self,
        count: int,
        *,
        crop: int,
        reuse: float,
        seed: int,
        start: int = 0,
        with_frame_c: bool = True,
    ) -> Iterator[Batch]:
        """Yield batches of `count` samples of `crop` px for ever, rendering as they are used up."""
        rng = np.random.default_rng([seed, self.made])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        debt = 0.0
        for step in itertools.count(start):
            debt += count / reuse
            if debt >= CHUNK:
                self.add(int(debt // CHUNK) * CHUNK)
                debt %= CHUNK
            picks = rng.integers(0, len(self), count)
            planes = torch.from_numpy(self.images[picks].astype(np.float32) / 65535)
            flows = torch.from_numpy(self.flows[picks].astype(np.float32))
            planes, flows = augment(planes, flows, crop, rng)
            reference, moved, magnified = planes[:, :3], planes[:, 3:6], planes[:, 6:]
            alpha = torch.from_numpy(self.alpha[picks])
            scenes = Scenes(reference, moved, magnified, alpha, flows)
            noise = MAX_NOISE * min(1.0, step / NOISE_RAMP)
            yield sensor_model(scenes, generator, noise=noise, with_frame_c=with_frame_c)


def stream(
    synthesizer: Synthesizer, count: int, *, seed: int, start: int = 0, with_frame_c: bool = True
) -> Iterator[Batch]:
    """Yield batches of `count` scenes never seen before, made on the synthesizer's device."""
    generator = torch.Generator(synthesizer.device).manual_seed(seed)
    for step in itertools.count(start):
        noise = MAX_NOISE * min(1.0, step / NOISE_RAMP)
        yield sensor_model(
            synthesizer.batch(count), generator, noise=noise, with_frame_c=with_frame_c
        )


def prefetch(batches: Iterator[Batch], depth: int = 2) -> Iterator[Batch]:
    """The same batches, prepared by a thread while the network learns from the one before."""
    queue: Queue[Batch | BaseException | None] = Queue(depth)

    def produce() -> None:
        torch.set_num_threads(1)  # of this thread: the learner's wait for each other meanwhile
        try:
            for batch in batches:
                queue.put(batch)
            queue.put(None)
        except BaseException as error:
            queue.put(error)

    Thread(target=produce, daemon=True, name="samples").start()
    while True:
        item = queue.get()
        if item is None:
            return
        if isinstance(item, BaseException):
            raise item
        yield item


def augment(
    planes: Tensor, flows: Tensor, crop: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Soften, crop, mirror, turn, recolour, flatten: (B, 9, S, S), flows -> (B, 9, crop, crop)."""
    soft = (_blur(sample, rng) for sample in planes)
    posed = [_crop_and_flip(*pair, crop, rng) for pair in zip(soft, flows, strict=True)]
    samples, turned = zip(*posed, strict=True)
    return torch.stack([_change_colours(sample, rng) for sample in samples]), torch.stack(turned)


def _blur(sample: Tensor, rng: np.random.Generator) -> Tensor:
    """At times blurred by a Gaussian, alike in the three frames: (9, S, S) -> the same.

    Of pictures that are all sharp a network learns to show the motion of soft ones too large.
    """
    if rng.random() >= BLUR_SHARE:
        return sample
    sigma = math.exp(rng.uniform(math.log(BLUR_RANGE[0]), math.log(BLUR_RANGE[1])))
    planes = [cv2.GaussianBlur(plane, (0, 0), sigma) for plane in sample.numpy()]
    return torch.from_numpy(np.stack(planes))


def _crop_and_flip(
    sample: Tensor, flows: Tensor, crop: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """A random square of a scene, mirrored and turned; vectors turn with it."""
    cells, spare = crop // CELL, (sample.shape[-1] - crop) // CELL
    y, x = (int(corner) for corner in rng.integers(0, spare + 1, 2))
    sample = sample[:, CELL * y :, CELL * x :][:, :crop, :crop]
    flows = flows[:, y : y + cells, x : x + cells]
    for axis, component in ((1, 1), (2, 0)):
        if rng.random() < 0.5:
            sample, flows = sample.flip(axis), flows.flip(axis)
            flows[component::2].neg_()
    if rng.random() < 0.5:
        sample, flows = sample.transpose(1, 2), flows.transpose(1, 2)[[1, 0, 3, 2]]
    return sample, flows


def _change_colours(sample: Tensor, rng: np.random.Generator) -> Tensor:
    """Colours exchanged, at times inverted or of little contrast, alike in the three frames."""
    colours = rng.permutation(3)
    sample = sample[np.concatenate([colours, colours + 3, colours + 6])]
    sample = 1 - sample if rng.random() < 0.2 else sample
    if rng.random() < 0.35:  # a dim room, a grey wall: little contrast, most often dark
        contrast = float(np.exp(rng.uniform(np.log(0.08), 0)))
        sample = sample * contrast + (1 - contrast) * rng.random() ** 2
    return sample


def sensor_model(
    scenes: Scenes,
    generator: torch.Generator,
    *,
    noise: float = MAX_NOISE,
    with_frame_c: bool = True,
) -> Batch:
    """Clean scenes -> what a camera delivers: colour change, noise, dither, 8 bits.

    One sample in seven changes colour between the frames; three in ten are noisy. Noise strength is
    drawn per sample, most often within the paper's 0.3. The target has none. Half of the samples
    are as within a temporal filter: the picture is as noisy as ever, its change is not.

    Args:
        scenes: What was rendered.
        generator: Source of randomness.
        noise: Strongest noise.
        with_frame_c: Render frame_c, for oh2018. Else frame_c is frame_b, and the samples carry
            the filtered change instead, for MagNet.
    """

    def draw(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=generator.device)

    count = scenes.alpha.shape[0]
    offset = (draw(count, 3) - 0.5) * 0.25 * (draw(count, 1) < 0.15)
    strength = noise * draw(count) ** 3 * (draw(count) < 0.3)

    def capture(image: Tensor) -> Tensor:
        return quantize(add_noise(image, strength, generator), generator)

    before, after = scenes.reference, offset_colour(scenes.moved, offset)
    frame_a, frame_b = capture(before), capture(after)
    change = None
    if not with_frame_c:
        share = MIN_FILTERED_NOISE ** draw(count, 1, 1, 1)
        filtered = after - before + share * (capture(after) - after - (frame_a - before))
        change = torch.where(draw(count, 1, 1, 1) < FILTERED_SHARE, filtered, frame_b - frame_a)
    return Batch(
        frame_a=frame_a,
        frame_b=frame_b,
        frame_c=capture(scenes.moved) if with_frame_c else frame_b,
        amplified=offset_colour(scenes.magnified, offset),
        alpha=scenes.alpha,
        flows=scenes.flows,
        change=change,
    )


def _check_size(folder: Path, shape: list[int]) -> None:
    """Scenes took long to render, and another run may be learning from them."""
    count = folder / "pool.json"
    held = json.loads(count.read_text())["shape"] if count.is_file() else shape
    if held != shape:
        raise OptionError(
            f"cannot use pool {str(folder)!r}: it holds {held[0]} scenes of {held[-1]} px, not "
            f"{shape[0]} of {shape[-1]} px; give another --pool, or delete it"
        )


def _open(path: Path, shape: tuple[int, ...], dtype: type[np.generic]) -> NDArray[Any]:
    """A file-backed array, kept if it has the right size; else empty, and so is the pool."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    mode = "r+" if path.is_file() and path.stat().st_size == size else "w+"
    if mode == "w+":
        path.with_name("pool.json").unlink(missing_ok=True)
    return np.memmap(path, dtype, mode, shape=shape)  # type: ignore[call-overload, no-any-return]
