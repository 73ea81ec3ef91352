"""A sink in a thread of its own: the live picture never waits for an encoder, a disk or a reader.

What the sink has no time for is left out of it and counted; the picture goes on. The queue is
short, because frames in it are lost when the process is killed. Files, which wait, have one frame
encoded while the next is magnified.
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
from rtmag.realtime.sinks.sink import Sink

LEAST_FREE = 500_000_000
"""Bytes that a recording leaves free on its disk."""

_WAITING = 8

_AHEAD = 2
"""Frames that wait where none is left out: enough to overlap, and large ones take memory."""

_LOOK_EVERY = 1.0


class Writer:
    """Passes frames on to a sink, without waiting for it.

    Args:
        sink: closed by the writer, also when it fails.
        check: called each second; when it raises SinkError, the sink is finished early.
        ended: told how many frames were left out, once the sink is closed and whole.
        patience: seconds that close() waits for a sink that may never be done; None: until it is.
        whole: leave nothing out, but wait: for sources that wait, too.
        name: of the file, for a person.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        check: Callable[[], None] = lambda: None,
        ended: Callable[[int], None] = lambda dropped: None,
        patience: float | None = None,
        whole: bool = False,
        name: str = "",
    ) -> None:
        self.name = name
        self.dropped = 0
        """Frames left out because the sink was behind."""
        self._sink, self._check, self._ended, self._patience = sink, check, ended, patience
        self._whole = whole
        self._queue: queue.Queue[Frame | None] = queue.Queue(_AHEAD if whole else _WAITING)
        self._error: BaseException | None = None
        self._finished = True
        self._thread = threading.Thread(target=self._work, name="rtmag writer", daemon=True)
        self._thread.start()

    def write(self, frame: Frame) -> None:
        """Take a frame, or leave it out; raises what the file raised since the last call."""
        self._raise()
        while True:
            try:
                self._queue.put(frame, self._whole, 0.05)
            except queue.Full:
                if self._whole and self._thread.is_alive():
                    continue
                self.dropped += 1
            return

    def close(self, *, finished: bool = True) -> None:
        """Write what waits and end the sink; raises what the sink raised."""
        self._finished = self._finished and finished
        # A file of which nothing is left out keeps its end, too, when Ctrl-C comes meanwhile.
        with deferred() if self._whole and self._patience is None else nullcontext():
            self._wait()
        self._raise()

    def _wait(self) -> None:
        began = time.monotonic()
        while self._thread.is_alive():  # in short waits, because Windows delivers Ctrl-C between
            if self._patience is not None and time.monotonic() - began > self._patience:
                return
            with suppress(queue.Full):
                self._queue.put_nowait(None)
            self._thread.join(0.05)

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
            if self._finished:
                self._ended(self.dropped)
        except BaseException as error:
            self._error = error

    def _write_all(self) -> None:
        looked = time.monotonic()
        while (frame := self._queue.get()) is not None:
            if time.monotonic() - looked > _LOOK_EVERY:
                looked = time.monotonic()
                self._look()
            self._sink.write(frame)

    def _look(self) -> None:
        try:
            self._check()
        except SinkError:
            self._sink.close()  # whole, while that is still possible
            self._ended(self.dropped)
            raise


def check_space(path: Path) -> None:
    """Leave others room on the disk where a recording lies.

    Raises:
        SinkUnavailable: less than `LEAST_FREE` is free there.
    """
    if shutil.disk_usage(path.absolute().parent).free < LEAST_FREE:
        raise SinkUnavailable(
            f"cannot record to {str(path)!r} any more: "
            f"less than {LEAST_FREE // 1_000_000} MB are free on its disk"
        )
