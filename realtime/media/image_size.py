"""How large a picture is: asked before it is decoded, since few bytes may claim a huge one.

Only the kinds of realtime/sources/image_folder.py are known, whatever a file's name says.
"""

import struct
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    pass

_TIFF = {b"II*\0": "<", b"MM\0*": ">", b"II+\0": "<", b"MM\0+": ">"}

_WIDTH, _HEIGHT = 256, 257

_INTEGERS = {1: "B", 3: "H", 4: "I", 16: "Q"}
"""Types of TIFF in which a size may be given."""

_SIZES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""Markers of JPEG, which come after 0xff: a size follows."""

_WITHOUT_LENGTH = {0x00, 0x01, *range(0xD0, 0xDA), 0xFF}
"""After others comes the length of what follows."""

_STEPS = 1 << 18
"""So many markers, and bytes between them that are none, are looked at: a fifth of a second."""


def too_large(width: int, height: int, max_pixels: int) -> str | None:
    """Why a picture is refused for its size; None: it is not."""
    if width * height <= max_pixels:
        return None
    allowed = f"{max_pixels / 1e6:.3g} million pixels are allowed; --max-pixels allows more"
    return f"{width}x{height} is too large; {allowed}"


def picture_size(file: BinaryIO) -> tuple[int, int] | None:
    """(width, height) as a PNG, JPEG, BMP or TIFF states it; None: it is none, or broken."""
    head = file.read(26)
    try:
        if head.startswith(b"\x89PNG\r\n\x1a\n"):
            return struct.unpack_from(">II", head, 16) if head[12:16] == b"IHDR" else None
        if head.startswith(b"BM"):
            old = struct.unpack_from("<I", head, 14) == (12,)
            width, height = struct.unpack_from("<HH" if old else "<ii", head, 18)
            return abs(width), abs(height)  # rows from the top have a negative height
        if head.startswith(b"\xff\xd8\xff"):
            return _jpeg(file)
        return _tiff(file, head) if head[:4] in _TIFF else None
    except (struct.error, OverflowError):
        return None


def _jpeg(file: BinaryIO) -> tuple[int, int] | None:
    file.seek(2)
    marked = False
    for _ in range(_STEPS):
        byte = file.read(1)
        if not byte:
            return None
        if marked and byte[0] in _SIZES:
            height, width = struct.unpack(">xxxHH", file.read(7))
            return width, height
        if marked and byte[0] not in _WITHOUT_LENGTH:
            file.seek(max(int.from_bytes(file.read(2)) - 2, 0), 1)
        marked = byte == b"\xff"
    return None


def _tiff(file: BinaryIO, head: bytes) -> tuple[int, int] | None:
    order, large = _TIFF[head[:4]], b"+" in head[2:4]
    (place,) = struct.unpack_from(order + ("Q" if large else "I"), head, 8 if large else 4)
    file.seek(place)
    (count,) = struct.unpack(order + ("Q" if large else "H"), file.read(8 if large else 2))
    sizes = {_WIDTH: 0, _HEIGHT: 0}
    for _ in range(count):
        entry = file.read(20 if large else 12)
        tag, kind = struct.unpack_from(order + "HH", entry)
        if tag in sizes and kind in _INTEGERS:
            (value,) = struct.unpack_from(order + _INTEGERS[kind], entry, 12 if large else 8)
            sizes[tag] = max(sizes[tag], value)
    return sizes[_WIDTH], sizes[_HEIGHT]


MAX_PIXELS = 6144 * 4096
"""6K. Larger pictures need hundreds of megabytes each, which a few bytes may claim."""
