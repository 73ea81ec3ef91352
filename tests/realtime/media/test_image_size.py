"""Image sizes read from headers."""

import io
import struct

import numpy as np
import pytest

from rtmag.realtime.media.image_size import image_size, too_large
from rtmag.realtime.opencv import cv2

KINDS = [
    (".png", []),
    (".bmp", []),
    (".jpg", []),
    (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
    (".tif", []),
    (".tiff", [cv2.IMWRITE_TIFF_COMPRESSION, 1]),
]


def encoded(suffix: str, options: list[int]) -> bytes:
    return bytes(cv2.imencode(suffix, np.zeros((7, 300, 3), np.uint8), options)[1])


@pytest.mark.parametrize(("suffix", "options"), KINDS)
def test_sizes_are_read(suffix: str, options: list[int]) -> None:
    assert image_size(io.BytesIO(encoded(suffix, options))) == (300, 7)


@pytest.mark.parametrize(("suffix", "options"), KINDS)
def test_truncated_headers_have_no_size(suffix: str, options: list[int]) -> None:
    whole = encoded(suffix, options)
    for length in range(len(whole)):
        assert image_size(io.BytesIO(whole[:length])) in (None, (300, 7), (300, 0), (0, 0))


def test_segments_before_the_size_are_skipped() -> None:
    """A profile, a filler and a few zero bytes, as cameras write them."""
    picture = encoded(".jpg", [])
    profile = b"\xff\xe2" + struct.pack(">H", 40_002) + b"\xff\xc0" * 20_000
    more = picture[:2] + profile + b"\0\0\xff\xff" + picture[2:]
    assert cv2.imdecode(np.frombuffer(more, np.uint8), cv2.IMREAD_COLOR) is not None
    assert image_size(io.BytesIO(more)) == (300, 7)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("kind", [3, 4])
def test_all_variants_of_tiff(order: str, large: bool, kind: int) -> None:
    mark = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "H", 43 if large else 42)
    word, value = ("Q" if large else "I"), {3: "H", 4: "I"}[kind]
    head = mark + struct.pack(order + ("HHQ" if large else "I"), *((8, 0, 16) if large else (8,)))
    entries = b"".join(
        struct.pack(order + "HH" + word, tag, kind, 1)
        + struct.pack(order + value, size).ljust(8 if large else 4, b"\0")
        for tag, size in [(256, 30_000), (257, 20_000)]
    )
    content = head + struct.pack(order + ("Q" if large else "H"), 2) + entries
    assert image_size(io.BytesIO(content)) == (30_000, 20_000)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"RIFF\x1a\0\0\0WEBPVP8L" + bytes(30),
        b"\x89PNG\r\n\x1a\n\0\0\0\rIDAT" + bytes(30),
        b"\xff\xd8\xff" + b"\xff" * 1_000_000,
        b"II+\0\x08\0\0\0" + b"\xff" * 30,
    ],
    ids=["nothing", "another kind", "no header", "fillers without end", "far beyond the end"],
)
def test_other_data_have_no_size(content: bytes) -> None:
    assert image_size(io.BytesIO(content)) is None


def test_the_limit_itself_is_allowed() -> None:
    assert too_large(30, 10, 300) is None
    assert too_large(30_000, 30_000, 10**8) == (
        "30000x30000 is too large; 100 million pixels are allowed; --max-pixels allows more"
    )
