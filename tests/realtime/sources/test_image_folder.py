"""Pictures as sources: kinds, depths, pages, gaps and damage."""

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rtmag.realtime.errors import SourceUnavailable
from rtmag.realtime.opencv import cv2
from rtmag.realtime.sources.image_folder import SUFFIXES, ImageFolderSource, missing_numbers
from rtmag.realtime.sources.opening import open_source

LEVELS = [40, 80, 120, 160]
ASSUMED = "has no frame rate; 30 frames/s are assumed, --fps sets another"


def picture(level: float = 77, dtype: Any = np.uint8, scale: float = 1) -> NDArray[Any]:
    """A grey picture of 80x64 pixels."""
    return np.full((64, 80), level * scale).astype(dtype)


def write(
    folder: Path, name: str, level: float = 77, dtype: Any = np.uint8, scale: float = 1
) -> None:
    assert cv2.imwrite(str(folder / name), picture(level, dtype, scale))


def write_stack(path: Path, levels: list[int], dtype: Any = np.uint8, scale: float = 1) -> Path:
    assert cv2.imwritemulti(str(path), [picture(level, dtype, scale) for level in levels])
    return path


def levels(source: Any) -> list[int]:
    """The grey level of each frame; colours would be a fault."""
    means = [frame.image.mean(axis=(0, 1)) for frame in source]
    assert all(np.ptp(mean) < 1.5 for mean in means)
    return [round(float(mean.mean())) for mean in means]


class TestKinds:
    @pytest.mark.parametrize("suffix", [*SUFFIXES, ".PNG"])
    def test_each_suffix_is_read(self, suffix: str, tmp_path: Path) -> None:
        level = 255 if suffix == ".pbm" else 77
        image = picture(level) if suffix in (".pbm", ".pgm") else np.dstack([picture(level)] * 3)
        assert cv2.imwrite(str(tmp_path / f"ü{suffix}"), image)
        with ImageFolderSource(tmp_path, fps=25) as source:
            assert (source.size, source.notes) == ((80, 64), ())
            assert levels(source) == [level]

    def test_hidden_files_are_passed_over(self, tmp_path: Path) -> None:
        """MacOS writes such files to disks of other systems."""
        write(tmp_path, "f1.png")
        write(tmp_path, ".f2.png")
        (tmp_path / "._f1.png").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X" + bytes(100))
        (tmp_path / ".DS_Store").write_bytes(bytes(100))
        with ImageFolderSource(tmp_path) as source:
            assert source.frames == 1
            assert levels(source) == [77]
            assert source.damaged == 0

    def test_an_assumed_rate_is_named(self, tmp_path: Path) -> None:
        write(tmp_path, "f1.png")
        assert ImageFolderSource(tmp_path).fps == 30
        assert ImageFolderSource(tmp_path).notes == (ASSUMED,)


