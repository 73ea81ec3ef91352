"""Uncompressed Y4M video on stdout, which players and FFmpeg can read."""

import os
import sys
from contextlib import suppress
from fractions import Fraction
from io import RawIOBase

import av

from rtmag.realtime.errors import OptionError, SinkClosed, SinkError
from rtmag.realtime.frame import Frame
from rtmag.realtime.media.colour import Colour
from rtmag.realtime.media.encoder import Codec, FileType, VideoEncoder
from rtmag.realtime.sinks.sink import BaseSink, letterbox

STDOUT = "-"
"""Name of the output that stands for stdout."""

_Y4M = FileType("yuv4mpegpipe", (Codec("wrapped_avframe", {}, odd="yuv444p"),), constant_rate=True)


class PipeSink(BaseSink):
    """Writes Y4M to stdout: frames at a constant rate, without timestamps.

    Args:
        fps: frames per second stated in the header.
        size: (width, height) in pixels; by default the size of the first frame. Frames of another
            size are letterboxed.

    Raises:
        OptionError: stdout is a terminal.
    """

    def __init__(self, *, fps: float, size: tuple[int, int] | None = None) -> None:
        if sys.stdout.isatty():
            raise OptionError("-o - writes video to stdout: pipe it to a program or > FILE.y4m")
        self._fps, self._size = fps, size
        self._container: av.container.OutputContainer | None = None
        self._closed = False

    def write(self, frame: Frame) -> None:
        """Write one frame; waits while the reader is busy.

        Raises:
            SinkClosed: the reader has closed the pipe.
            SinkError: the pipe is closed or writing failed.
        """
        if self._closed:
            raise SinkError("cannot write to the pipe: it is closed")
        self._size = self._size or frame.size
        try:
            container = self._container or self._open(self._size)
            container.mux(self._encoder.encode(letterbox(frame.image, self._size), frame.time))
        except BrokenPipeError as error:
            self._closed = True
            raise SinkClosed("the program that reads the pipe has closed it") from error
        except (av.FFmpegError, OSError) as error:
            self._closed = True
            raise SinkError("cannot write to the pipe") from error

    def _open(self, size: tuple[int, int]) -> av.container.OutputContainer:
        """Write the header for frames of a (width, height) to stdout."""
        sys.stdout.flush()
        # A separate file descriptor, unbuffered because FFmpeg writes whole frames.
        self._out = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
        options = {"flush_packets": "1"}
        container = av.open(_CompleteWrites(self._out), "w", _Y4M.format, container_options=options)
        self._encoder = VideoEncoder(
            container, _Y4M, size, fps=self._fps, time_base=Fraction(1, 90_000), colour=Colour()
        )
        container.start_encoding()
        self._container = container
        return container

    def close(self, *, finished: bool = True) -> None:
        """Write the end of the stream. Safe to call twice."""
        container, self._container, self._closed = self._container, None, True
        if container is None:
            return
        # If the reader has closed the pipe, write() has reported it.
        with suppress(av.FFmpegError, OSError):
            container.close()
        self._out.close()


class _CompleteWrites:
    """Repeats writes until all data are written, because one write to a pipe may be partial."""

    def __init__(self, file: RawIOBase) -> None:
        self._file = file

    def write(self, data: bytes) -> int:
        left = memoryview(data)
        while left:
            left = left[self._file.write(left) or 0 :]
        return len(data)
