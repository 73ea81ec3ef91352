"""The newest frame only: how a live source is read without its delay ever growing.

A reader thread keeps taking frames, so that the device's own queue stays empty; the consumer finds
the newest one and never an older. What was overwritten unseen counts as dropped. Files are iterated
directly instead: nothing may be lost there.
"""

import threading
from collections.abc import Iterator
from typing import Generic, TypeVar

from rtmag.realtime.frame import Frame
from rtmag.realtime.sources.source import Closing, FrameSource, Polled

T = TypeVar("T")


class LatestSlot(Generic[T]):
    """Room for one item between two threads: a newer item replaces one not yet taken."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: T | None = None
        self._error: BaseException | None = None
        self._ended = False
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """How many items were replaced before anyone took them."""
        with self._changed:
            return self._dropped

    @property
    def ended(self) -> bool:
        """True once no item is left and none will come; a failure not yet raised counts as one."""
        with self._changed:
            return self._ended and self._item is None and self._error is None

    def put(self, item: T) -> bool:
        """Offer an item; False when the slot has been closed and the producer may stop."""
        with self._changed:
            if self._ended:
                return False
            self._dropped += self._item is not None
            self._item = item
            self._changed.notify_all()
            return True

    def get(self, timeout: float) -> T | None:
        """The newest item, or None when none came within `timeout` seconds or the slot has ended.

        Raises the producer's error, once, after the last item before it was taken.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None or self._ended, timeout)
            item, self._item = self._item, None
            if item is None and self._error is not None:
                error, self._error = self._error, None
                try:
                    raise error
                finally:
                    del error  # its traceback holds this frame, and the source that failed
            return item

    def close(self, error: BaseException | None = None) -> None:
        """Let no more items in; `error` is what the consumer is told. The first call counts."""
        with self._changed:
            if not self._ended:
                self._ended, self._error = True, error
                self._changed.notify_all()


class LatestFrames(Closing):
    """The newest frames of a live source, read by a thread of its own; a context manager."""

    def __init__(self, source: FrameSource) -> None:
        self._source = source
        self._start()

    def _start(self) -> None:
        self._slot: LatestSlot[Frame] = LatestSlot()
        self._thread = threading.Thread(target=self._read, name="rtmag reader", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Frames that came and were replaced by newer ones before they were taken."""
        return self._slot.dropped

    @property
    def ended(self) -> bool:
        """True once the source has ended and every frame was taken."""
        return self._slot.ended

    def get(self, timeout: float) -> Frame | None:
        """The newest frame, or None when none came in time; raises what the source raised."""
        return self._slot.get(timeout)

    def __iter__(self) -> Iterator[Frame]:
        """Yield the newest frame each time, until the source ends."""
        while not self.ended:
            # A bounded wait, because Windows delivers Ctrl-C only between waits.
            frame = self._slot.get(0.25)
            if frame is not None:
                yield frame

    def close(self) -> None:
        """Stop reading. A driver that never returns is left behind in its daemon thread."""
        self._slot.close()
        self._thread.join(2.0)

    @property
    def alive(self) -> bool:
        """Whether the thread still runs, and the device may be in use."""
        return self._thread.is_alive()

    def _frames(self) -> Iterator[Frame]:
        return iter(self._source)

    def _read(self) -> None:
        try:
            for frame in self._frames():
                if not self._slot.put(frame):
                    break
        except BaseException as error:
            self._slot.close(error)
        else:
            self._slot.close()


def newest(source: FrameSource) -> LatestFrames | FrameSource:
    """What yields the newest frames of a live source: itself, where it can."""
    return source if isinstance(source, Polled) else LatestFrames(source)
