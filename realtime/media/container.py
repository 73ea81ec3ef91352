"""Open video files safely and read them past damage.

* Only video formats are allowed. Otherwise a playlist with the name of a video could open any other
  file.
* The picture size is limited before anything is decoded, because a small file can claim a huge
  picture.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from rtmag.realtime.errors import SourceUnavailable
from rtmag.realtime.media.image_size import ANIMATED_WEBP, is_animation, too_large

_BARE = ("h264", "hevc", "vvc", "h263", "m4v", "mpegvideo", "obu", "mjpeg")
"""FFmpeg's names of the formats that are the bare output of an encoder, without timestamps."""

_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,gif,apng,mpeg,flv,asf,ogg,mxf,ivf,dv,"
    "yuv4mpegpipe,nut," + ",".join(_BARE)
)
"""FFmpeg's names of the formats that may be opened."""

_IMAGE_SIGNATURES = (
    b"\x89PNG", b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+",
    b"\0\0\0\x0cjP  ", b"P4\n", b"P5\n", b"P6\n",
)  # fmt: skip
"""First bytes of PNG, JPEG, BMP, TIFF, BigTIFF, JPEG 2000, PBM, PGM and PPM files."""

_COUNTED = 2000
"""Number of packets from which the pictures of several video streams are counted."""

_MAX_FAILURES = 200
"""Number of consecutive failures after which reading stops."""


def open_container(path: Path) -> InputContainer:
    """Open a video file.

    Raises:
        SourceUnavailable: the file is missing, unreadable or not a video; the message says which.
    """
    _check_file(path)
    options = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
    try:
        # An absolute path cannot be mistaken for a protocol.
        return av.open(str(path.absolute()), container_options=options, metadata_errors="replace")
    except PermissionError as error:
        raise _unavailable(path, "permission denied") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        raise _unavailable(path, _unreadable_reason(path)) from error


def has_timestamps(container: InputContainer) -> bool:
    """True if a file has timestamps; False if it is the bare output of an encoder."""
    return container.format.name not in _BARE


def video_stream(
    container: InputContainer, path: Path, max_pixels: int, index: int | None = None
) -> VideoStream:
    """Return a video stream of a container; pictures above `max_pixels` are refused.

    Args:
        container: the open file.
        path: its path.
        max_pixels: largest number of pixels of a picture.
        index: index of the stream in the file; by default that of the first video stream.

    Raises:
        SourceUnavailable: there is no video, or its codec is not supported, or it is too large.
    """
    stream = next((s for s in moving_streams(container) if index in (None, s.index)), None)
    if stream is None:
        raise _unavailable(
            path, "it has audio only" if container.streams.audio else "it has no video"
        )
    context = stream.codec_context
    if context is None:
        raise _unavailable(path, "its codec is not supported")
    refusal = too_large(context.width, context.height, max_pixels)
    if refusal is not None:
        raise _unavailable(path, refusal)
    context.options = {**context.options, "max_pixels": str(max_pixels)}
    return stream


def moving_streams(container: InputContainer) -> list[VideoStream]:
    """Return the video streams that are neither cover pictures nor thumbnails."""
    flags = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
    return [stream for stream in container.streams.video if not stream.disposition & flags]


def first_video_stream(container: InputContainer) -> VideoStream | None:
    """Return the first video stream that is not a cover picture."""
    return next(iter(moving_streams(container)), None)


def main_video_stream(container: InputContainer, path: Path) -> VideoStream | None:
    """Return the main one of several video streams; None if there is no video.

    Streams without a decoder, and those of one picture, are passed over. Of the others it is the
    one with the default flag, else the one with most pictures (10 % do not count), else the one
    with most pixels.

    Args:
        container: the open file. Nothing is read from it.
        path: its path.
    """
    streams = moving_streams(container)
    streams = [stream for stream in streams if stream.codec_context is not None] or streams
    if len(streams) < 2:
        return next(iter(streams), None)
    counts = _count_pictures(streams, path)
    streams = [stream for stream in streams if counts[stream.index] > 1] or streams
    streams = [s for s in streams if s.disposition & Disposition.default] or streams
    most = max(counts[stream.index] for stream in streams)
    streams = [stream for stream in streams if counts[stream.index] >= 0.9 * most]
    return max(streams, key=lambda stream: stream.width * stream.height)


def _count_pictures(streams: Sequence[VideoStream], path: Path) -> dict[int, int]:
    """Return the number of pictures of each stream by its index, if need be of the beginning."""
    if all(stream.frames for stream in streams):
        return {stream.index: stream.frames for stream in streams}
    counts = dict.fromkeys((stream.index for stream in streams), 0)
    with open_container(path) as container:
        again = [container.streams[index] for index in counts]
        for packet in islice(read_packets(container, *again), _COUNTED):
            if packet is not None and packet.size > 0:
                counts[packet.stream.index] += 1
    return counts


def read_packets(
    container: InputContainer, *streams: Stream, fatal: tuple[type[BaseException], ...] = ()
) -> Iterator["Packet[Stream] | None"]:
    """Yield the packets of some streams, and None for each failure that was skipped.

    The last packets are empty; decoding them flushes the decoders. They are missing if the file
    ends with failures only.

    Args:
        container: an open container.
        streams: the streams to read.
        fatal: types of errors that are raised instead of skipped.
    """
    failures = 0
    while failures <= _MAX_FAILURES:
        try:
            # PyAV raises IndexError when a broken packet announces a stream that does not exist.
            for packet in container.demux(*streams):
                failures = 0
                # Theora repeats a picture by an empty packet, which would end the decoding.
                if packet.size > 0 or (packet.pts is None and packet.dts is None):
                    yield packet
            return
        except fatal:
            raise
        except (av.FFmpegError, OSError, IndexError):
            failures += 1
        yield None


def _check_file(path: Path) -> None:
    """Raise SourceUnavailable if the path is not a readable file with content."""
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
        raise _unavailable(path, "permission denied")


def _unreadable_reason(path: Path) -> str:
    """Return a reason why FFmpeg cannot open a file, found from its first bytes."""
    with path.open("rb") as file:
        head = file.read(16)
        file.seek(0)
        animated = is_animation(file)
    if animated and head[8:12] == b"WEBP":
        return ANIMATED_WEBP
    if head.startswith(_IMAGE_SIGNATURES) or head[8:12] == b"WEBP":
        return "it is a picture, not a video; pass its folder instead"
    if head[4:8] in (b"ftyp", b"mdat", b"wide", b"free"):
        return "it is incomplete: its index is missing, as after an interrupted recording"
    return "it is not a video, or its format is not supported"


def _unavailable(path: Path, reason: str) -> SourceUnavailable:
    return SourceUnavailable(f"cannot open {str(path)!r}: {reason}")
