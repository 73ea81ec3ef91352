"""The pool of scenes: storage, reuse, augmentation, and the simulated sensor."""

import itertools
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from rtmag.realtime.errors import OptionError
from rtmag.train.data.batch import Batch
from rtmag.train.data.pool import (
    BLUR_SHARE,
    CHUNK,
    NOISE_RAMP,
    Pool,
    _blur,
    augment,
    prefetch,
    sensor_model,
    stream,
)
from rtmag.train.data.synthesis import CELL, Limits, Scenes, Synthesizer
from tests.support import small


class Numbered(Synthesizer):
    """Flat scenes: the n-th has alpha n and brightness n / 1000."""

    def __init__(self, size: int = 20, seed: int = 0) -> None:
        self.size, self.device = size, torch.device("cpu")
        self.generator = torch.Generator().manual_seed(seed)
        self.made = 0

    def batch(self, count: int) -> Scenes:
        numbers = torch.arange(self.made, self.made + count)
        self.made += count
        image = (numbers / 1000).reshape(-1, 1, 1, 1).expand(-1, 3, self.size, self.size)
        cells = torch.zeros(count, 4, self.size // CELL, self.size // CELL)
        return Scenes(image, image, image, numbers.float(), cells)


def numbers(pool: Pool) -> list[int]:
    """Numbers of the scenes in the ring, in storage order; checks that images and alpha agree."""
    augmented = (pool.images[: len(pool), 0, 0, 0] / 65.535).round().astype(int).tolist()
    assert augmented == pool.alpha[: len(pool)].astype(int).tolist()
    return list(augmented)


def test_new_scenes_replace_the_oldest() -> None:
    pool = Pool(Numbered(), capacity=2 * CHUNK, folder=None)
    assert len(pool) == 0
    pool.add(CHUNK)
    assert len(pool) == CHUNK
    pool.add(2 * CHUNK)
    assert len(pool) == 2 * CHUNK
    assert pool.made == 3 * CHUNK
    assert numbers(pool) == [*range(2 * CHUNK, 3 * CHUNK), *range(CHUNK, 2 * CHUNK)]


def test_scenes_come_in_whole_chunks() -> None:
    pool = Pool(Numbered(), capacity=64, folder=None)
    pool.add(1)
    assert pool.made == CHUNK
    pool.add(CHUNK + 1)
    assert pool.made == 3 * CHUNK


@pytest.mark.parametrize("reuse", [2.0, 5.0, 32.0])
def test_a_scene_is_used_reuse_times_on_average(reuse: float) -> None:
    pool = Pool(Numbered(), capacity=64, folder=None)
    pool.add(64)
    steps, count = 100, 6
    for _ in itertools.islice(pool.batches(count, crop=16, reuse=reuse, seed=0), steps):
        pass
    assert pool.made - 64 == pytest.approx(steps * count / reuse, abs=CHUNK)


def test_only_rendered_scenes_are_used() -> None:
    pool = Pool(Numbered(), capacity=64, folder=None)
    pool.add(CHUNK)
    batches = list(itertools.islice(pool.batches(8, crop=16, reuse=1e9, seed=0), 10))
    used = set(torch.cat([batch.alpha for batch in batches]).tolist())
    assert used == set(range(CHUNK))
    assert batches[0].frame_a.shape == (8, 3, 16, 16)


def test_order_depends_on_the_seed() -> None:
    def alphas(seed: int) -> list[float]:
        pool = Pool(Numbered(), capacity=64, folder=None)
        pool.add(64)
        batches = itertools.islice(pool.batches(16, crop=16, reuse=1e9, seed=seed), 3)
        return torch.cat([batch.alpha for batch in batches]).tolist()

    assert alphas(1) == alphas(1)
    assert alphas(1) != alphas(2)


def test_a_pool_folder_is_continued(tmp_path: Path) -> None:
    Pool(Numbered(), capacity=3 * CHUNK, folder=tmp_path / "pool").add(2 * CHUNK)
    again = Pool(Numbered(), capacity=3 * CHUNK, folder=tmp_path / "pool")
    assert len(again) == again.made == 2 * CHUNK
    assert numbers(again) == list(range(2 * CHUNK))
    again.add(2 * CHUNK)
    assert numbers(again) == [*range(CHUNK, 2 * CHUNK), *range(CHUNK, 2 * CHUNK), *range(CHUNK)]


def test_a_continued_pool_renders_other_scenes(tmp_path: Path) -> None:
    def draw(seed: int, folder: Path) -> Tensor:
        maker = Synthesizer(small.bank(), size=8, limits=Limits(objects=0), seed=seed)
        pool = Pool(maker, capacity=4 * CHUNK, folder=folder)
        before = pool.made
        pool.add(CHUNK)
        return torch.from_numpy(pool.alpha[before : before + CHUNK].copy())

    first, second, third = (draw(seed=9, folder=tmp_path / "a") for _ in range(3))
    assert not torch.equal(first, second)
    assert not torch.equal(second, third)
    # Another folder with the same seed repeats the first scenes; another seed does not.
    assert torch.equal(first, draw(seed=9, folder=tmp_path / "b"))
    draw(seed=8, folder=tmp_path / "c")
    assert not torch.equal(second, draw(seed=8, folder=tmp_path / "c"))


def test_a_pool_of_another_size_is_refused(tmp_path: Path) -> None:
    Pool(Numbered(), capacity=16, folder=tmp_path).add(16)
    for size, capacity in ((24, 16), (20, 24)):
        with pytest.raises(
            OptionError, match=r"holds 16 scenes of 20 px.*another folder with --pool"
        ):
            Pool(Numbered(size=size), capacity=capacity, folder=tmp_path)
    assert numbers(Pool(Numbered(), capacity=16, folder=tmp_path)) == list(range(16))


@pytest.mark.parametrize("lost", ["images.u16", "flows.f16", "alpha.f32", "pool.json"])
def test_a_pool_with_a_lost_file_starts_empty(lost: str, tmp_path: Path) -> None:
    Pool(Numbered(), capacity=16, folder=tmp_path).add(16)
    (tmp_path / lost).unlink()
    pool = Pool(Numbered(), capacity=16, folder=tmp_path)
    assert len(pool) == 0
    pool.add(8)
    assert numbers(pool) == list(range(8))
    assert json.loads((tmp_path / "pool.json").read_text())["made"] == 8


# ---- augmentation -----------------------------------------------------------------------------


def augmented(planes: Tensor, crop: int, rng: np.random.Generator) -> Tensor:
    """Augment pictures that have no motion; return them without flows."""
    cells = planes.shape[-1] // CELL
    return augment(planes, torch.zeros(len(planes), 4, cells, cells), crop, rng)[0]


def test_augmentation_treats_the_three_frames_alike() -> None:
    rng = np.random.default_rng(0)
    frame = small.image(64, 3, 24, 24)
    out = augmented(frame.repeat(1, 3, 1, 1), 16, rng)
    assert out.shape == (64, 9, 16, 16)
    assert torch.equal(out[:, :3], out[:, 3:6])
    assert torch.equal(out[:, :3], out[:, 6:])


@pytest.fixture
def sharp(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switch off the blur, so that values stay those of the scene."""
    monkeypatch.setattr("rtmag.train.data.pool.BLUR_SHARE", 0.0)


@pytest.mark.usefixtures("sharp")
def test_augmentation_shows_each_scene_in_many_ways() -> None:
    rng = np.random.default_rng(0)
    frame = small.image(1, 3, 24, 24)
    out = augmented(frame.repeat(200, 3, 1, 1), 16, rng)[:, :3]
    assert len({tuple(sample.flatten()[:20].tolist()) for sample in out}) > 150
    plain, inverted = set(frame.flatten().tolist()), set((1 - frame).flatten().tolist())
    values = [set(sample.flatten().tolist()) for sample in out]
    upright = [v <= plain for v in values]
    turned = [v <= inverted for v in values]
    assert 0.4 < np.mean(upright) < 0.65  # a fifth is inverted, a third has less contrast
    assert 0.05 < np.mean(turned) < 0.25
    contrast = out.flatten(1).std(1) / frame.std()
    dim = ~np.logical_or(upright, turned)
    assert contrast[torch.from_numpy(dim)].max() < 1.2
    assert 0.05 < contrast[torch.from_numpy(dim)].min() < 0.2


def test_a_share_of_scenes_is_blurred() -> None:
    """Blur reduces detail equally in the three frames and keeps the brightness."""
    rng = np.random.default_rng(0)
    frame = small.image(1, 3, 48, 48)
    out = torch.stack([_blur(frame.repeat(1, 3, 1, 1)[0], rng) for _ in range(200)])
    assert torch.equal(out[:, :3], out[:, 3:6])
    detail = out[:, :3].diff(dim=-1).abs().mean((1, 2, 3)) / frame.diff(dim=-1).abs().mean()
    assert (detail < 0.99).float().mean() == pytest.approx(BLUR_SHARE, abs=0.08)
    assert detail.min() < 0.2
    assert (out[:, :3].mean((1, 2, 3)) - frame.mean()).abs().max() < 0.02


def test_a_dim_scene_is_dim_in_every_frame() -> None:
    """All three frames of a sample have the same contrast."""
    frame = small.image(1, 3, 24, 24)
    for sample in augmented(frame.repeat(40, 3, 1, 1), 16, np.random.default_rng(1)):
        assert torch.equal(sample[:3], sample[3:6])
        assert torch.equal(sample[:3], sample[6:])


@pytest.mark.usefixtures("sharp")
def test_flows_keep_their_direction_relative_to_the_picture() -> None:
    """The flow still describes the shift between two frames after mirroring and transposing."""
    rng = np.random.default_rng(0)
    wide = small.image(1, 3, 24, 25)
    planes = torch.cat([wide[..., :-1], wide[..., 1:], wide[..., :-1]], 1)
    flows = torch.zeros(40, 4, 6, 6)
    flows[:, 0] = 1  # the second frame shows at p what the first shows at p + (1, 0)
    flows[:, 3] = 2  # another pair of frames, another direction
    for sample, vectors in zip(*augment(planes.repeat(40, 1, 1, 1), flows, 16, rng), strict=True):
        a, b = sample[:3], sample[3:6]
        shifts = {
            (1, 0): torch.equal(a[:, :, 1:], b[:, :, :-1]),
            (-1, 0): torch.equal(a[:, :, :-1], b[:, :, 1:]),
            (0, 1): torch.equal(a[:, 1:], b[:, :-1]),
            (0, -1): torch.equal(a[:, :-1], b[:, 1:]),
        }
        assert [shift for shift, holds in shifts.items() if holds] == [tuple(vectors[:2, 2, 2])]
        assert (vectors == vectors[:, :1, :1]).all()
        assert vectors[:2, 2, 2] @ vectors[2:, 2, 2] == 0


@pytest.mark.usefixtures("sharp")
def test_flows_are_cut_and_turned_with_the_picture() -> None:
    """Each cell's flow length is its colour; both still agree after augmentation."""
    rng = np.random.default_rng(0)
    cells = small.image(20, 4, 6, 6)
    colour = cells.norm(dim=1, keepdim=True).div(2).repeat_interleave(CELL, 2)
    planes = colour.repeat_interleave(CELL, 3).expand(-1, 9, -1, -1)
    for sample, vectors in zip(*augment(planes, cells, 16, rng), strict=True):
        shown = F.avg_pool2d(sample[:1], CELL)[0]
        told = vectors.norm(dim=0)
        assert abs(torch.corrcoef(torch.stack([shown.flatten(), told.flatten()]))[0, 1]) > 0.999


# ---- sensor -----------------------------------------------------------------------------------


def scenes(count: int = 400) -> Scenes:
    """Scenes of medium brightness, so that colour offsets do not clip them."""
    pictures = [0.3 + 0.4 * small.image(count, 3, 8, 8, seed=seed) for seed in range(3)]
    alpha, flows = torch.full((count,), 3.0), torch.zeros(count, 4, 2, 2)
    return Scenes(*pictures, alpha=alpha, flows=flows)  # type: ignore[misc]


def test_frame_b_and_the_target_have_the_same_colour_offset() -> None:
    clean = scenes()
    batch = sensor_model(clean, torch.Generator().manual_seed(0), noise=0.0)
    offset = (batch.amplified - clean.magnified).mean((2, 3))  # (B, 3)
    spread = (batch.amplified - clean.magnified - offset[:, :, None, None]).abs().max()
    assert spread < 1e-6
    shown = batch.frame_b - clean.moved
    assert (shown - offset[:, :, None, None]).abs().max() < 1.01 / 255
    assert 0.08 < (offset.abs().amax(1) > 0).float().mean() < 0.32
    assert 0.1 < offset.abs().max() <= 0.125


def test_frames_a_and_c_keep_their_colours() -> None:
    clean = scenes()
    batch = sensor_model(clean, torch.Generator().manual_seed(0), noise=0.0)
    for shown, true in ((batch.frame_a, clean.reference), (batch.frame_c, clean.moved)):
        assert (shown - true).abs().max() < 1.01 / 255
        assert torch.allclose(shown * 255, (shown * 255).round(), atol=1e-4)


def test_frame_c_is_rendered_on_request_only() -> None:
    clean = scenes(8)
    with_c, without = (
        sensor_model(clean, torch.Generator().manual_seed(0), with_frame_c=each)
        for each in (True, False)
    )
    assert torch.equal(without.frame_c, without.frame_b)
    assert not torch.equal(with_c.frame_c, with_c.frame_b)


def test_frames_have_noise_and_the_target_has_none() -> None:
    clean = scenes()
    batch = sensor_model(clean, torch.Generator().manual_seed(0), noise=0.9)
    quiet = sensor_model(clean, torch.Generator().manual_seed(0), noise=0.0)
    assert torch.equal(batch.amplified, quiet.amplified)
    grain = (batch.frame_c - clean.moved).std((1, 2, 3)) * 255
    assert 0.65 < (grain < 0.5).float().mean() < 0.9  # three in ten are noisy, some very little
    assert 6 < grain.max() < 12
    others = (batch.frame_a - clean.reference).flatten(), (batch.frame_c - clean.moved).flatten()
    assert torch.corrcoef(torch.stack(others))[0, 1].abs() < 0.05


def test_noise_increases_over_the_first_batches() -> None:
    def grain(start: int) -> float:
        pool = Pool(Numbered(), capacity=8, folder=None)
        pool.add(8)
        batch = next(pool.batches(64, crop=16, reuse=1e9, seed=0, start=start))
        return float(batch.frame_a.std((1, 2, 3)).max())

    assert grain(NOISE_RAMP) > 3 * grain(0)


def test_streamed_scenes_do_not_repeat() -> None:
    maker = Synthesizer(small.bank(), size=8, limits=Limits(objects=0))
    batches = list(itertools.islice(stream(maker, 4, seed=0), 3))
    assert len(set(torch.cat([batch.alpha for batch in batches]).tolist())) == 12
    assert batches[0].frame_a.shape == (4, 3, 8, 8)


# ---- ahead ------------------------------------------------------------------------------------


def test_batches_are_prefetched_in_order() -> None:
    drawn = threading.Semaphore(0)

    def source() -> Iterator[Batch]:
        for number in range(6):
            drawn.release()
            yield small.batch(seed=number)

    expected = [small.batch(seed=number).frame_a for number in range(6)]
    batches = prefetch(source(), depth=2)
    found = [next(batches).frame_a]
    for _ in range(3):  # the next two wait in the queue, a third in the thread's hand
        assert drawn.acquire(timeout=5)
    found += [batch.frame_a for batch in batches]
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_an_error_of_the_source_reaches_the_caller() -> None:
    def source() -> Iterator[Batch]:
        yield small.batch()
        raise OSError("the disk is gone")

    batches = prefetch(source())
    next(batches)
    with pytest.raises(OSError, match="the disk is gone"):
        next(batches)


def test_half_of_the_samples_have_a_filtered_change() -> None:
    clean = scenes()
    batch = sensor_model(clean, torch.Generator().manual_seed(0), noise=0.9, with_frame_c=False)
    assert batch.change is not None
    plain = (batch.change == batch.frame_b - batch.frame_a).flatten(1).all(1)
    assert 0.35 < plain.float().mean() < 0.65
    offset = (batch.amplified - clean.magnified).mean((2, 3), keepdim=True)
    change = clean.moved - clean.reference + offset
    unrest = (batch.change - change).std((1, 2, 3))
    noise = (batch.frame_b - batch.frame_a - change).std((1, 2, 3))
    assert (unrest[~plain] < 1.3 * noise[~plain]).all()
    assert unrest[~plain].mean() < 0.5 * noise[~plain].mean()
