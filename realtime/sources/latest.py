"""The newest frame of a live source, passed from a reader thread to the consumer.

The reader thread takes every frame, so the queue of the device stays empty and the delay cannot
grow. The consumer gets the newest frame. A frame that is replaced before the consumer takes it
counts as dropped. Files are iterated directly, because none of their frames may be dropped.
"""

import threading
from collections.abc import Iterator
from typing import Generic, TypeVar

from rtmag.realtime.frame import Frame
from rtmag.realtime.sources.source import Closeable, FrameSource

_JOIN_SECONDS = 2.0
"""Seconds that close() waits for the reader thread, which is a daemon: its driver may hang."""

T = TypeVar("T")


class LatestSlot(Generic[T]):
    """Slot for one item between two threads; a newer item replaces one that was not taken."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: T | None = None
        self._error: BaseException | None = None
        self._ended = False
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """Number of items that were replaced before they were taken."""
        with self._changed:
            return self._dropped

    @property
    def ended(self) -> bool:
        """True if the slot is closed and empty, and no error is left to raise."""
        with self._changed:
            return self._ended and self._item is None and self._error is None

    def put(self, item: T) -> bool:
        """Offer an item; returns False if the slot is closed, so the producer may stop."""
        with self._changed:
            if self._ended:
                return False
            self._dropped += self._item is not None
            self._item = item
            self._changed.notify_all()
            return True

    def get(self, timeout: float) -> T | None:
        """Return the newest item; None if none came within `timeout` seconds or the slot ended.

        Raises the producer's error once, after the last item was taken.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None or self._ended, timeout)
            item, self._item = self._item, None
            if item is None and self._error is not None:
                error, self._error = self._error, None
                try:
                    raise error
                finally:
                    del error  # its traceback refers to this call, and so to the failed source
            return item

    def close(self, error: BaseException | None = None) -> None:
        """Accept no more items; only the first call has an effect.

        Args:
            error: raised by get() after the last item.
        """
        with self._changed:
            if not self._ended:
                self._ended, self._error = True, error
                self._changed.notify_all()


class LatestFrames(Closeable):
    """The newest frames of a live source, read by a separate thread; a context manager."""

    def __init__(self, source: FrameSource) -> None:
        self._source = source
        self._start()

    def _start(self) -> None:
        self._slot: LatestSlot[Frame] = LatestSlot()
        self._thread = threading.Thread(target=self._read, name="rtmag reader", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Number of frames that were replaced by newer ones before they were taken."""
        return self._slot.dropped

    @property
    def ended(self) -> bool:
        """True if the source has ended and its last frame was taken."""
        return self._slot.ended

    def get(self, timeout: float) -> Frame | None:
        """Return the newest frame, or None if none came in time; raises the source's error."""
        return self._slot.get(timeout)

    def __iter__(self) -> Iterator[Frame]:
        """Yield the newest frame repeatedly until the source ends."""
        while not self.ended:
            # The wait is bounded, because Windows delivers Ctrl-C only between waits.
            frame = self._slot.get(0.25)
            if frame is not None:
                yield frame

    def close(self) -> None:
        """Stop reading."""
        self._slot.close()
        self._thread.join(_JOIN_SECONDS)

    @property
    def alive(self) -> bool:
        """True if the thread still runs; then the device may still be in use."""
        return self._thread.is_alive()

    def _frames(self) -> Iterator[Frame]:
        return iter(self._source)

    def _read(self) -> None:
        """Put all frames of the source into the slot; runs in the reader thread."""
        try:
            for frame in self._frames():
                if not self._slot.put(frame):
                    break
        except BaseException as error:
            self._slot.close(error)
        else:
            self._slot.close()


def newest(source: FrameSource) -> LatestFrames | FrameSource:
    """Return an iterator of the newest frames: the source itself if it can be polled."""
    return source if source.polled is not None else LatestFrames(source)
