"""Elements of Matroska and WebM that FFmpeg or PyAV does not read or write.

* Files that were cut off are recognised. FFmpeg reads such a file to the last complete packet
  without an error.
* The display size of pictures whose pixels are not square is written. PyAV passes their aspect
  ratio to codecs only, and VP9 has no place for it.

References: RFC 8794, sections 4 to 6 (numbers of one to eight bytes, elements of unknown size);
RFC 9559 (elements of Matroska).
"""

import io
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

_HEADER_ID, _SEGMENT_ID = 0x1A45DFA3, 0x18538067
"""Element IDs of the header, which is the first element, and of the segment with the pictures."""

_MAX_ELEMENTS = 8
"""Number of elements among which the segment is searched; rarely a filler precedes it."""


def is_truncated(path: Path) -> bool:
    """True if a Matroska file ends before the segment that holds its pictures.

    The segment of an unfinished recording has no size; such a file counts as complete.
    """
    try:
        with path.open("rb") as file:
            end = _segment_end(file)
            return end is not None and end > path.stat().st_size
    except OSError:
        return False


def _segment_end(file: BinaryIO) -> int | None:
    """Return the position in the file at which the segment should end; None if it is unknown."""
    for position in range(_MAX_ELEMENTS):
        element, size = _read_number(file, keep_marker=True), _read_number(file)
        if element is None or size is None or (position == 0) != (element == _HEADER_ID):
            return None
        if element == _SEGMENT_ID:
            return file.tell() + size
        file.seek(size, 1)
    return None


def _read_number(file: BinaryIO, *, keep_marker: bool = False) -> int | None:
    """Read a number of variable length; None if it is invalid or means "unknown".

    The number of leading zero bits gives the length. The one bit after them is a marker; it is part
    of element IDs (`keep_marker`), but not of sizes.
    """
    first = file.read(1)
    if not first or not first[0]:
        return None
    length = 9 - first[0].bit_length()
    rest = file.read(length - 1)
    if len(rest) < length - 1:
        return None
    number = int.from_bytes(first + rest)
    if keep_marker:
        return number
    unknown = (1 << 7 * length) - 1
    return None if number & unknown == unknown else number & unknown


# ---- display size -------------------------------------------------------------------------------

_TRACKS = re.compile(rb"\x16\x54\xae\x6b(?:[\x80-\xff]|[\x40-\x7f].)(?=\xae)", re.DOTALL)
"""ID of the element with all tracks, and its size in one or two bytes, before the first track."""

_ENTRY_ID, _VIDEO_ID, _LACING_ID = 0xAE, 0xE0, 0x9C
"""Element IDs of a track, of its pictures, and of a flag that has its default."""

_DISPLAY_WIDTH_ID, _DISPLAY_HEIGHT_ID, _VOID_ID = 0x54B0, 0x54BA, 0xEC

_HEAD = 4096
"""Bytes at the start of a file that hold the description of its first track."""


def set_display_size(file: BinaryIO, size: tuple[int, int], aspect: Fraction) -> bool:
    """Write the display size of the first track into a file of FFmpeg, without moving its data.

    FFmpeg states the size of the track in more bytes than needed, and a flag that has its default.
    The display size replaces them.

    Args:
        file: a Matroska or WebM file, at least up to its first picture. Its position is kept.
        size: (width, height) of its pictures in pixels.
        aspect: width over height of one pixel.

    Returns:
        False if there is no room for the display size; the file is then unchanged.
    """
    position = file.tell()
    try:
        return _set_display_size(file, _display_size(size, aspect))
    finally:
        file.seek(position)


def _set_display_size(file: BinaryIO, elements: bytes) -> bool:
    file.seek(0)
    head = file.read(_HEAD)
    tracks = _TRACKS.search(head)
    if tracks is None:
        return False
    _, entry, length = next(_elements(head[tracks.end() :]))
    children = {element: content for element, content, _ in _elements(entry)}
    if _VIDEO_ID not in children:
        return False
    children.pop(_LACING_ID, None)
    children[_VIDEO_ID] += elements
    after = _element(_ENTRY_ID, b"".join(_element(*child) for child in children.items()))
    spare = length - len(after)
    if spare < 0 or spare == 1:
        return False
    file.seek(tracks.end())
    file.write(after + (_element(_VOID_ID, bytes(spare - 2)) if spare else b""))
    return True


def _display_size(size: tuple[int, int], aspect: Fraction) -> bytes:
    """Return the elements with the size at which pictures are shown."""
    one = Fraction(1)
    width, height = round(size[0] * max(aspect, one)), round(size[1] / min(aspect, one))
    return _element(_DISPLAY_WIDTH_ID, width.to_bytes(2)) + _element(
        _DISPLAY_HEIGHT_ID, height.to_bytes(2)
    )


def _elements(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Yield the ID, the content and the length of each element."""
    file = io.BytesIO(data)
    while True:
        start = file.tell()
        element, size = _read_number(file, keep_marker=True), _read_number(file)
        if element is None or size is None:
            return
        content = file.read(size)
        yield element, content, file.tell() - start


def _element(element: int, content: bytes) -> bytes:
    """Return an element with its size in one or two bytes."""
    size, count = len(content), (element.bit_length() + 7) // 8
    coded = (size | 0x80).to_bytes(1) if size < 0x7F else (size | 0x4000).to_bytes(2)
    return element.to_bytes(count) + coded + content
