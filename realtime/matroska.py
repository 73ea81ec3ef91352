"""Matroska and WebM: where a file should end, by its own account.

FFmpeg reads such a file to the last whole packet and says nothing when the rest was cut off.
Reference: RFC 8794, sections 4 to 6 (numbers of one to eight bytes, elements of unknown size).
"""

from pathlib import Path
from typing import BinaryIO

_HEADER, _SEGMENT = 0x1A45DFA3, 0x18538067
_ELEMENTS = 8
"""So many are looked at for the segment: before it there is the header, and seldom a filler."""


def is_cut_off(path: Path) -> bool:
    """Whether a file ends before the segment that holds its pictures does.

    Recordings that were never finished do not know their size, and count as whole.
    """
    try:
        with path.open("rb") as file:
            end = _segment_end(file)
            return end is not None and end > path.stat().st_size
    except OSError:
        return False


def _segment_end(file: BinaryIO) -> int | None:
    for place in range(_ELEMENTS):
        name, size = _number(file, keep_length=True), _number(file)
        if name is None or size is None or (place == 0) != (name == _HEADER):
            return None
        if name == _SEGMENT:
            return file.tell() + size
        file.seek(size, 1)
    return None


def _number(file: BinaryIO, *, keep_length: bool = False) -> int | None:
    """The next number, whose leading zeros say its length; None: it is broken, or unknown.

    In names the bit that ends those zeros is a part of the number.
    """
    first = file.read(1)
    if not first or not first[0]:
        return None
    length = 9 - first[0].bit_length()
    rest = file.read(length - 1)
    if len(rest) < length - 1:
        return None
    number = int.from_bytes(first + rest)
    if keep_length:
        return number
    most = (1 << 7 * length) - 1
    return None if number & most == most else number & most
