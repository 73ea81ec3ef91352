"""Training samples: their form, and the published data set of Oh et al. read as it lies on disk.

    frame_a     reference
    frame_b     moved, and its colours changed         network input: frame_a, frame_b
    frame_c     moved only                              target: amplified
    amplified   magnified motion, colours changed as in frame_b

On disk: `amplified/ frameA/ frameB/ frameC/` with `000000.png ...` and `train_mf.txt`, whose line i
is alpha of sample i. The set holds 100 000 samples of 384 x 384, far more than fits in memory: it
is streamed.
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
    """The published training set: an endless, shuffled stream of batches.

    Args:
        root: The folder that holds the four image folders and `train_mf.txt` (or its parent).
        limit: Use the first `limit` samples only.
        crop: Side of the random square cut from each sample, a multiple of 4.
        rank: This process's number among `world` ones; each reads its own share.
        world: Number of processes.
        seed: Order of samples and crops.
        start: Step at which a resumed run goes on: other samples than those already seen.

    Raises:
        OptionError: a folder, the factors or a picture is missing.
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
        """Yield batches of `count` samples for ever, each sample once per pass."""
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
