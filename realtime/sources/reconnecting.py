"""Keeps a live source alive: watches it, and opens it again when it is lost, for ever.

Each connection is opened and read by a thread of its own, which frees it too; here only its newest
frame is taken. Nothing here waits but `get`, and that no longer than it is told, so whoever shows
the frames can show the state as well. A connection whose thread does not end, for a driver hangs,
is waited for: a second one would find the device in use.

Nothing is put in place of pictures that do not come. The first frame of a new connection carries a
new epoch, by which the magnifier starts afresh.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from rtmag.realtime.errors import SourceUnavailable
from rtmag.realtime.frame import Frame, Image
from rtmag.realtime.log import logger, redact
from rtmag.realtime.sources.latest import LatestFrames
from rtmag.realtime.sources.retry import Backoff, Patience
from rtmag.realtime.sources.source import Closing, FrameSource, State, Status

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


OnStatus = Callable[[Status], None]
"""Told of every new state in place of the log, from the thread that takes the frames."""

_TICK = 0.25

_ABSENT = 1.0
"""Seconds between looks at the source beyond which it cannot be blamed for having been silent."""

_WAKING = 10.0
"""Seconds after a sleep within which a source may turn out to be lost by it."""

_OPENING = 3
"""Opening may take so many times as long as a picture."""


class Supervisor(Closing):
    """A live source that comes back. An iterator of the newest frames; `get` as of LatestFrames.

    Args:
        opener: opens the source; called anew for each connection, in another thread.
        camera: exact repeats of a picture are no pictures: noise forbids them, drivers make them
            when a camera is gone. A picture that is still the same after the camera was opened
            again is believed.
        on_status: told of every new state.
        patience: how long to wait for what.

    Raises:
        SourceUnavailable: the first connection fails. Later ones are tried for ever.
    """

    live = True
    frames: int | None = None

    def __init__(
        self,
        opener: Callable[[], FrameSource],
        *,
        camera: bool = False,
        on_status: OnStatus | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.on_status = on_status
        self._opener, self._camera = opener, camera
        self._patience = patience or Patience()
        self._closed = self._still = False
        self._damaged = 0
        self._backoff = Backoff(self._patience)
        self._retry, self._woke, self._slept = 0.0, -math.inf, 0.0
        self._leaving: Connection | None = None
        self._numbering = Numbering()
        self._picture: Image | None = None
        self._seen = self._polled = self._began = time.monotonic()
        self._status = Status("CONNECTING", self._seen)
        self._connection: Connection | None = Connection(opener)
        self._ready: Frame | None = self._first()
        source = self._connection.source
        assert source is not None
        self.name, self.size = source.name, source.size

    def _first(self) -> Frame:
        """The first frame, waited for in steps that Ctrl-C can break."""
        connection = self._connection
        assert connection is not None
        try:
            while not connection.ended:
                frame = connection.get(_TICK)
                if frame is not None:
                    return frame
            raise SourceUnavailable("the source has no picture")
        except BaseException as error:
            connection.leave()
            self._enter("FAILED", str(error), time.monotonic())
            raise

    @property
    def status(self) -> Status:
        """How the source is doing."""
        connection = self._connection
        damaged = getattr(connection.source, "damaged", 0) if connection else 0
        return replace(self._status, errors=self._damaged + damaged)

    @property
    def refused(self) -> tuple[str, ...]:
        """What a camera goes on doing by itself though it was asked not to."""
        return getattr(self._connection and self._connection.source, "refused", ())

    @property
    def fps(self) -> float | None:
        """Frames per second as measured; None while unknown."""
        source = self._connection.source if self._connection else None
        return source.fps if source is not None else None

    @property
    def ended(self) -> bool:
        """True once the source has ended of itself, or was closed."""
        return self._closed or self._status.state in ("ENDED", "FAILED")

    def __iter__(self) -> Iterator[Frame]:
        """Yield the newest frame each time, until the end or close()."""
        while not self.ended:
            frame = self.get(_TICK)
            if frame is not None:
                yield frame

    def get(self, timeout: float) -> Frame | None:
        """The newest frame, or None when none came within `timeout` seconds."""
        if self.ended:
            return None
        began = time.monotonic()
        self._awake(began, began - self._polled)
        frame = self._taken(timeout)
        now = self._polled = time.monotonic()
        self._awake(now, now - began - timeout)
        if frame is not None and not self._repeats(frame):
            self._run(now)
            return self._numbering.continued(frame)
        if self._connection is not None:
            self._watch(now)
        elif now >= self._retry and not self.ended:
            self._connect(now)
        if frame is not None and self._status.state != "RUNNING":
            # A dead camera's repeats come as often as its pictures did; nobody need look so often.
            time.sleep(max(0.0, began + timeout - now))
        return None

    def close(self) -> None:
        """Free the source."""
        self._closed = True
        if self._connection is not None:
            self._connection.close()

    def _awake(self, now: float, absent: float) -> None:
        """Who was stopped or asleep knows nothing of the source's life meanwhile."""
        if absent > _ABSENT:
            self._seen = self._woke = self._retry = now
            self._slept = absent

    def _taken(self, timeout: float) -> Frame | None:
        if self._connection is None:
            time.sleep(timeout)
            return None
        # The first frame has waited until somebody asked; a newer one has come meanwhile, mostly.
        ready, self._ready = self._ready, None
        try:
            frame = self._connection.get(0 if ready else timeout) or ready
        except Exception as error:  # whatever a driver or a library does, the source may come back
            self._lose(str(error) or type(error).__name__)
            return None
        if frame is None and self._connection.ended and not self._closed:
            self._enter("ENDED", "", time.monotonic())
        return frame

    def _repeats(self, frame: Frame) -> bool:
        before = self._picture
        same = before is not None and np.array_equal(frame.image, before)
        self._picture = frame.image if self._camera else None
        if same and self._status.state == "RECONNECTING":
            self._still = True
        return same and not self._still

    def _run(self, now: float) -> None:
        """A picture came."""
        self._seen = now
        if self._status.state == "RECONNECTING":
            self._status = replace(self._status, reconnects=self._status.reconnects + 1)
        if self._status.state != "RUNNING":
            self._began = now
            self._enter("RUNNING", "", now)
        elif now - self._began > self._patience.healthy:
            self._backoff.reset()

    def _watch(self, now: float) -> None:
        """No picture came."""
        assert self._connection is not None
        quiet = now - max(self._seen, self._began)
        if quiet > self._longest(now):
            self._lose(f"no new picture for {quiet:.0f} s")
        elif self._status.state == "RUNNING" and quiet > self._patience.stalled:
            self._status = replace(self._status, stalls=self._status.stalls + 1)
            self._enter("STALLED", "no new picture", self._seen)

    def _longest(self, now: float) -> float:
        """Seconds that the connection may be without a picture."""
        assert self._connection is not None
        lost, fps = self._patience.lost, self.fps
        if self._connection.source is None:
            return _OPENING * lost
        if fps and self._slept > lost and now - self._woke < _WAKING:
            return min(lost, max(self._patience.woken, 3 / fps))
        return lost

    def _lose(self, words: str) -> None:
        """Give the connection up, and set the time of the next try."""
        now = time.monotonic()
        # Servers drop those who sleep: that is no failed try, after which one would have to wait,
        # nor a device in use: what still waits for the old connection may do so beside the new.
        woken, self._woke = now - self._woke < self._patience.stalled, -math.inf
        if self._connection is not None:
            self._connection.leave()
            self._damaged += getattr(self._connection.source, "damaged", 0)
            self._leaving = None if woken and not self._camera else self._connection
            self._connection = None
        self._retry = now if woken else now + self._backoff.delay(now - self._seen)
        self._enter("RECONNECTING", words, self._seen)

    def _connect(self, now: float) -> None:
        if self._leaving is not None and self._leaving.alive:
            return
        self._leaving = None
        self._began = now
        self._numbering.interrupted()
        self._connection = Connection(self._opener)

    def _enter(self, state: State, words: str, since: float) -> None:
        words = redact(words)
        before = self._status
        self._status = replace(before, state=state, since=since, words=words or before.words)
        if (before.state, before.words) == (state, self._status.words):
            return  # another try that failed as the last one did
        if self.on_status is not None:
            self.on_status(self._status)
        elif state != "FAILED":  # which is raised
            log = logger().info if state in ("RUNNING", "ENDED") else logger().warning
            log("%s: %s%s", getattr(self, "name", "source"), state, f" ({words})" if words else "")
