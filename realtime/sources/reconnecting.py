"""A live source that monitors its connection and opens it again when it is lost.

Each connection is opened, read and freed by a separate thread; the main object takes only the
newest frame from it. The only method that waits is `get`, and never longer than its timeout, so a
view can show the state during an outage. If the driver of a lost camera hangs, its thread does not
end and the camera is still in use. It is opened again only after that thread has ended.

No frames are returned during an outage. The first frame of a new connection has a new epoch, which
makes the magnifier start again.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from rtmag.realtime.errors import SourceLost, SourceUnavailable
from rtmag.realtime.frame import Frame, Image
from rtmag.realtime.log import logger, redact
from rtmag.realtime.sources.latest import LatestFrames
from rtmag.realtime.sources.retry import Backoff, RetryPolicy
from rtmag.realtime.sources.source import (
    BaseSource,
    FrameSource,
    OnStatus,
    PolledSource,
    SourceState,
    Status,
)

_JOIN_SECONDS = 1.0
"""Seconds that close() waits for the reader thread, which may hang."""

_TICK = 0.25
"""Timeout, in seconds, of one poll while the frames are iterated."""

_SUSPENDED = 1.0
"""Seconds between two polls above which the process counts as suspended.

The silence of the source in that time does not count as an outage.
"""

_AFTER_RESUME = 10.0
"""Seconds after a suspension in which `reconnect_after_sleep` applies."""


class Connection(LatestFrames):
    """One connection, opened, read and freed by a separate thread."""

    def __init__(self, opener: Callable[[], FrameSource]) -> None:
        self.source: FrameSource | None = None
        """The source; None until it is open."""
        self._opener = opener
        self._start()

    @property
    def damaged(self) -> int:
        """Number of damaged packets and pictures of this connection."""
        return 0 if self.source is None else self.source.damaged

    def _frames(self) -> Iterator[Frame]:
        with self._opener() as source:
            self.source = source
            yield from source

    def request_close(self) -> None:
        """Ask the thread to end, without waiting for it."""
        self._slot.close()

    def close(self) -> None:
        """Ask the thread to end, and wait a moment for it."""
        self.request_close()
        if self.source is not None:
            self.source.close()
        self._thread.join(_JOIN_SECONDS)


class Renumberer:
    """Numbers the frames of several connections as the frames of one source."""

    def __init__(self) -> None:
        self._next = self._shift = self._epoch = 0
        self._time = -math.inf
        self._source_epoch: int | None = None

    def start_connection(self) -> None:
        """Take the next frame as the first of another connection."""
        self._source_epoch = None

    def renumber(self, frame: Frame) -> Frame:
        """Return the frame with a new index, time and epoch.

        Indices start at 0 and have no gaps between connections. Each time is later than the
        previous one. The epoch rises with each connection.
        """
        if self._source_epoch is None:
            self._shift = self._next - frame.index
        if frame.epoch != self._source_epoch:
            self._source_epoch, self._epoch = frame.epoch, self._epoch + 1
        self._next = frame.index + self._shift + 1
        self._time = max(frame.time, math.nextafter(self._time, math.inf))
        return replace(frame, index=self._next - 1, time=self._time, epoch=self._epoch)


class ReconnectingSource(BaseSource):
    """A live source that reconnects when it is lost.

    It is an iterator of the newest frames; `get` returns the newest frame within a timeout.

    Args:
        opener: opens the source; called in another thread for each connection.
        camera: True to ignore a picture that equals the previous one. Noise makes equal pictures
            impossible, but some drivers repeat the last picture after the camera was unplugged. If
            pictures still repeat after the camera was opened again, they are accepted.
        on_status: called with each new status; None: the status is logged.
        policy: timeouts and delays.

    Raises:
        SourceUnavailable: the first connection fails. Later attempts are repeated without a limit.
        SourceLost: by `get` and the iteration, if a file on a server was cut off.
    """

    live = True

    def __init__(
        self,
        opener: Callable[[], FrameSource],
        *,
        camera: bool = False,
        on_status: OnStatus | None = None,
        policy: RetryPolicy | None = None,
    ) -> None:
        self.on_status = on_status
        self.name = "source"
        self._opener, self._camera = opener, camera
        self._policy = policy or RetryPolicy()
        self._closed = self._repeats_accepted = False
        self._damaged_before = 0
        self._backoff = Backoff(self._policy)
        self._retry_at, self._resumed_at, self._suspended_for = 0.0, -math.inf, 0.0
        self._abandoned: Connection | None = None
        self._renumberer = Renumberer()
        self._last_image: Image | None = None
        self._last_frame_at = self._polled_at = self._began_at = time.monotonic()
        self._status = Status("CONNECTING", self._last_frame_at)
        self._connection: Connection | None = Connection(opener)
        self._first_frame: Frame | None = self._wait_for_first_frame()
        source = self._connection.source
        assert source is not None
        self.name, self.size = source.name, source.size
        self.sample_aspect = source.sample_aspect

    def _wait_for_first_frame(self) -> Frame:
        """Wait for the first frame, in short steps so that Ctrl-C can interrupt the wait."""
        connection = self._connection
        assert connection is not None
        try:
            while not connection.ended:
                frame = connection.get(_TICK)
                if frame is not None:
                    return frame
            raise SourceUnavailable("the source has no picture")
        except BaseException as error:
            connection.request_close()
            self._enter("FAILED", str(error), time.monotonic())
            raise

    @property
    def damaged(self) -> int:
        """Number of damaged packets and pictures of all connections."""
        return self._damaged_before + (self._connection.damaged if self._connection else 0)

    @property
    def status(self) -> Status:
        """Current state of the source."""
        return replace(self._status, errors=self.damaged)

    @property
    def refused(self) -> tuple[str, ...]:
        """Names of the automatic functions that the camera refused to turn off."""
        source = self._source
        return () if source is None else source.refused

    @property
    def polled(self) -> PolledSource:
        """This source itself."""
        return self

    @property
    def fps(self) -> float | None:
        """Measured frames per second; None while unknown."""
        source = self._source
        return None if source is None else source.fps

    @property
    def _source(self) -> FrameSource | None:
        return self._connection.source if self._connection else None

    @property
    def ended(self) -> bool:
        """True if the source has ended or was closed."""
        return self._closed or self._status.state in ("ENDED", "FAILED")

    def __iter__(self) -> Iterator[Frame]:
        """Yield the newest frame repeatedly, until the end or close()."""
        while not self.ended:
            frame = self.get(_TICK)
            if frame is not None:
                yield frame

    def get(self, timeout: float) -> Frame | None:
        """Return the newest frame, or None if none came within `timeout` seconds."""
        if self.ended:
            return None
        start = time.monotonic()
        self._check_suspension(start, start - self._polled_at)
        frame = self._take(timeout)
        now = self._polled_at = time.monotonic()
        self._check_suspension(now, now - start - timeout)
        if frame is not None and not self._is_repeat(frame):
            self._note_frame(now)
            return self._renumberer.renumber(frame)
        if self._connection is not None:
            self._check_silence(now)
        elif now >= self._retry_at and not self.ended:
            self._connect(now)
        if frame is not None and self._status.state != "RUNNING":
            # A dead camera repeats its picture at the full rate; do not poll it that often.
            time.sleep(max(0.0, start + timeout - now))
        return None

    def close(self) -> None:
        """Free the source."""
        self._closed = True
        if self._connection is not None:
            self._connection.close()

    def _check_suspension(self, now: float, gap: float) -> None:
        """Restart all timers if the process was stopped or asleep."""
        if gap > _SUSPENDED:
            self._last_frame_at = self._resumed_at = self._retry_at = now
            self._suspended_for = gap

    def _take(self, timeout: float) -> Frame | None:
        """Return the newest frame of the connection; disconnect if the connection failed."""
        if self._connection is None:
            time.sleep(timeout)
            return None
        # The constructor read the first frame; usually a newer one is available now.
        first, self._first_frame = self._first_frame, None
        try:
            frame = self._connection.get(0 if first else timeout) or first
        except (
            Exception
        ) as error:  # any error of a driver or library: the source may work again later
            source = self._source
            if isinstance(error, SourceLost) and source is not None and not source.resumes:
                self._enter("FAILED", str(error), time.monotonic())
                raise
            self._disconnect(str(error) or type(error).__name__)
            return None
        if frame is None and self._connection.ended and not self._closed:
            self._enter("ENDED", "", time.monotonic())
        return frame

    def _is_repeat(self, frame: Frame) -> bool:
        """True if the camera repeated its last picture, and such pictures are not accepted."""
        last = self._last_image
        same = last is not None and np.array_equal(frame.image, last)
        self._last_image = frame.image if self._camera else None
        if same and self._status.state == "RECONNECTING":
            self._repeats_accepted = True
        return same and not self._repeats_accepted

    def _note_frame(self, now: float) -> None:
        """Update the state after a frame."""
        self._last_frame_at = now
        if self._status.state == "RECONNECTING":
            self._status = replace(self._status, reconnects=self._status.reconnects + 1)
        if self._status.state != "RUNNING":
            self._began_at = now
            self._enter("RUNNING", "", now)
        elif now - self._began_at > self._policy.reset_after:
            self._backoff.reset()

    def _check_silence(self, now: float) -> None:
        """Update the state after a poll without a frame."""
        silence = now - max(self._last_frame_at, self._began_at)
        if silence > self._longest_silence(now):
            self._disconnect(f"no new picture for {silence:.0f} s")
        elif self._status.state == "RUNNING" and silence > self._policy.stall_after:
            self._status = replace(self._status, stalls=self._status.stalls + 1)
            self._enter("STALLED", "no new picture", self._last_frame_at)

    def _longest_silence(self, now: float) -> float:
        """Return the seconds without a picture after which the connection is lost."""
        limit, fps = self._policy.reconnect_after, self.fps
        if self._source is None:
            return self._policy.opening_factor * limit
        if fps and self._suspended_for > limit and now - self._resumed_at < _AFTER_RESUME:
            return min(limit, max(self._policy.reconnect_after_sleep, 3 / fps))
        return limit

    def _disconnect(self, reason: str) -> None:
        """Abandon the connection and set the time of the next attempt."""
        now = time.monotonic()
        # Servers drop clients that were suspended. Such a loss is not a failed attempt, so the next
        # one follows without a delay. A stream need not wait until its old connection has ended.
        resumed = now - self._resumed_at < self._policy.stall_after
        self._resumed_at = -math.inf
        if self._connection is not None:
            self._connection.request_close()
            self._damaged_before += self._connection.damaged
            self._abandoned = None if resumed and not self._camera else self._connection
            self._connection = None
        outage = now - self._last_frame_at
        self._retry_at = now if resumed else now + self._backoff.delay(outage)
        self._enter("RECONNECTING", reason, self._last_frame_at)

    def _connect(self, now: float) -> None:
        """Open a new connection, unless the thread of the old one still runs."""
        if self._abandoned is not None and self._abandoned.alive:
            return
        self._abandoned = None
        self._began_at = now
        self._renumberer.start_connection()
        self._connection = Connection(self._opener)

    def _enter(self, state: SourceState, message: str, since: float) -> None:
        """Change the state and report it; `since` is its start, a monotonic time in seconds."""
        message = redact(message)
        before = self._status
        self._status = replace(before, state=state, since=since, message=message or before.message)
        if (before.state, before.message) == (state, self._status.message):
            return  # another attempt failed for the same reason
        if self.on_status is not None:
            self.on_status(self._status)
        elif state != "FAILED":  # FAILED is raised as an error
            log = logger().info if state in ("RUNNING", "ENDED") else logger().warning
            log("%s: %s%s", self.name, state, f" ({message})" if message else "")
