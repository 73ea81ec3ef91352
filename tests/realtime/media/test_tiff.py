"""Pages of TIFF files, also of hostile ones."""

import io
import struct

import numpy as np
import pytest

from rtmag.realtime.media.tiff import Directory, read_directories, select_page
from rtmag.realtime.opencv import cv2

PAGES = 5


def stack(options: list[int] | None = None) -> bytes:
    """Pages of 40x30 pixels, with grey levels of 20, 40, 60 ..."""
    pages = [np.full((30, 40), 20 * (1 + page), np.uint8) for page in range(PAGES)]
    done, data = cv2.imencodemulti(".tif", pages, options or [])
    assert done
    return bytes(data)


def directory(order: str, big: bool, entries: list[tuple[int, int]], following: int) -> bytes:
    """A directory of long integers, with the position of the following one."""
    count, word = ("Q", "Q") if big else ("H", "I")
    content = struct.pack(order + count, len(entries))
    for tag, value in entries:
        content += struct.pack(order + "HH" + word, tag, 4, 1)
        content += struct.pack(order + "I", value).ljust(8 if big else 4, b"\0")
    return content + struct.pack(order + word, following)


def header(order: str, big: bool, first: int) -> bytes:
    mark = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "H", 43 if big else 42)
    return mark + (
        struct.pack(order + "HHQ", 8, 0, first) if big else struct.pack(order + "I", first)
    )


def test_each_page_can_be_decoded() -> None:
    data = np.frombuffer(stack(), np.uint8).copy()
    found = read_directories(io.BytesIO(data.tobytes()))
    assert [(page.width, page.height, page.is_page) for page in found] == [(40, 30, True)] * PAGES
    for number in (3, 0, 4, 1, 2):
        select_page(data, found[number].offset)
        page = cv2.imdecode(data, cv2.IMREAD_COLOR)
        assert page is not None
        assert int(page.mean().round()) == 20 * (1 + number)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("big", [False, True])
def test_thumbnails_and_masks_are_no_pages(order: str, big: bool) -> None:
    start = len(header(order, big, 0))
    content, at = header(order, big, start), start
    for flags in (1, 0, 2, 4):
        entries = [(254, flags), (256, 100), (257, 50)]
        size = len(directory(order, big, entries, 0))
        content += directory(order, big, entries, 0 if flags == 4 else at + size)
        at += size
    found = read_directories(io.BytesIO(content))
    assert [each.is_page for each in found] == [False, True, True, False]
    assert {(each.width, each.height) for each in found} == {(100, 50)}
    assert read_directories(io.BytesIO(content), limit=1) == found[:1]
    data = np.frombuffer(content, np.uint8).copy()
    select_page(data, found[2].offset)
    assert read_directories(io.BytesIO(data.tobytes())) == found[2:]


def test_a_truncated_stack_ends_with_a_page_without_size() -> None:
    whole = stack()
    offsets = [each.offset for each in read_directories(io.BytesIO(whole))]
    cut = whole[: sorted(offsets)[2] + 20]
    found = read_directories(io.BytesIO(cut))
    assert found[-1] == Directory(found[-1].offset)
    assert all(each.width == 40 for each in found[:-1])


def test_directories_in_a_circle_end() -> None:
    entries = [(256, 10), (257, 10)]
    size = len(directory("<", False, entries, 0))
    content = header("<", False, 8) + directory("<", False, entries, 8 + size)
    content += directory("<", False, entries, 8)
    assert len(read_directories(io.BytesIO(content))) == 2


def test_overlapping_directories_end() -> None:
    """Each of 10 000 directories would have 4000 entries."""
    count = struct.pack("<H", 4000)
    content = header("<", False, 8)
    for number in range(10_000):
        content += count + struct.pack("<I", 8 + 6 * (number + 1))
    found = read_directories(io.BytesIO(content + bytes(4000 * 12)))
    assert len(found) < 10


@pytest.mark.parametrize("offset", [2**64 - 1, 2**63, 2**62])
def test_absurd_offsets(offset: int) -> None:
    content = header("<", True, offset) + bytes(32)
    assert read_directories(io.BytesIO(content)) == [Directory(offset)]


def test_other_files_are_refused() -> None:
    with pytest.raises(ValueError, match="not TIFF"):
        read_directories(io.BytesIO(b"\x89PNG\r\n\x1a\n"))
