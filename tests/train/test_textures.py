"""Textures and outlines; photographs for benchmarks are never used for training."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from rtmag.realtime.errors import OptionError
from rtmag.train.data import textures
from rtmag.train.data.textures import HELD_OUT, PHOTOGRAPHS, PROCEDURAL, Bank, Picture
from tests.support import small


def test_held_out_photographs_are_never_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    assert HELD_OUT
    assert not set(HELD_OUT) & set(PHOTOGRAPHS)
    read = textures.read_picture
    seen = set()

    def remember(path: Path) -> Picture:
        seen.add(path.name)
        return read(path)

    monkeypatch.setattr(textures, "read_picture", remember)
    small.bank(count=2)
    assert seen == set(PHOTOGRAPHS)


def test_held_out_photographs_are_available() -> None:
    assert all(p.ndim == 3 and p.shape[2] == 3 for p in textures.bundled_photographs(HELD_OUT))


def test_the_same_seed_draws_the_same_bank() -> None:
    one, again, other = (small.bank(count=8, seed=seed) for seed in (7, 7, 8))
    assert torch.equal(one.textures, again.textures)
    assert torch.equal(one.outlines, again.outlines)
    assert not torch.equal(one.textures, other.textures)


def test_a_bank_has_the_shapes_for_the_renderer() -> None:
    bank = small.bank(count=5, size=48, device="cpu")
    assert bank.textures.shape == (5, 3, 48, 48)
    assert bank.outlines.shape == (5, 1, 256, 256)
    assert bank.textures.dtype is bank.outlines.dtype is torch.uint8


@pytest.mark.parametrize("draw", [draw for draw, _ in PROCEDURAL], ids=lambda draw: draw.__name__)
def test_procedural_textures_are_pictures_with_content(
    draw: Callable[[int, np.random.Generator], Picture],
) -> None:
    for seed in range(4):
        picture = draw(64, np.random.default_rng(seed))
        assert picture.shape == (64, 64, 3)
        assert picture.dtype == np.uint8
        assert picture.std() > 0
        assert (picture == draw(64, np.random.default_rng(seed))).all()


def test_shares_of_procedural_textures_add_up() -> None:
    assert sum(share for _, share in PROCEDURAL) == pytest.approx(1)


def test_outlines_enclose_something() -> None:
    for seed in range(40):
        mask = textures.outline(128, np.random.default_rng(seed))
        assert 0.002 < (mask > 127).mean() < 0.95, seed


def test_a_folder_of_photographs_replaces_the_bundled_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    red = small.picture(tmp_path / "train2017" / "000000000009.jpg", (0, 0, 255))

    def forbidden() -> list[Picture]:
        raise AssertionError("the bundled photographs were read")

    monkeypatch.setattr(textures, "bundled_photographs", forbidden)
    bank = Bank.make(count=20, size=32, images=tmp_path)
    colours = bank.textures.float().mean((2, 3))
    is_red = (colours - torch.tensor([0.0, 0.0, 255.0])).abs().amax(1) < 8
    assert red.exists()
    assert 2 <= int(is_red.sum()) <= 14


def test_folders_of_coco_and_voc_are_read(tmp_path: Path) -> None:
    wanted = {
        small.picture(tmp_path / name)
        for name in (
            "flat.png",
            "camera.JPG",
            "coco/train2017/000000000009.jpg",
            "VOCdevkit/VOC2012/JPEGImages/2007_000027.jpg",
        )
    }
    small.picture(tmp_path / "VOCdevkit/VOC2012/SegmentationClass/2007_000032.png")
    small.picture(tmp_path / "VOCdevkit/VOC2012/SegmentationObject/2007_000032.png")
    (tmp_path / "VOCdevkit/VOC2012/Annotations").mkdir()
    (tmp_path / "VOCdevkit/VOC2012/Annotations/2007_000027.xml").write_text("<x/>")
    (tmp_path / "coco/annotations.json").write_text("{}")
    assert set(textures.image_paths(tmp_path)) == wanted


def test_the_order_of_pictures_does_not_depend_on_the_disk(tmp_path: Path) -> None:
    for name in ("c.png", "a.png", "b.png"):
        small.picture(tmp_path / name)
    assert [p.name for p in textures.image_paths(tmp_path)] == ["a.png", "b.png", "c.png"]


def test_a_missing_or_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"cannot read images from '.*gone': no such folder"):
        Bank.make(count=1, size=32, images=tmp_path / "gone")
    (tmp_path / "readme.txt").write_text("hello")
    with pytest.raises(OptionError, match="holds no picture"):
        Bank.make(count=1, size=32, images=tmp_path)


def test_an_unreadable_picture_is_named(tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    with pytest.raises(OptionError, match=r"cannot read '.*bad\.png': not a picture"):
        textures.read_picture(bad)


def test_small_and_oblong_photographs_are_cropped_too() -> None:
    rng = np.random.default_rng(0)
    for shape in ((7, 90, 3), (200, 31, 3), (64, 64, 3)):
        picture = rng.integers(0, 256, shape, np.uint8)
        assert textures.crop(picture, 40, rng).shape == (40, 40, 3)
