"""Frames from standard input: Y4M, or raw pictures of a known size.

No frame is dropped: the writing program waits until its data are read. Y4M, which FFmpeg and
GStreamer can write, states its size and frame rate.
"""

import math
import sys
from collections.abc import Iterator
from fractions import Fraction
from typing import BinaryIO, cast

import av
import numpy as np
from av.video.frame import VideoFrame

from rtmag.realtime.errors import OptionError, SourceUnavailable
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


def _standard_input() -> BinaryIO:
    """Standard input, as bytes; raises SourceUnavailable if it is closed."""
    if sys.stdin is None:
        raise SourceUnavailable("cannot read standard input: it is closed; use a pipe or < FILE")
    return sys.stdin.buffer


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

    def __init__(
        self,
        stream: BinaryIO | None = None,
        max_pixels: int = MAX_PIXELS,
        matrix: Matrix = "bt601",
    ) -> None:
        self._closed = False
        self._matrix = MATRIX_TAGS[matrix]
        stream = stream or _standard_input()
        try:
            self._container = av.open(stream, "r", format="yuv4mpegpipe")
            self._stream = first_video_stream(self._container)
            context = self._stream.codec_context if self._stream else None
        except (av.FFmpegError, OSError, ValueError) as error:
            raise SourceUnavailable(_NO_Y4M) from error
        if context is None:
            raise SourceUnavailable(_NO_Y4M)
        self.size = (context.width, context.height)
        refusal = too_large(*self.size, max_pixels)
        if refusal is not None:
            raise SourceUnavailable(f"cannot read standard input: {refusal}")
        rate = self._stream.average_rate if self._stream else None
        self.fps: float | None = float(rate) if rate else None
        self.sample_aspect = self._stream.sample_aspect_ratio if self._stream else None

    def __iter__(self) -> Iterator[Frame]:
        """Yield all frames."""
        assert self._stream is not None
        converter, index = Converter(), 0
        dt = 1 / (self.fps or 30.0)
        for packet in read_packets(self._container, self._stream):
            for picture in packet.decode() if packet is not None else ():
                if self._closed:
                    return
                frame = cast("VideoFrame", picture)
                frame.colorspace = self._matrix
                yield Frame(converter.to_bgr(frame), index * dt, index)
                index += 1

    def close(self) -> None:
        """End the iteration."""
        self._closed = True


class RawPipe(BaseSource):
    """Raw pictures of one size, one after the other; an incomplete last picture is ignored.

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
        stream: BinaryIO | None = None,
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
        """Yield all frames."""
        width, height = self.size
        index = 0
        while not self._closed:
            data = self._stream.read(3 * width * height)
            if len(data) < 3 * width * height:
                return
            image = np.frombuffer(data, np.uint8).reshape(height, width, 3)
            image = image[..., ::-1] if self._rgb else image
            yield Frame(image.copy(order="C"), float(index * self._step), index)
            index += 1

    def close(self) -> None:
        """End the iteration."""
        self._closed = True
