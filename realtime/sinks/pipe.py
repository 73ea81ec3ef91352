"""Uncompressed Y4M video on stdout, which players and FFmpeg can read."""

import os
import sys
from contextlib import suppress
from fractions import Fraction
from io import RawIOBase

from rtmag.realtime.errors import OptionError, SinkClosed, SinkError, SinkUnavailable
from rtmag.realtime.frame import Frame
from rtmag.realtime.media.colour import Y4M, Converter
from rtmag.realtime.sinks.sink import BaseSink, letterbox

STDOUT = "-"
"""Name of the output that stands for stdout."""

_FRAME = b"FRAME\n"
"""Bytes before the samples of each frame."""


class PipeSink(BaseSink):
    """Writes Y4M to stdout: frames at a constant rate, without timestamps.

    Args:
        fps: frames per second stated in the header.
        size: (width, height) in pixels; by default the size of the first frame. Frames of another
            size are letterboxed.
        sample_aspect: width over height of one pixel; None: square.
        timed: True to repeat frames until the next one is due, so that the video lasts as long as
            the times of its frames.

    Raises:
        OptionError: stdout is a terminal.
        SinkUnavailable: stdout is closed.
    """

    def __init__(
        self,
        *,
        fps: float,
        size: tuple[int, int] | None = None,
        sample_aspect: Fraction | None = None,
        timed: bool = False,
    ) -> None:
        if sys.stdout is None or sys.__stdout__ is None:
            raise SinkUnavailable("-o - writes video to stdout, which is closed: use > FILE.y4m")
        if sys.stdout.isatty():
            raise OptionError("-o - writes video to stdout: pipe it to a program or > FILE.y4m")
        self._fps, self._size, self._timed = fps, size, timed
        self._sample_aspect = sample_aspect or Fraction(1)
        self._converter = Converter()
        self._out: RawIOBase | None = None
        self._closed = False
        self._samples = b""
        """Samples of the last frame."""
        self._start = 0.0
        """Time of the first frame in seconds."""
        self._count = 0
        """Number of frames written."""

    def write(self, frame: Frame) -> None:
        """Write one frame; waits while the reader is busy.

        Raises:
            SinkClosed: the reader has closed the pipe.
            SinkError: the pipe is closed or writing failed.
        """
        if self._closed:
            raise SinkError("cannot write to the pipe: it is closed")
        try:
            self._write(frame)
        except BrokenPipeError as error:
            self._closed = True
            raise SinkClosed("the program that reads the pipe has closed it") from error
        except OSError as error:
            self._closed = True
            raise SinkError("cannot write to the pipe") from error

    def _write(self, frame: Frame) -> None:
        """Write a frame, after the repetitions of the last one."""
        self._size = size = self._size or frame.size
        pixel_format = "yuv444p" if size[0] % 2 or size[1] % 2 else "yuv420p"
        if self._out is None:
            self._start = frame.time
            self._out = self._open(size, pixel_format)
        while self._timed and self._count < round((frame.time - self._start) * self._fps):
            self._put(self._out, _FRAME + self._samples)
        image = letterbox(frame.image, size)
        self._samples = self._converter.from_bgr(image, pixel_format, Y4M).to_ndarray().tobytes()
        self._put(self._out, _FRAME + self._samples)

    def _put(self, out: RawIOBase, data: bytes) -> None:
        """Write all of the data of a frame; one write to a pipe may be partial."""
        left = memoryview(data)
        while left:
            left = left[out.write(left) or 0 :]
        self._count += 1

    def _open(self, size: tuple[int, int], pixel_format: str) -> RawIOBase:
        """Write the header to stdout and return the open file."""
        sys.stdout.flush()
        # A separate file descriptor, unbuffered because whole frames are written.
        out = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
        rate = Fraction(min(max(self._fps, 0.001), 100_000.0)).limit_denominator(1001)
        aspect = self._sample_aspect
        chroma = {"yuv420p": "420jpeg", "yuv444p": "444"}[pixel_format]
        header = f"YUV4MPEG2 W{size[0]} H{size[1]} F{rate.numerator}:{rate.denominator} Ip "
        header += f"A{aspect.numerator}:{aspect.denominator} C{chroma} XCOLORRANGE=LIMITED\n"
        out.write(header.encode())
        return out

    def close(self, *, finished: bool = True) -> None:
        """Close the file. Safe to call twice."""
        out, self._out, self._closed = self._out, None, True
        if out is not None:
            with suppress(OSError):
                out.close()
