"""Read the size of an image from its header, and refuse images that are too large.

The size is checked before the image is decoded, because a small file can claim a huge image. The
file type is found from the content, not from the name; the types are those of
realtime/sources/image_folder.py.
"""

import re
import struct
from typing import BinaryIO

from rtmag.realtime.media.tiff import SIGNATURES, read_directories

MAX_PIXELS = 6144 * 4096
"""Default limit (6K). Larger images would need hundreds of megabytes each."""

_JPEG_SIZE = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""JPEG markers (after 0xff) that are followed by a size."""

_JPEG_NO_LENGTH = {0x00, 0x01, *range(0xD0, 0xDA), 0xFF}
"""JPEG markers without a payload; all others are followed by the length of their payload."""

_PNM_SIZE = re.compile(rb"P[1-6](?:\s|#[^\r\n]*[\r\n])+(\d{1,9})(?:\s|#[^\r\n]*[\r\n])+(\d{1,9})\s")
"""Header of PBM, PGM and PPM up to the height, with comments."""

_PNM_HEADER = 4096
"""Number of bytes in which that header must be."""

_CODESTREAM = b"\xff\x4f\xff\x51"
"""First bytes of the data of JPEG 2000, which contain the size."""

_ANIMATED_WEBP = 2
"""Flag in the header of WebP."""

_ANIMATION_HEADER = 4096
"""Bytes in which a PNG file must state that it is animated."""

ANIMATED_WEBP = (
    "animated WebP is not supported; make pictures of it: magick IN.webp -coalesce FOLDER/%04d.png"
)
"""Reason and way out, for the user."""

_MAX_STEPS = 1 << 18
"""Markers and filler bytes that are read before giving up, which takes about 0.2 s."""


def too_large(width: int, height: int, max_pixels: int) -> str | None:
    """Return the reason for refusing an image of this size, or None if it is allowed."""
    if width * height <= max_pixels:
        return None
    allowed = f"{max_pixels / 1e6:.3g} million pixels are allowed; --max-pixels allows more"
    return f"{width}x{height} is too large; {allowed}"


def image_size(file: BinaryIO) -> tuple[int, int] | None:
    """Return (width, height) from the header of an image; None if it is invalid or unknown.

    PNG, JPEG, BMP, TIFF, WebP, JPEG 2000, PBM, PGM and PPM are known.
    """
    head = file.read(30)
    try:
        size = _size(file, head)
    except (struct.error, ValueError, OverflowError):
        return None
    return size if size is not None and min(size) > 0 else None


def _size(file: BinaryIO, head: bytes) -> tuple[int, int] | None:
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return struct.unpack_from(">II", head, 16) if head[12:16] == b"IHDR" else None
    if head.startswith(b"BM"):
        old = struct.unpack_from("<I", head, 14) == (12,)
        width, height = struct.unpack_from("<HH" if old else "<ii", head, 18)
        return abs(width), abs(height)  # the height is negative if the top row comes first
    if head.startswith(b"\xff\xd8\xff"):
        return _jpeg(file)
    if head[:4] in SIGNATURES:
        first = read_directories(file, limit=1)
        return first[0].size if first else None
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return _webp(head)
    if head.startswith(_CODESTREAM) or head[4:8] == b"jP  ":
        return _jpeg2000(file)
    if (match := _PNM_SIZE.match(head + file.read(_PNM_HEADER))) is not None:
        return int(match[1]), int(match[2])
    return None


def is_animation(file: BinaryIO) -> bool:
    """True if a file begins like an animated WebP or PNG, of which OpenCV decodes one picture."""
    head = file.read(_ANIMATION_HEADER)
    if head.startswith(b"\x89PNG"):
        return b"acTL" in head.partition(b"IDAT")[0]
    webp = head.startswith(b"RIFF") and head[8:16] == b"WEBPVP8X" and len(head) > 20
    return webp and bool(head[20] & _ANIMATED_WEBP)


def _webp(head: bytes) -> tuple[int, int] | None:
    """Return (width, height) from the first chunk of a WebP file."""
    if head[12:16] == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if head[12:16] == b"VP8L":
        (bits,) = struct.unpack_from("<I", head, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if head[12:16] == b"VP8 ":
        width, height = struct.unpack_from("<HH", head, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _jpeg2000(file: BinaryIO) -> tuple[int, int] | None:
    """Return (width, height) from the data of JPEG 2000, which may be in boxes (.jp2)."""
    position = 0
    for _ in range(_MAX_STEPS):
        file.seek(position)
        head = file.read(24)
        if head.startswith(_CODESTREAM):
            right, bottom, left, top = struct.unpack_from(">IIII", head, 8)
            return max(right - left, 0), max(bottom - top, 0)
        length, kind = struct.unpack_from(">I4s", head)
        skip = 8
        if length == 1:  # a longer length follows
            (length,), skip = struct.unpack_from(">Q", head, 8), 16
        if kind != b"jp2c" and length < skip:
            return None
        position += skip if kind == b"jp2c" else length
    return None


def _jpeg(file: BinaryIO) -> tuple[int, int] | None:
    """Return (width, height) from the first frame header of a JPEG file."""
    file.seek(2)
    after_ff = False
    for _ in range(_MAX_STEPS):
        byte = file.read(1)
        if not byte:
            return None
        if after_ff and byte[0] in _JPEG_SIZE:
            height, width = struct.unpack(">xxxHH", file.read(7))
            return width, height
        if after_ff and byte[0] not in _JPEG_NO_LENGTH:
            file.seek(max(int.from_bytes(file.read(2)) - 2, 0), 1)
        after_ff = byte == b"\xff"
    return None
