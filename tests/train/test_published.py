"""Reading of the published data set."""

import itertools
from pathlib import Path

import pytest
import torch

from rtmag.realtime.errors import OptionError
from rtmag.realtime.opencv import cv2
from rtmag.train.data.batch import Batch
from rtmag.train.data.published import Published
from tests.support import small


def take(source: Published, count: int, batches: int) -> list[Batch]:
    return list(itertools.islice(source.batches(count), batches))


def levels(batch: Batch) -> torch.Tensor:
    """(B, 4): grey levels of frame_a, frame_b, frame_c, amplified."""
    pictures = (batch.frame_a, batch.frame_b, batch.frame_c, batch.amplified)
    return torch.stack([p.mean((1, 2, 3)) * 255 for p in pictures], 1).round()


def test_each_picture_has_its_own_factor(tmp_path: Path) -> None:
    small.published(tmp_path)
    (batch,) = take(Published(tmp_path, crop=32), 6, 1)
    assert batch.frame_a.shape == (6, 3, 32, 32)
    assert batch.frame_a.dtype is torch.float32
    assert sorted(batch.alpha.tolist()) == [1.5, 2.5, 3.5, 4.5, 5.5, 6.5]
    sample = batch.alpha - 1.5
    expected = torch.stack([sample + 10 * k for k in range(4)], 1)
    assert torch.equal(levels(batch), expected)


def test_colours_are_bgr(tmp_path: Path) -> None:
    small.published(tmp_path, count=1)
    for folder in ("frameA", "frameB", "frameC", "amplified"):
        small.picture(tmp_path / "train" / folder / "000000.png", (255, 0, 51), side=48)
    (batch,) = take(Published(tmp_path, crop=32), 1, 1)
    assert batch.frame_b[0, :, 0, 0].tolist() == pytest.approx([1.0, 0.0, 0.2])


def test_the_inner_folder_is_accepted(tmp_path: Path) -> None:
    small.published(tmp_path)
    assert len(Published(tmp_path / "train").alpha) == 6


def test_a_limit_takes_the_first_samples(tmp_path: Path) -> None:
    small.published(tmp_path)
    (batch,) = take(Published(tmp_path, limit=2, crop=32), 8, 1)
    assert set(batch.alpha.tolist()) == {1.5, 2.5}


def test_every_pass_has_each_sample_once(tmp_path: Path) -> None:
    small.published(tmp_path)
    batches = take(Published(tmp_path, crop=32), 4, 9)
    alpha = torch.cat([batch.alpha for batch in batches]).reshape(6, 6)
    passes = [set(row.tolist()) for row in alpha]
    assert all(len(seen) == 6 for seen in passes)
    assert len({tuple(row.tolist()) for row in alpha}) > 1


def test_the_four_pictures_have_the_same_crop(tmp_path: Path) -> None:
    small.published(tmp_path, count=1)
    for folder in ("frameA", "frameB", "frameC", "amplified"):
        path = tmp_path / "train" / folder / "000000.png"
        assert cv2.imwrite(str(path), small.textured(48, 64))
    batches = take(Published(tmp_path, crop=16), 1, 8)
    for batch in batches:
        assert batch.frame_a.shape[-2:] == (16, 16)
        for other in (batch.frame_b, batch.frame_c, batch.amplified):
            assert torch.equal(batch.frame_a, other)
    assert len({float(batch.frame_a.mean()) for batch in batches}) > 4


def test_pictures_smaller_than_the_crop_are_used_whole(tmp_path: Path) -> None:
    small.published(tmp_path, side=50)
    (batch,) = take(Published(tmp_path, crop=112), 2, 1)
    assert batch.frame_a.shape[-2:] == (48, 48)


def test_processes_share_the_samples(tmp_path: Path) -> None:
    small.published(tmp_path, count=7)
    shares = []
    for rank in range(3):
        source = Published(tmp_path, crop=32, rank=rank, world=3)
        seen = torch.cat([batch.alpha for batch in take(source, 1, len(source.order) * 2)])
        shares.append(set(seen.tolist()))
    assert sum(len(share) for share in shares) == 7
    assert set.union(*shares) == {i + 1.5 for i in range(7)}


def test_the_seed_determines_the_order(tmp_path: Path) -> None:
    small.published(tmp_path)

    def order(seed: int) -> list[float]:
        batches = take(Published(tmp_path, crop=32, seed=seed), 6, 2)
        return torch.cat([batch.alpha for batch in batches]).tolist()

    assert order(3) == order(3)
    assert order(3) != order(4)


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        (["frameC"], r"no frameC$"),
        (["amplified", "frameA"], r"no frameA, amplified$"),
        (["train_mf.txt"], r"no train_mf\.txt$"),
    ],
)
def test_missing_folders_are_named(lost: list[str], words: str, tmp_path: Path) -> None:
    root = small.published(tmp_path) / "train"
    for name in lost:
        (root / name).rename(tmp_path / f"away-{name}")
    with pytest.raises(OptionError, match=r"cannot read the data set at .*" + words):
        Published(root)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"frameA, frameB, frameC, amplified, train_mf\.txt"):
        Published(tmp_path / "gone")


@pytest.mark.parametrize("text", ["12\nmany\n", "12,5\n", "\x00\n"])
def test_factors_that_are_not_numbers_are_refused(text: str, tmp_path: Path) -> None:
    small.published(tmp_path)
    (tmp_path / "train" / "train_mf.txt").write_text(text)
    with pytest.raises(OptionError, match=r"train_mf\.txt.*one number per line"):
        Published(tmp_path)


def test_every_process_needs_a_sample(tmp_path: Path) -> None:
    small.published(tmp_path, count=2)
    with pytest.raises(OptionError, match=r"cannot train on 2 samples.*3 needed"):
        Published(tmp_path, world=3)
    with pytest.raises(OptionError, match="cannot train on 0 samples"):
        Published(tmp_path, limit=0)
    (tmp_path / "train" / "train_mf.txt").write_text("")
    with pytest.raises(OptionError, match="cannot train on 0 samples"):
        Published(tmp_path)


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    small.published(tmp_path)
    (tmp_path / "train" / "frameB" / "000004.png").unlink()
    with pytest.raises(OptionError, match=r"cannot read '.*frameB.000004\.png'"):
        take(Published(tmp_path, crop=32), 6, 1)


def test_all_tensors_of_a_batch_move_to_a_device() -> None:
    batch = small.batch().to(torch.device("meta"))
    assert {getattr(batch, name).device.type for name in ("frame_a", "amplified", "alpha")} == {
        "meta"
    }
