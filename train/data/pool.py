"""A pool of rendered scenes on disk, and the augmentation that turns scenes into samples.

Rendering a scene takes longer than one training step on it. Each scene is therefore used `reuse`
times on average, each time with another crop, orientation, colour, noise and dither. New scenes
replace the oldest ones during training. The pool holds clean scenes as 16-bit values, with their
flows. `stream` needs no pool: it renders every scene for one use, which suits a GPU.
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

MAX_NOISE = 0.9  # three times the paper's: about 10 grey levels, as in a dark room

NOISE_RAMP = 1000  # batches until noise has full strength; without noise, motion is easier to learn

FILTERED_SHARE = 0.5  # share of samples whose change has less noise, as after a temporal filter

MIN_FILTERED_NOISE = 0.05  # smallest share of the noise in these samples, as after a narrow band

BLUR_SHARE = 0.25  # share of samples that are blurred as by a lens, a codec or an enlargement

BLUR_RANGE = (0.5, 4.0)  # px, standard deviation of the blur

CHUNK = 8  # scenes rendered together; more exceed the CPU's caches, fewer add overhead (measured)


class Pool:
    """A ring of rendered scenes, in a folder or in memory.

    Args:
        synthesizer: Renders the scenes.
        capacity: Number of scenes the ring holds.
        folder: Folder of the files; an existing pool of the same size is continued. None: memory.

    Raises:
        OptionError: the folder holds a pool of another capacity or scene size.
    """

    def __init__(self, synthesizer: Synthesizer, *, capacity: int, folder: Path | None) -> None:
        self.synthesizer = synthesizer
        self.capacity = capacity
        self.size = synthesizer.size
        self.made = 0
        """Number of scenes rendered so far; the newest is at index (made - 1) % capacity."""
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
            # Another seed than before, so that the scenes of the first run do not repeat.
            generator = self.synthesizer.generator
            generator.manual_seed((generator.initial_seed() + self.made + 1) % 2**63)

    def __len__(self) -> int:
        return min(self.made, self.capacity)

    def add(self, count: int) -> None:
        """Render `count` scenes, rounded up to whole chunks, in place of the oldest ones."""
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
        """Yield batches of random samples without end, and render new scenes in between.

        Args:
            count: Samples per batch.
            crop: Side of a sample, px, a multiple of 4.
            reuse: Average number of uses of a scene; `count / reuse` scenes are rendered per batch.
            seed: Seed of the choice and the augmentation of the samples.
            start: Step at which a resumed run continues; it sets the strength of the noise.
            with_frame_c: As in `sensor_model`.
        """
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
    """Yield batches of `count` new scenes without end, rendered on the synthesizer's device.

    The arguments are those of `Pool.batches`.
    """
    generator = torch.Generator(synthesizer.device).manual_seed(seed)
    for step in itertools.count(start):
        noise = MAX_NOISE * min(1.0, step / NOISE_RAMP)
        yield sensor_model(
            synthesizer.batch(count), generator, noise=noise, with_frame_c=with_frame_c
        )


def prefetch(batches: Iterator[Batch], depth: int = 2) -> Iterator[Batch]:
    """Prepare batches in a background thread; at most `depth` wait in the queue.

    An exception of `batches` is raised in the caller.
    """
    queue: Queue[Batch | BaseException | None] = Queue(depth)

    def produce() -> None:
        torch.set_num_threads(1)  # in this thread; more would compete with the training threads
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
    """Blur, crop, mirror, transpose and recolour each scene at random.

    Args:
        planes: (B, 9, S, S) in [0, 1]: reference, moved and magnified picture, BGR each. All three
            are changed in the same way.
        flows: (B, 4, S/4, S/4) px, as in `Scenes.flows`.
        crop: Side of the result, px, a multiple of 4.
        rng: Source of randomness.

    Returns:
        (B, 9, crop, crop) and (B, 4, crop/4, crop/4).
    """
    blurred = (_blur(sample, rng) for sample in planes)
    cropped = [_crop_and_flip(*pair, crop, rng) for pair in zip(blurred, flows, strict=True)]
    samples, vectors = zip(*cropped, strict=True)
    return torch.stack([_change_colours(sample, rng) for sample in samples]), torch.stack(vectors)


def _blur(sample: Tensor, rng: np.random.Generator) -> Tensor:
    """Blur a share of the samples by a Gaussian, (9, S, S).

    A network that was trained only on sharp pictures shows the motion of blurred ones too large.
    """
    if rng.random() >= BLUR_SHARE:
        return sample
    sigma = math.exp(rng.uniform(math.log(BLUR_RANGE[0]), math.log(BLUR_RANGE[1])))
    planes = [cv2.GaussianBlur(plane, (0, 0), sigma) for plane in sample.numpy()]
    return torch.from_numpy(np.stack(planes))


def _crop_and_flip(
    sample: Tensor, flows: Tensor, crop: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Cut a random square, mirror and transpose it at random; the flow vectors change with it."""
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
    """Permute the colour channels; invert some samples and reduce the contrast of others."""
    colours = rng.permutation(3)
    sample = sample[np.concatenate([colours, colours + 3, colours + 6])]
    sample = 1 - sample if rng.random() < 0.2 else sample
    if rng.random() < 0.35:  # little contrast, mostly dark: a dim room, a grey wall
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
    """Simulate a camera: change of colour, noise, dither and rounding to 8 bits.

    One sample in seven changes colour between the frames. Three in ten are noisy; the strength is
    drawn per sample and mostly within the paper's 0.3. The target has no noise. In half of the
    samples the change has less noise than the pictures, as after a temporal filter.

    Args:
        scenes: Clean scenes.
        generator: Source of randomness.
        noise: Largest strength of noise, as in `add_noise`.
        with_frame_c: True to render frame_c, for oh2018. Otherwise frame_c is frame_b, and the
            samples carry the filtered change instead, for MagNet.
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
    """Refuse a pool of another size: its scenes took long to render, so they are not deleted.

    Raises:
        OptionError: the folder holds scenes of another number or size.
    """
    count = folder / "pool.json"
    held = json.loads(count.read_text())["shape"] if count.is_file() else shape
    if held != shape:
        raise OptionError(
            f"cannot use pool {str(folder)!r}: it holds {held[0]} scenes of {held[-1]} px, not "
            f"{shape[0]} of {shape[-1]} px; name another folder with --pool, or delete this one"
        )


def _open(path: Path, shape: tuple[int, ...], dtype: type[np.generic]) -> NDArray[Any]:
    """Open a memory-mapped array; a file of another size is replaced, which empties the pool."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    mode = "r+" if path.is_file() and path.stat().st_size == size else "w+"
    if mode == "w+":
        path.with_name("pool.json").unlink(missing_ok=True)
    return np.memmap(path, dtype, mode, shape=shape)  # type: ignore[call-overload, no-any-return]
