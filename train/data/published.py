"""The training set that Oh et al. 2018 published, read from its folder.

The folders `amplified`, `frameA`, `frameB` and `frameC` hold `000000.png`, `000001.png` ...; line i
of `train_mf.txt` is alpha of sample i. The set has 100 000 samples of 384 x 384 px, more than fits
in memory, so pictures are read when they are needed.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from rtmag.realtime.errors import OptionError
from rtmag.train.data.batch import Batch
from rtmag.train.data.textures import read_picture

FOLDERS = {"frame_a": "frameA", "frame_b": "frameB", "frame_c": "frameC", "amplified": "amplified"}


class Published:
    """The published training set as an endless, shuffled stream of batches.

    Args:
        root: The folder with the four image folders and `train_mf.txt`, or its parent.
        limit: Use the first `limit` samples only; None: all.
        crop: Side of the random square cut from each sample, px, a multiple of 4.
        rank: Number of this process, from 0; each process reads its own share of the samples.
        world: Number of processes.
        seed: Seed of the order of samples and of the crops.
        start: Step at which a resumed run continues; another start gives another order.

    Raises:
        OptionError: a folder or `train_mf.txt` is missing or unreadable, or there are fewer
            samples than processes.
    """

    def __init__(
        self,
        root: Path,
        *,
        limit: int | None = None,
        crop: int = 128,
        rank: int = 0,
        world: int = 1,
        seed: int = 0,
        start: int = 0,
    ) -> None:
        self.root = root / "train" if (root / "train" / "train_mf.txt").is_file() else root
        factors = self.root / "train_mf.txt"
        missing = [n for n in FOLDERS.values() if not (self.root / n).is_dir()]
        if missing or not factors.is_file():
            absent = ", ".join([*missing, *([] if factors.is_file() else ["train_mf.txt"])])
            raise OptionError(f"cannot read the data set at {str(root)!r}: no {absent}")
        try:
            alpha = [float(line) for line in factors.read_text().split()]
        except ValueError as error:
            raise OptionError(
                f"cannot read {str(factors)!r}: it must hold one number per line"
            ) from error
        self.alpha = np.array(alpha[:limit], np.float32)
        if len(self.alpha) < world:
            raise OptionError(
                f"cannot train on {len(self.alpha)} samples of {str(root)!r}: "
                f"{world} needed, one per process"
            )
        self.crop = crop
        self.order = np.arange(len(self.alpha))[rank::world]
        self.rng = np.random.default_rng([seed, rank, start])

    def batches(self, count: int) -> Iterator[Batch]:
        """Yield batches of `count` samples without end, each sample once per pass.

        Raises:
            OptionError: a picture is missing or unreadable.
        """
        chosen: list[int] = []
        while True:
            for index in self.rng.permutation(self.order):
                chosen.append(int(index))
                if len(chosen) == count:
                    yield self._batch(chosen)
                    chosen = []

    def _batch(self, indices: list[int]) -> Batch:
        samples = [self._sample(i) for i in indices]
        images = [torch.from_numpy(np.stack(column)) for column in zip(*samples, strict=True)]
        a, b, c, amplified = (x.permute(0, 3, 1, 2).to(torch.float32) / 255 for x in images)
        return Batch(a, b, c, amplified, torch.from_numpy(self.alpha[indices]))

    def _sample(self, index: int) -> list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
        images = [read_picture(self.root / f / f"{index:06d}.png") for f in FOLDERS.values()]
        height, width = images[0].shape[:2]
        side = min(self.crop, height // 4 * 4, width // 4 * 4)
        y, x = (int(self.rng.integers(0, extent - side + 1)) for extent in (height, width))
        return [image[y : y + side, x : x + side] for image in images]
