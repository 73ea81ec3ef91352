"""Read the size of an image from its header, and refuse images that are too large.

The size is checked before the image is decoded, because a small file can claim a huge image. The
file type is found from the content, not from the name; the types are those of
realtime/sources/image_folder.py.
"""

import struct
from typing import BinaryIO

MAX_PIXELS = 6144 * 4096
"""Default limit (6K). Larger images would need hundreds of megabytes each."""

_TIFF = {b"II*\0": "<", b"MM\0*": ">", b"II+\0": "<", b"MM\0+": ">"}
"""Signatures of TIFF and BigTIFF, with their byte order."""

_WIDTH, _HEIGHT = 256, 257
"""Tags of TIFF."""

_INTEGERS = {1: "B", 3: "H", 4: "I", 16: "Q"}
"""TIFF types in which a size may be stored."""

_JPEG_SIZE = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""JPEG markers (after 0xff) that are followed by a size."""

_JPEG_NO_LENGTH = {0x00, 0x01, *range(0xD0, 0xDA), 0xFF}
"""JPEG markers without a payload; all others are followed by the length of their payload."""

_MAX_STEPS = 1 << 18
"""Markers and filler bytes that are read before giving up, which takes about 0.2 s."""


def too_large(width: int, height: int, max_pixels: int) -> str | None:
    """Return the reason for refusing an image of this size, or None if it is allowed."""
    if width * height <= max_pixels:
        return None
    allowed = f"{max_pixels / 1e6:.3g} million pixels are allowed; --max-pixels allows more"
    return f"{width}x{height} is too large; {allowed}"


def image_size(file: BinaryIO) -> tuple[int, int] | None:
    """Return (width, height) from the header of a PNG, JPEG, BMP or TIFF; None if it is invalid."""
    head = file.read(26)
    try:
        if head.startswith(b"\x89PNG\r\n\x1a\n"):
            return struct.unpack_from(">II", head, 16) if head[12:16] == b"IHDR" else None
        if head.startswith(b"BM"):
            old = struct.unpack_from("<I", head, 14) == (12,)
            width, height = struct.unpack_from("<HH" if old else "<ii", head, 18)
            return abs(width), abs(height)  # the height is negative if the top row comes first
        if head.startswith(b"\xff\xd8\xff"):
            return _jpeg(file)
        return _tiff(file, head) if head[:4] in _TIFF else None
    except (struct.error, OverflowError):
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


def _tiff(file: BinaryIO, head: bytes) -> tuple[int, int] | None:
    """Return (width, height) from the first directory of a TIFF or BigTIFF file; 0 if missing."""
    order, big = _TIFF[head[:4]], b"+" in head[2:4]
    (offset,) = struct.unpack_from(order + ("Q" if big else "I"), head, 8 if big else 4)
    file.seek(offset)
    (count,) = struct.unpack(order + ("Q" if big else "H"), file.read(8 if big else 2))
    sizes = {_WIDTH: 0, _HEIGHT: 0}
    for _ in range(count):
        entry = file.read(20 if big else 12)
        tag, type_code = struct.unpack_from(order + "HH", entry)
        if tag in sizes and type_code in _INTEGERS:
            (value,) = struct.unpack_from(order + _INTEGERS[type_code], entry, 12 if big else 8)
            sizes[tag] = max(sizes[tag], value)
    return sizes[_WIDTH], sizes[_HEIGHT]
