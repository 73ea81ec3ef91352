"""Image sizes read from headers."""

import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtmag.realtime.media.image_size import image_size, too_large
from rtmag.realtime.opencv import cv2

KINDS = [
    (".png", []),
    (".bmp", []),
    (".jpg", []),
    (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
    (".tif", []),
    (".tiff", [cv2.IMWRITE_TIFF_COMPRESSION, 1]),
    (".webp", [cv2.IMWRITE_WEBP_QUALITY, 50]),
    (".webp", [cv2.IMWRITE_WEBP_QUALITY, 101]),
    (".ppm", []),
    (".ppm", [cv2.IMWRITE_PXM_BINARY, 0]),
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
        assert image_size(io.BytesIO(whole[:length])) in (None, (300, 7))


def test_segments_before_the_size_are_skipped() -> None:
    """A profile, a filler and a few zero bytes, as cameras write them."""
    picture = encoded(".jpg", [])
    profile = b"\xff\xe2" + struct.pack(">H", 40_002) + b"\xff\xc0" * 20_000
    more = picture[:2] + profile + b"\0\0\xff\xff" + picture[2:]
    assert cv2.imdecode(np.frombuffer(more, np.uint8), cv2.IMREAD_COLOR) is not None
    assert image_size(io.BytesIO(more)) == (300, 7)


def test_an_animation_has_the_size_of_its_canvas() -> None:
    animation = cv2.Animation()
    animation.frames = [np.full((70, 300, 3), level, np.uint8) for level in (10, 200)]
    animation.durations = [40, 40]
    done, data = cv2.imencodeanimation(".webp", animation)
    assert done
    assert image_size(io.BytesIO(bytes(data))) == (300, 70)


def test_jpeg_2000_with_and_without_boxes() -> None:
    data = bytes(cv2.imencode(".jp2", np.zeros((170, 300, 3), np.uint8))[1])
    stream = data[data.index(b"\xff\x4f\xff\x51") :]
    long_box = struct.pack(">I4sQ", 1, b"free", 16 + 5) + bytes(5)
    boxes = data[: data.index(b"jp2c") - 4] + long_box + struct.pack(">I4s", 0, b"jp2c")
    for content in (data, stream, boxes + stream):
        assert image_size(io.BytesIO(content)) == (300, 170)
    for length in range(len(data) - len(stream) + 24):
        assert image_size(io.BytesIO(data[:length])) is None
    circle = data[:12] + struct.pack(">I4s", 0, b"free")
    assert image_size(io.BytesIO(circle)) is None


def test_pictures_of_netpbm_may_have_comments() -> None:
    for head in (b"P5\n# by hand 1 2\n300 7\n255\n", b"P6 300#\n#\n 7 65535\n", b"P4\t300\r7\n"):
        assert image_size(io.BytesIO(head)) == (300, 7)
    for head in (b"P7\nWIDTH 3\n", b"P5\n" + b"9" * 5000, b"P5\n#" + bytes(9000), b"P5 x"):
        assert image_size(io.BytesIO(head)) is None


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
        b"RIFF\x1a\0\0\0WEBPVP8?" + bytes(30),
        b"\x89PNG\r\n\x1a\n\0\0\0\rIDAT" + bytes(30),
        b"\xff\xd8\xff" + b"\xff" * 1_000_000,
        b"II+\0\x08\0\0\0" + b"\xff" * 30,
    ],
    ids=["nothing", "another kind", "no header", "fillers without end", "far beyond the end"],
)
def test_other_data_have_no_size(content: bytes) -> None:
    assert image_size(io.BytesIO(content)) is None


@given(
    start=st.sampled_from([encoded(*kind)[:64] for kind in KINDS] + [b"II+\0\x08\0\0\0", b"MM\0*"]),
    cut=st.integers(0, 64),
    end=st.binary(max_size=64),
)
def test_no_header_raises_an_error(start: bytes, cut: int, end: bytes) -> None:
    size = image_size(io.BytesIO(start[:cut] + end))
    assert size is None or min(size) > 0


@pytest.mark.parametrize("offset", [2**64 - 1, 2**63, 2**31, 40])
def test_a_big_tiff_with_an_absurd_offset_has_no_size(offset: int) -> None:
    content = b"II+\0" + struct.pack("<HHQ", 8, 0, offset) + b"\xff" * 32
    assert image_size(io.BytesIO(content)) is None


def test_the_limit_itself_is_allowed() -> None:
    assert too_large(30, 10, 300) is None
    assert too_large(30_000, 30_000, 10**8) == (
        "30000x30000 is too large; 100 million pixels are allowed; --max-pixels allows more"
    )
