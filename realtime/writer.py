"""A recording written by a thread of its own: the live picture never waits for encoder or disk.

What the encoder has no time for is left out of the recording and counted; the picture goes on. The
queue is short, because frames in it are lost when the process is killed.
"""

import queue
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from rtmag.realtime.errors import SinkError, SinkUnavailable
from rtmag.realtime.frame import Frame
from rtmag.realtime.recorder import VideoSink

LEAST_FREE = 500_000_000
"""Bytes that a recording leaves free on its disk."""

_WAITING = 8
_LOOK_EVERY = 1.0


class Writer:
    """Passes frames on to a video file, without waiting for it.

    Args:
        sink: closed by the writer, also when it fails.
        ended: told where the video is, and how many frames were left out, once it is closed.

    Raises:
        SinkUnavailable: less than `LEAST_FREE` is free where it lies.
    """

    def __init__(
        self, sink: VideoSink, ended: Callable[[Path, int], None] = lambda path, dropped: None
    ) -> None:
        self.dropped = 0
        """Frames left out because the encoder was behind."""
        self._sink, self._ended = sink, ended
        self._queue: queue.Queue[Frame | None] = queue.Queue(_WAITING)
        self._error: BaseException | None = None
        self._finished = True
        if self._free() < LEAST_FREE:
            sink.close(finished=False)
            raise SinkUnavailable(f"cannot record {str(sink.path)!r}: {_little()}")
        self._thread = threading.Thread(target=self._work, name="rtmag writer", daemon=True)
        self._thread.start()

    def write(self, frame: Frame) -> None:
        """Take a frame, or leave it out; raises what the file raised since the last call."""
        self._raise()
        try:
            self._queue.put_nowait(frame)
        except queue.Full:
            self.dropped += 1

    def close(self, *, finished: bool = True) -> None:
        """Write what waits and end the file; raises what the file raised."""
        self._finished = self._finished and finished
        while self._thread.is_alive():  # in short waits, because Windows delivers Ctrl-C between
            with suppress(queue.Full):
                self._queue.put_nowait(None)
            self._thread.join(0.05)
        self._raise()

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _work(self) -> None:
        try:
            try:
                self._write_all()
            except BaseException:
                self._finished = False
                raise
            finally:
                self._sink.close(finished=self._finished)
                if self._sink.path_written is not None:
                    self._ended(self._sink.path_written, self.dropped)
        except BaseException as error:
            self._error = error

    def _write_all(self) -> None:
        looked = time.monotonic()
        while (frame := self._queue.get()) is not None:
            if time.monotonic() - looked > _LOOK_EVERY:
                looked = time.monotonic()
                if self._free() < LEAST_FREE:
                    self._sink.close()
                    raise SinkError(f"recording ended: {_little()}; it is {str(self._sink.path)!r}")
            self._sink.write(frame)

    def _free(self) -> int:
        return shutil.disk_usage(self._sink.path.absolute().parent).free


def _little() -> str:
    return f"less than {LEAST_FREE // 1_000_000} MB are free on its disk"
