"""Containers: video files opened with care, and read past their damage.

Only real video formats are let in: a playlist under the name of a video could otherwise open any
other file. The picture size is limited before anything is decoded, since few bytes may claim a huge
one.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from rtmag.realtime.errors import SourceUnavailable
from rtmag.realtime.media.image_size import too_large

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


_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,gif,mpeg,flv,asf,ogg,mxf,yuv4mpegpipe,nut"
)

_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*")

_FAILURES_IN_A_ROW = 200
"""After so many the rest of the file is given up."""


def open_container(path: Path) -> InputContainer:
    """Open a video file.

    Raises:
        SourceUnavailable: it is missing, unreadable or no video; says which.
    """
    _check_file(path)
    options = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
    try:
        # An absolute name cannot be mistaken for a protocol.
        return av.open(str(path.absolute()), container_options=options, metadata_errors="replace")
    except PermissionError as error:
        raise _unavailable(path, "no permission to read it") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        raise _unavailable(path, _why_unreadable(path)) from error


def video_stream(container: InputContainer, path: Path, max_pixels: int) -> VideoStream:
    """The moving picture of a container, guarded against sizes above `max_pixels`.

    Raises:
        SourceUnavailable: there is none, or its codec or size cannot be handled.
    """
    stream = moving_picture(container)
    if stream is None:
        raise _unavailable(
            path, "it has sound only" if container.streams.audio else "it has no video"
        )
    context = stream.codec_context
    if context is None:
        raise _unavailable(path, "its codec is not supported")
    refusal = too_large(context.width, context.height, max_pixels)
    if refusal is not None:
        raise _unavailable(path, refusal)
    context.options = {**context.options, "max_pixels": str(max_pixels)}
    return stream


def moving_picture(container: InputContainer) -> VideoStream | None:
    """The first video stream that is no cover picture."""
    for stream in container.streams.video:
        if not stream.disposition & stream.disposition.attached_pic:
            return stream
    return None


def read_packets(
    container: InputContainer, *streams: Stream, fatal: tuple[type[BaseException], ...] = ()
) -> Iterator["Packet[Stream] | None"]:
    """Yield the packets of some streams, and None for each failure that was stepped over.

    Failures of the kinds `fatal` are raised. The last packets are empty: decoding them brings out
    what the decoders still hold. They are missing when nothing but failures came at the end.
    """
    failures = 0
    while failures <= _FAILURES_IN_A_ROW:
        try:
            # PyAV raises IndexError when a broken packet announces a stream that does not exist.
            for packet in container.demux(*streams):
                failures = 0
                yield packet
            return
        except fatal:
            raise
        except (av.FFmpegError, OSError, IndexError):
            failures += 1
        yield None


def _check_file(path: Path) -> None:
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise _unavailable(path, "no such file") from error
    except (OSError, ValueError) as error:
        raise _unavailable(path, "its name or folder cannot be used") from error
    if stat.S_ISDIR(status.st_mode):
        raise _unavailable(path, "it is a folder")
    if not stat.S_ISREG(status.st_mode):
        raise _unavailable(path, "it is not a regular file")
    if status.st_size == 0:
        raise _unavailable(path, "it is empty")
    if not os.access(path, os.R_OK):
        raise _unavailable(path, "no permission to read it")


def _why_unreadable(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(16)
    if head.startswith(_PICTURES):
        return "it is a picture, not a video; name its folder instead"
    if head[4:8] in (b"ftyp", b"mdat", b"wide", b"free"):
        return "it is incomplete; its index is missing, as after a recording that was cut off"
    return "it is not a video, or of a kind that is not supported"


def _unavailable(path: Path, reason: str) -> SourceUnavailable:
    return SourceUnavailable(f"cannot open {str(path)!r}: {reason}")
