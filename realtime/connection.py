"""One connection of a source that is opened again and again, and what makes many look like one."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

from rtmag.realtime.frame import Frame
from rtmag.realtime.slot import LatestFrames
from rtmag.realtime.sources import FrameSource

_PATIENCE = 1.0
"""Seconds to wait at the end for a thread; one that hangs is left behind."""


class Connection(LatestFrames):
    """A source that is opened, read and freed by a thread of its own."""

    def __init__(self, opener: Callable[[], FrameSource]) -> None:
        self.source: FrameSource | None = None
        """Once it is open."""
        self._opener = opener
        self._start()

    def _frames(self) -> Iterator[Frame]:
        with self._opener() as source:
            self.source = source
            yield from source

    def leave(self) -> None:
        """Ask the thread to end, without waiting."""
        self._slot.close()

    def close(self) -> None:
        """Ask the thread to end, and wait a moment for it."""
        self.leave()
        if self.source is not None:
            self.source.close()
        self._thread.join(_PATIENCE)


class Numbering:
    """Numbers and times the frames of several connections as those of one source."""

    def __init__(self) -> None:
        self._next = self._shift = self._epoch = 0
        self._time = -math.inf
        self._inner: int | None = None

    def interrupted(self) -> None:
        """What comes next is of another connection."""
        self._inner = None

    def continued(self, frame: Frame) -> Frame:
        """The frame, numbered from 0 without a gap between connections, in increasing time."""
        if self._inner is None:
            self._shift = self._next - frame.index
        if frame.epoch != self._inner:
            self._inner, self._epoch = frame.epoch, self._epoch + 1
        self._next = frame.index + self._shift + 1
        self._time = max(frame.time, math.nextafter(self._time, math.inf))
        return replace(frame, index=self._next - 1, time=self._time, epoch=self._epoch)
