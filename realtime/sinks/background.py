"""A sink in a separate thread, so that a slow encoder, disk or reader cannot delay a view.

Frames are dropped and counted while the queue is full. The queue is short, because its frames are
lost when the process is killed. For files no frame is dropped: one frame is encoded while the next
one is magnified.
"""

import queue
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path

from rtmag.realtime.errors import SinkError, SinkUnavailable
from rtmag.realtime.frame import Frame
from rtmag.realtime.signals import deferred
from rtmag.realtime.sinks.sink import BaseSink, Sink

LEAST_FREE = 500_000_000
"""Bytes that must stay free on the disk of a recording."""

_QUEUE_LENGTH = 8
"""Largest number of frames in the queue if frames may be dropped."""

_QUEUE_LENGTH_WHOLE = 2
"""The same if no frame may be dropped: enough for both threads to work at the same time."""

_CHECK_INTERVAL = 1.0
"""Seconds between two calls of `check`."""


class BackgroundSink(BaseSink):
    """Passes frames to another sink in a separate thread.

    Args:
        sink: the other sink; this object closes it, also after an error.
        check: called once per second; when it raises SinkError, the sink is finished early.
        on_end: called with the number of dropped frames after the sink was closed and its output is
            complete.
        close_timeout: seconds that close() waits for a sink that may hang; None: without a limit.
        whole: True to wait for the sink instead of dropping frames.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        check: Callable[[], None] = lambda: None,
        on_end: Callable[[int], None] = lambda dropped: None,
        close_timeout: float | None = None,
        whole: bool = False,
    ) -> None:
        self.name = sink.name
        self.dropped = 0
        self._sink, self._check, self._on_end = sink, check, on_end
        self._close_timeout, self._whole = close_timeout, whole
        length = _QUEUE_LENGTH_WHOLE if whole else _QUEUE_LENGTH
        self._queue: queue.Queue[Frame | None] = queue.Queue(length)
        self._error: BaseException | None = None
        self._finished = True
        self._thread = threading.Thread(target=self._work, name="rtmag writer", daemon=True)
        self._thread.start()

    def write(self, frame: Frame) -> None:
        """Queue or drop a frame; raises an error that the sink raised since the last call."""
        self._raise_error()
        while True:
            try:
                self._queue.put(frame, self._whole, 0.05)
            except queue.Full:
                if self._whole and self._thread.is_alive():
                    continue
                self.dropped += 1
            return

    def close(self, *, finished: bool = True) -> None:
        """Write the queued frames and close the sink; raises an error that the sink raised."""
        self._finished = self._finished and finished
        # A file without dropped frames must be complete, even if Ctrl-C comes while it is closed.
        with deferred() if self._whole and self._close_timeout is None else nullcontext():
            self._join()
        self._raise_error()

    def _join(self) -> None:
        """Wait until the queue is written and the thread has ended, or for the timeout."""
        start, limit = time.monotonic(), self._close_timeout
        while self._thread.is_alive():  # short waits: Windows delivers Ctrl-C between them
            if limit is not None and time.monotonic() - start > limit:
                return
            with suppress(queue.Full):
                self._queue.put_nowait(None)
            self._thread.join(0.05)

    def _raise_error(self) -> None:
        """Raise the error of the writing thread, if there is a new one."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _work(self) -> None:
        """Write frames until the end and close the sink; its error is kept for `_raise_error`."""
        try:
            try:
                self._write_all()
            except BaseException:
                self._finished = False
                raise
            finally:
                self._sink.close(finished=self._finished)
            if self._finished:
                self._on_end(self.dropped)
        except BaseException as error:
            self._error = error

    def _write_all(self) -> None:
        checked_at = time.monotonic()
        while (frame := self._queue.get()) is not None:
            if time.monotonic() - checked_at > _CHECK_INTERVAL:
                checked_at = time.monotonic()
                self._run_check()
            self._sink.write(frame)

    def _run_check(self) -> None:
        """Call `check`; if it raises SinkError, finish the output early and raise it again."""
        try:
            self._check()
        except SinkError:
            self._sink.close()  # while there is still space to finish the file
            self._on_end(self.dropped)
            raise


def check_space(path: Path) -> None:
    """Check that the disk of a recording has space left for other programs.

    Raises:
        SinkUnavailable: less than `LEAST_FREE` bytes are free.
    """
    if shutil.disk_usage(path.absolute().parent).free < LEAST_FREE:
        raise SinkUnavailable(
            f"cannot record to {str(path)!r} any more: "
            f"less than {LEAST_FREE // 1_000_000} MB are free on its disk"
        )
