"""Frames for another program: uncompressed Y4M on stdout, as players and FFmpeg read it."""

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
from rtmag.realtime.sinks.sink import BaseSink, letterboxed

STDOUT = "-"
"""The name of an output that is no file."""

_Y4M = FileType("yuv4mpegpipe", (Codec("wrapped_avframe", {}, odd="yuv444p"),), constant_rate=True)


class PipeSink(BaseSink):
    """Writes Y4M to stdout: pictures at an even rate, without their time stamps.

    Args:
        fps: said in the header.
        size: (width, height); that of the first frame by default. Other frames are fitted into it.

    Raises:
        OptionError: stdout is a terminal, which pictures would only confuse.
    """

    def __init__(self, *, fps: float, size: tuple[int, int] | None = None) -> None:
        if sys.stdout.isatty():
            raise OptionError("-o - passes pictures on: pipe them to a program or > FILE.y4m")
        self._fps, self._size = fps, size
        self._container: av.container.OutputContainer | None = None
        self._closed = False

    def write(self, frame: Frame) -> None:
        """Pass one frame on; waits while the reader is busy.

        Raises:
            SinkClosed: the reader has closed its end.
        """
        if self._closed:
            raise SinkError("cannot write to the pipe: it is closed")
        self._size = self._size or frame.size
        try:
            container = self._container or self._open(self._size)
            container.mux(self._encoder.encode(letterboxed(frame.image, self._size), frame.time))
        except BrokenPipeError as error:
            self._closed = True
            raise SinkClosed("nobody reads the pipe") from error
        except (av.FFmpegError, OSError) as error:
            self._closed = True
            raise SinkError("cannot write to the pipe") from error

    def _open(self, size: tuple[int, int]) -> av.container.OutputContainer:
        sys.stdout.flush()
        # A descriptor of its own, unbuffered: FFmpeg's writes are whole frames already.
        self._out = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
        options = {"flush_packets": "1"}
        container = av.open(_Whole(self._out), "w", _Y4M.format, container_options=options)
        self._encoder = VideoEncoder(
            container, _Y4M, size, fps=self._fps, time_base=Fraction(1, 90_000), colour=Colour()
        )
        container.start_encoding()
        self._container = container
        return container

    def close(self, *, finished: bool = True) -> None:
        """End the stream; what was written is whole."""
        container, self._container, self._closed = self._container, None, True
        if container is None:
            return
        with suppress(av.FFmpegError, OSError):  # the reader has left, as write() said
            container.close()
        self._out.close()


class _Whole:
    """Writes all of what it is given, which an unbuffered pipe may not do at once."""

    def __init__(self, file: RawIOBase) -> None:
        self._file = file

    def write(self, data: bytes) -> int:
        left = memoryview(data)
        while left:
            left = left[self._file.write(left) or 0 :]
        return len(data)