class TestDepth:
    @pytest.mark.parametrize("bits", [10, 12, 14, 16])
    @pytest.mark.parametrize("suffix", [".tif", ".png", ".pgm"])
    def test_all_pictures_are_scaled_by_the_range_of_the_sequence(
        self, suffix: str, bits: int, tmp_path: Path
    ) -> None:
        for index, level in enumerate(LEVELS):
            write(tmp_path, f"f{index}{suffix}", level, np.uint16, ((1 << bits) - 1) / 255)
        with ImageFolderSource(tmp_path, fps=30) as source:
            assert levels(source) == LEVELS
            (note,) = source.notes
        assert note == (
            f"has 16 bits per channel; its values 0 to {(1 << bits) - 1:g} become 0 to 255 in the "
            "output, which has 8"
        )

    def test_a_dark_beginning_does_not_set_the_scale(self, tmp_path: Path) -> None:
        for index in range(60):
            write(tmp_path, f"f{index}.png", 2 if index < 30 else 120, np.uint16, 16)
        with ImageFolderSource(tmp_path) as source:
            assert levels(source) == [2] * 30 + [120] * 30

    def test_colours_are_scaled_alike(self, tmp_path: Path) -> None:
        image = np.empty((64, 80, 3), np.uint16)
        image[:] = (400, 800, 3000)
        cv2.imwrite(str(tmp_path / "a.png"), image)
        (frame,) = ImageFolderSource(tmp_path)
        assert frame.image[0, 0].tolist() == [25, 50, 187]

    @pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
    def test_numbers_of_32_and_64_bits(
        self, dtype: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        scale = 4095 / 255 if dtype is np.int32 else 1 / 255
        for index, level in enumerate(LEVELS):
            write(tmp_path, f"f{index}.tif", level, dtype, scale)
        with ImageFolderSource(tmp_path) as source:
            assert levels(source) == LEVELS
            white = "4095" if dtype is np.int32 else "1"
            assert f"its values 0 to {white} become" in source.notes[-1]
        assert capfd.readouterr().err == ""

    def test_pictures_of_8_bits_are_not_scaled(self, tmp_path: Path) -> None:
        write(tmp_path, "f0.png", 10)
        write(tmp_path, "f1.png", 100, np.uint16, 16)
        with ImageFolderSource(tmp_path) as source:
            assert levels(source) == [10, 100]


class TestPages:
    @pytest.mark.parametrize("options", [(np.uint8, 1), (np.uint16, 4095 / 255)])
    def test_each_page_is_a_picture(self, options: tuple[Any, float], tmp_path: Path) -> None:
        path = write_stack(tmp_path / "stack.tif", LEVELS, *options)
        for spec in (tmp_path, path):
            with open_source(spec, fps=10) as source:
                assert (source.frames, source.fps, source.size) == (4, 10, (80, 64))
                assert levels(source) == LEVELS
                assert levels(source) == LEVELS
                assert [frame.time for frame in source] == pytest.approx([0, 0.1, 0.2, 0.3])

    def test_several_stacks_follow_each_other(self, tmp_path: Path) -> None:
        write_stack(tmp_path / "a10.tif", LEVELS[2:])
        write_stack(tmp_path / "a9.tif", LEVELS[:2])
        with ImageFolderSource(tmp_path) as source:
            assert levels(source) == LEVELS

    def test_large_pages_are_skipped(self, tmp_path: Path) -> None:
        pages = [np.full((64, width), 90, np.uint8) for width in (80, 400, 80)]
        cv2.imwritemulti(str(tmp_path / "stack.tif"), pages)
        with ImageFolderSource(tmp_path, max_pixels=80 * 64) as source:
            assert [frame.index for frame in source] == [0, 2]
            assert source.damaged == 1

    def test_a_truncated_stack_keeps_its_good_pages(self, tmp_path: Path) -> None:
        path = write_stack(tmp_path / "stack.tif", LEVELS * 5)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with ImageFolderSource(path.parent) as source:
            seen = levels(source)
            assert 5 < len(seen) < 15
            assert seen == (LEVELS * 5)[: len(seen)]
            assert source.damaged > 0

    def test_more_than_opencv_decodes_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = write_stack(tmp_path / "stack.tif", LEVELS)
        with path.open("r+b") as file:
            file.truncate(1 << 31)
        with pytest.raises(SourceUnavailable, match="more than 2 GiB; split it"):
            open_source(path)


class TestGaps:
    @pytest.mark.parametrize(
        ("names", "expected"),
        [
            (["f1.png", "f2.png", "f3.png"], (0, "")),
            (["f1.png", "f2.png", "f3.png", "f7.png", "f9.png"], (4, "f3.png")),
            (["f1.png", "f2.JPG", "f3.png", "f5.webp"], (1, "f3.png")),
            (["a1_f010.png", "a1_f020.png", "a1_f030.png", "a1_f050.png"], (1, "a1_f030.png")),
            (["f1.png", "g2.png", "f3.png", "f9.png"], (0, "")),
            (["2024.png", "f1.png", "f9.png"], (0, "")),
            (["t1700033.png", "t1700066.png", "t1700100.png", "t1700134.png"], (0, "")),
            (["t1.png", "t19.png", "t22.png", "t97.png", "t153.png"], (0, "")),
            (["f1.png", "f01.png", "f9.png"], (0, "")),
            (["one.png"], (0, "")),
        ],
    )
    def test_missing_numbers(self, names: list[str], expected: tuple[int, str]) -> None:
        missing, last = missing_numbers([Path(name) for name in names])
        assert (missing, last if missing else "") == expected

    def test_they_are_named(self, tmp_path: Path) -> None:
        for number in (1, 2, 3, 4, 8, 9, 10, 12):
            write(tmp_path, f"f{number:03d}.png")
        with ImageFolderSource(tmp_path, fps=30) as source:
            assert source.notes == (
                "has gaps: by their numbers 4 pictures are missing, the first after 'f004.png'; "
                "the others follow one another without a pause",
            )
            assert [frame.time for frame in source] == pytest.approx([i / 30 for i in range(8)])


def big_tiff(offset: int) -> bytes:
    return b"II+\0" + struct.pack("<HHQ", 8, 0, offset) + bytes(32)


def random_tiff(seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    data = bytearray(cv2.imencodemulti(".tif", [picture(), picture()])[1])
    for position in rng.integers(0, len(data), 20):
        data[position] = rng.integers(256)
    return bytes(data)


class TestDamage:
    @pytest.mark.parametrize("offset", [2**64 - 1, 2**63, 16, 0])
    @pytest.mark.parametrize("suffix", [".tif", ".png"])
    def test_a_big_tiff_with_an_absurd_offset(
        self, suffix: str, offset: int, tmp_path: Path
    ) -> None:
        write(tmp_path, f"f1{suffix}")
        (tmp_path / f"f2{suffix}").write_bytes(big_tiff(offset))
        write(tmp_path, f"f3{suffix}")
        with ImageFolderSource(tmp_path) as source:
            assert [frame.index for frame in source] == [0, 2]
            assert source.damaged == 1

    @pytest.mark.parametrize(
        "make", [big_tiff, random_tiff, lambda seed: bytes(np.random.default_rng(seed).bytes(90))]
    )
    def test_no_damage_ends_the_folder(
        self, make: Callable[[int], bytes], tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        write(tmp_path, "a.png")
        heads = [b"", b"II*\0", b"MM\0+", b"\x89PNG\r\n\x1a\n", b"P5 ", b"RIFF\x60\0\0\0WEBPVP8 "]
        for seed in range(60):
            head = heads[seed % len(heads)]
            content = make(seed)
            (tmp_path / f"b{seed}.tif").write_bytes(head + content[len(head) :])
        write(tmp_path, "c.png")
        with ImageFolderSource(tmp_path) as source:
            seen = [frame.index for frame in source]
            assert source.frames is not None
            assert (seen[0], seen[-1]) == (0, source.frames - 1)
        assert capfd.readouterr().err == ""

    def test_a_file_that_vanishes(self, tmp_path: Path) -> None:
        for number in (1, 2, 3):
            write(tmp_path, f"f{number}.tif")
        source = ImageFolderSource(tmp_path)
        (tmp_path / "f2.tif").unlink()
        assert [frame.index for frame in source] == [0, 2]


class TestPatterns:
    @pytest.mark.parametrize(
        ("pattern", "expected"),
        [
            ("f%03d.png", [1, 2, 100]),
            ("f%d.png", [1, 2, 5, 100]),
            ("f*.png", [1, 2, 5, 100, 9]),
            ("g[1]%02d.png", [7]),
        ],
    )
    def test_pictures_with_numbers(self, pattern: str, expected: list[int], tmp_path: Path) -> None:
        names = {"f001": 1, "f002": 2, "f5": 5, "f100": 100, "fx": 9, "g[1]07": 7, "g107": 8}
        for name, level in names.items():
            write(tmp_path, f"{name}.png", level)
        with open_source(tmp_path / pattern) as source:
            assert levels(source) == expected

    def test_a_file_of_this_name_has_priority(self, tmp_path: Path) -> None:
        write_stack(tmp_path / "f%03d.tif", [10, 20])
        write(tmp_path, "f001.tif", 99)
        with open_source(tmp_path / "f%03d.tif") as source:
            assert levels(source) == [10, 20]

    @pytest.mark.parametrize("pattern", ["f%03d.png", "none/f%03d.png", "*.png"])
    def test_a_pattern_without_files(self, pattern: str, tmp_path: Path) -> None:
        with pytest.raises(SourceUnavailable, match="no file that can be read matches this"):
            open_source(tmp_path / pattern)


def animation(path: Path, levels: Sequence[int] = (10, 90, 200)) -> Path:
    """Write an animated WebP or PNG."""
    made = cv2.Animation()
    made.frames = [np.full((48, 64, 3), level, np.uint8) for level in levels]
    made.durations = [40] * len(levels)
    assert cv2.imwriteanimation(str(path), made)
    return path


@pytest.mark.parametrize("suffix", [".webp", ".png"])
def test_an_animation_among_pictures_is_left_out_and_named(suffix: str, tmp_path: Path) -> None:
    """Only its first picture could be decoded."""
    animation(tmp_path / f"b{suffix}")
    with pytest.raises(SourceUnavailable, match="contains animations"):
        ImageFolderSource(tmp_path)
    for name, level in (("a.png", 50), ("c.webp", 70)):
        cv2.imwrite(str(tmp_path / name), np.full((48, 64, 3), level, np.uint8))
    with ImageFolderSource(tmp_path, fps=10) as source:
        levels = [round(float(frame.image.mean())) for frame in source]
    assert levels == pytest.approx([50, 70], abs=1)
    assert len(source.notes) == 1
    assert f"b{suffix}" in source.notes[0]
    assert "magick" in source.notes[0]


def test_an_animated_webp_is_refused_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match=r"animated WebP is not supported; .*magick"):
        open_source(animation(tmp_path / "a.webp"))
    still = tmp_path / "b.webp"
    cv2.imwrite(str(still), np.zeros((48, 64, 3), np.uint8))
    with pytest.raises(SourceUnavailable, match="it is a picture, not a video"):
        open_source(still)
