"""Frames from standard input: Y4M, or raw pictures of a known size.

No frame is dropped: the writing program waits until its data are read. Y4M, which FFmpeg and
GStreamer can write, states its size and frame rate.

FFmpeg reads Y4M in a thread. A signal handler runs in the main thread only; there, FFmpeg would
discard the KeyboardInterrupt that a handler raises while FFmpeg waits for data.
"""

import math
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from io import BufferedIOBase
from queue import Empty, Queue
from typing import TypeVar, cast

import av
import numpy as np
from av.video.frame import VideoFrame

from rtmag.realtime.errors import OptionError, SourceLost, SourceUnavailable
from rtmag.realtime.frame import Frame
from rtmag.realtime.media.colour import MATRIX_TAGS, Converter, Matrix
from rtmag.realtime.media.container import first_video_stream, read_packets
from rtmag.realtime.media.image_size import MAX_PIXELS, too_large
from rtmag.realtime.sources.source import BaseSource

_NO_Y4M = (
    "cannot read Y4M from standard input; example: ffmpeg -i IN -f yuv4mpegpipe - | "
    "rtmag stream -; raw pictures need --size and --fps"
)
"""Error message if standard input is not Y4M."""

_INCOMPLETE = "standard input ends within a picture, or its data are damaged"

_FRAME_HEADER, _LONGEST_FRAME_HEADER = 6, 80
"""Bytes of the line before each picture, and the most that are assumed if it has parameters."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _End:
    """Last item of a queue; `error` is raised by the consumer."""

    error: BaseException | None


def _read_ahead(items: Iterator[T]) -> Iterator[T]:
    """Iterate in a daemon thread, at most two items ahead of the consumer."""
    queue: Queue[T | _End] = Queue(maxsize=2)

    def work() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                queue.put(item)
        except BaseException as failure:
            error = failure
        queue.put(_End(error))

    threading.Thread(target=work, name="rtmag pipe", daemon=True).start()
    while True:
        # The wait is bounded, because Windows delivers Ctrl-C only between waits.
        with suppress(Empty):
            item = queue.get(timeout=0.25)
            if not isinstance(item, _End):
                yield item
            elif item.error is None:
                return
            else:
                raise item.error


class _CountedReader:
    """A binary stream for FFmpeg that counts the bytes read."""

    def __init__(self, stream: BufferedIOBase) -> None:
        self._stream = stream
        self.count = 0

    def read(self, size: int) -> bytes:
        """Read at most `size` bytes, as soon as there are any: a whole buffer would be late."""
        data = self._stream.read1(size)
        self.count += len(data)
        return data


def _standard_input() -> BufferedIOBase:
    """Standard input, as bytes; raises SourceUnavailable if it is closed."""
    if sys.stdin is None:
        raise SourceUnavailable("cannot read standard input: it is closed; use a pipe or < FILE")
    return cast("BufferedIOBase", sys.stdin.buffer)


class Y4mPipe(BaseSource):
    """A YUV4MPEG2 (Y4M) stream.

    Args:
        stream: binary stream to read; standard input by default.
        max_pixels: larger pictures are refused.
        matrix: matrix between RGB and YUV. Y4M cannot state it; most programs assume BT.601.

    Raises:
        SourceUnavailable: the stream is not Y4M, its pictures are too large, or standard input is
            closed.
    """

    live = False
    name = "standard input"
    fps: float | None

    def __init__(
        self,
        stream: BufferedIOBase | None = None,
        max_pixels: int = MAX_PIXELS,
        matrix: Matrix = "bt601",
    ) -> None:
        self._closed = False
        self._matrix = MATRIX_TAGS[matrix]
        self._max_pixels = max_pixels
        self._frames = _read_ahead(self._read(_CountedReader(stream or _standard_input())))
        next(self._frames)  # waits for the header

    def _read(self, stream: _CountedReader) -> Iterator[Frame | None]:
        """Yield None after the header, then all frames."""
        try:
            container = av.open(stream, "r", format="yuv4mpegpipe")
        except (av.FFmpegError, OSError, ValueError) as error:
            raise SourceUnavailable(_NO_Y4M) from error
        video = first_video_stream(container)
        if video is None or video.codec_context is None:
            raise SourceUnavailable(_NO_Y4M)
        self.size = (video.codec_context.width, video.codec_context.height)
        refusal = too_large(*self.size, self._max_pixels)
        if refusal is not None:
            raise SourceUnavailable(f"cannot read standard input: {refusal}")
        self.fps = float(video.average_rate) if video.average_rate else None
        self.sample_aspect = video.sample_aspect_ratio
        yield None
        converter, index, end = Converter(), 0, 0
        dt = 1 / (self.fps or 30.0)
        for packet in read_packets(container, video):
            if packet is not None and packet.size:
                end = (packet.pos or 0) + _FRAME_HEADER + packet.size
            for picture in packet.decode() if packet is not None else ():
                frame = cast("VideoFrame", picture)
                frame.colorspace = self._matrix
                yield Frame(converter.to_bgr(frame), index * dt, index)
                index += 1
        if index and stream.count - end > _LONGEST_FRAME_HEADER:
            raise SourceLost(_INCOMPLETE)

    def __iter__(self) -> Iterator[Frame]:
        """Yield all frames; raises SourceLost if the last picture is incomplete."""
        for frame in self._frames:
            if self._closed:
                return
            if frame is not None:
                yield frame

    def close(self) -> None:
        """End the iteration."""
        self._closed = True


class RawPipe(BaseSource):
    """Raw pictures of one size, one after the other.

    Args:
        size: (width, height) in pixels.
        fps: frames per second; 30 by default.
        pixel_format: bgr24 or rgb24: three bytes per pixel, rows from the top, without padding.
        stream: binary stream to read; standard input by default.
        max_pixels: larger pictures are refused.

    Raises:
        OptionError: the size, the rate or the pixel format is not valid.
        SourceUnavailable: standard input is closed.
    """

    live = False
    name = "standard input"

    def __init__(
        self,
        size: tuple[int, int],
        fps: float | None,
        pixel_format: str = "bgr24",
        stream: BufferedIOBase | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        empty = None if min(size) > 0 else f"{size[0]}x{size[1]} is not a valid size"
        refusal = empty or too_large(*size, max_pixels)
        if refusal is not None:
            raise OptionError(f"cannot read raw pictures: {refusal}")
        if fps is not None and not (math.isfinite(fps) and fps > 0):
            raise OptionError(f"cannot read raw pictures: fps must be positive, got fps = {fps}")
        if pixel_format not in ("bgr24", "rgb24"):
            raise OptionError(f"raw pictures must be bgr24 or rgb24, got {pixel_format!r}")
        self.size = size
        self.fps: float | None = fps or 30.0
        self._step = 1 / Fraction(self.fps or 30.0)
        self._rgb = pixel_format == "rgb24"
        self._stream, self._closed = stream or _standard_input(), False

    def __iter__(self) -> Iterator[Frame]:
        """Yield all frames; raises SourceLost if the last picture is incomplete."""
        width, height = self.size
        index = 0
        while not self._closed:
            data = self._stream.read(3 * width * height)
            if not data:
                return
            if len(data) < 3 * width * height:
                raise SourceLost(_INCOMPLETE)
            image = np.frombuffer(data, np.uint8).reshape(height, width, 3)
            image = image[..., ::-1] if self._rgb else image
            yield Frame(image.copy(order="C"), float(index * self._step), index)
            index += 1

    def close(self) -> None:
        """End the iteration."""
        self._closed = True
