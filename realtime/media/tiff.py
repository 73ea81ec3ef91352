"""Directories of TIFF and BigTIFF files: the pages of a stack, and their sizes.

OpenCV can decode a single page from memory only if it is the first. `select_page` makes it so: the
header of a file has the position of the first directory. Reference: TIFF 6.0, section 2.
"""

import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:  # the command line reads a limit of pictures, and must start quickly
    import numpy as np
    from numpy.typing import NDArray

SIGNATURES = {b"II*\0": "<", b"MM\0*": ">", b"II+\0": "<", b"MM\0+": ">"}
"""First bytes of TIFF and BigTIFF files, with their byte order."""

_SUBFILE, _WIDTH, _HEIGHT = 254, 256, 257
"""Tags."""

_THUMBNAIL_OR_MASK = 1 | 4
"""Flags of the tag 254 of a directory that is not a page."""

_INTEGERS = {1: "B", 3: "H", 4: "I", 16: "Q"}
"""Types of the values that are read, as formats of `struct`."""

_MAX_ENTRIES = 4096
"""Number of entries above which a directory counts as damaged; usual are 10 to 30."""


@dataclass(frozen=True, slots=True)
class Directory:
    """A picture in a TIFF file."""

    offset: int
    """Position in the file in bytes."""
    width: int = 0
    """In pixels; 0 if it is not stated."""
    height: int = 0
    is_page: bool = True
    """False for a thumbnail of another picture and for a mask."""

    @property
    def size(self) -> tuple[int, int] | None:
        """(width, height) in pixels, or None if it is not stated."""
        return (self.width, self.height) if self.width and self.height else None


def read_directories(file: BinaryIO, limit: int | None = None) -> list[Directory]:
    """Return the first `limit` directories of a file (None: all), in its order.

    A directory that cannot be read is the last one and has no size.

    Raises:
        ValueError, OverflowError, struct.error, OSError: it is not TIFF, or it is damaged before
            the first directory.
    """
    left = file.seek(0, os.SEEK_END)  # directories that overlap would take long
    file.seek(0)
    layout = _Layout(file.read(4))
    offset = layout.read_offset(file, layout.first)
    found: dict[int, Directory] = {}
    while offset and offset not in found and len(found) != limit:
        position = offset
        try:
            found[position], position = _read_directory(file, layout, offset)
            left -= position - offset
            if left < 0:
                raise ValueError("directories overlap")
            offset = layout.read_offset(file, position)
        except (struct.error, ValueError, OverflowError):
            found[position] = Directory(position)
            break
    return list(found.values())[:limit]


def select_page(data: "NDArray[np.uint8]", offset: int) -> None:
    """Make the directory at `offset` the first one of a file that is in memory."""
    layout = _Layout(data[:4].tobytes())
    struct.pack_into(layout.order + layout.word, data.data, layout.first, offset)


class _Layout:
    """Byte order and sizes of TIFF or BigTIFF; raises ValueError for other signatures."""

    def __init__(self, signature: bytes) -> None:
        if signature not in SIGNATURES:
            raise ValueError("not TIFF")
        self.order, big = SIGNATURES[signature], b"+" in signature
        self.first = 8 if big else 4
        """Position of the offset of the first directory."""
        self.word, self.count = ("Q", "Q") if big else ("I", "H")
        """Formats of an offset and of the number of entries."""
        self.entry = struct.Struct(self.order + ("HHQ8s" if big else "HHI4s"))
        """Tag, type, number of values, and the value or its offset."""

    def read_offset(self, file: BinaryIO, position: int) -> int:
        """Read the offset that is at a position."""
        file.seek(position)
        word = struct.Struct(self.order + self.word)
        return int(word.unpack(file.read(word.size))[0])


def _read_directory(file: BinaryIO, layout: _Layout, offset: int) -> tuple[Directory, int]:
    """Return a directory and its end, which has the offset of the next one."""
    file.seek(offset)
    count_format = struct.Struct(layout.order + layout.count)
    (count,) = count_format.unpack(file.read(count_format.size))
    if count > _MAX_ENTRIES:
        raise ValueError("too many entries")
    values = {_SUBFILE: 0, _WIDTH: 0, _HEIGHT: 0}
    entries = file.read(count * layout.entry.size)
    if len(entries) < count * layout.entry.size:
        raise ValueError("truncated")
    for tag, kind, _, value in layout.entry.iter_unpack(entries):
        if tag in values and kind in _INTEGERS:
            (number,) = struct.unpack_from(layout.order + _INTEGERS[kind], value)
            values[tag] = max(values[tag], number)
    directory = Directory(
        offset, values[_WIDTH], values[_HEIGHT], not values[_SUBFILE] & _THUMBNAIL_OR_MASK
    )
    return directory, offset + count_format.size + len(entries)
