"""When the frames of a live stream were taken, on this machine's monotonic clock.

A stream's own timestamps are even but count from nowhere; moments of arrival are ours but tremble
with the network, by tens of milliseconds, which a temporal filter takes for a trembling rate. So
timestamps are kept and moved: by the least delay between timestamp and arrival that was seen, which
is that of the frame that nothing held up. The least delay may rise by a thousandth of the time that
passes, since no two clocks run alike. A time is never later than its arrival.

A damaged timestamp that lies ahead looks like a delay less than any before, and all that follow
would count as late for minutes. So a delay that is less by more than a trembling is believed once
several frames in a row agree, as those do that come in a burst when a hold-up ends.

Timestamps that leap away from the arrivals are moved anew, and a new epoch begins. Those that keep
contradicting the arrivals (a rate that is made up, repeated or missing stamps) are given up, and
arrivals count for the rest of the connection.
"""

import math
from collections import deque
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from statistics import median

import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream
from numpy.typing import NDArray

from rtmag.realtime.media.container import read_packets

DISCONTINUITY = 1.0
"""Seconds by which a step of timestamps may differ from that of arrivals."""

_LEAK = 1e-3

_TREMBLING = 0.02
"""Seconds by which one frame alone may lessen the delay."""

_AGREEING = 3
"""So many frames in a row lessen it by more."""

_LAG = 0.5
"""Seconds behind the least delay from which a timestamp is doubted."""

_DOUBTS = 30
"""So many doubtful timestamps more than good ones, and none is believed any more."""

_RATE_FRAMES = 10
"""So many frames must have come before a rate is told."""


class StreamClock:
    """Turns timestamps and arrivals into strictly increasing times.

    Args:
        stamped: False where the stream has no timestamps of its own; arrivals count.
    """

    def __init__(self, *, stamped: bool = True) -> None:
        self.epoch = 0
        """Rises when timestamps leapt: what comes does not continue what was before."""
        self._trusted = stamped
        self._doubts = 0
        self._delay: float | None = None
        self._held: deque[float] = deque(maxlen=_AGREEING)
        self._stamp = self._arrival = 0.0
        self._last = -math.inf

    def read(self, stamp: float | None, arrival: float) -> float:
        """The time of the next frame, given its timestamp and its arrival, in seconds."""
        time = self._moved(stamp, arrival) if self._trusted else arrival
        self._last = time if time > self._last else math.nextafter(self._last, math.inf)
        return self._last

    def _moved(self, stamp: float | None, arrival: float) -> float:
        if stamp is None or not math.isfinite(stamp):
            self._doubt(True)
            return arrival
        held = arrival - stamp
        if self._delay is None:
            self._delay = held
        else:
            step, passed = stamp - self._stamp, arrival - self._arrival
            if abs(step - passed) > DISCONTINUITY:
                self._delay, self.epoch = held, self.epoch + 1
                self._held.clear()
            self._doubt(step <= 0 or held - self._delay > _LAG)
            self._delay += _LEAK * max(passed, 0.0)
        self._held.append(held)
        alone = held > self._delay - _TREMBLING
        self._delay = min(self._delay, held if alone else max(self._held))
        self._stamp, self._arrival = stamp, arrival
        return min(stamp + self._delay, arrival)

    def _doubt(self, doubtful: bool) -> None:
        self._doubts = max(self._doubts + (1 if doubtful else -1), 0)
        self._trusted = self._doubts < _DOUBTS

    def ahead(self, stamp: float | None, now: float) -> float:
        """Return the seconds until a frame is due, at most DISCONTINUITY.

        Positive for a stream that comes faster than it plays.
        """
        if stamp is None or self._delay is None:
            return 0.0
        early = stamp - self._stamp - (now - self._arrival)
        return early if 0 < early <= DISCONTINUITY else 0.0


class RateMeter:
    """Frames per second as measured over the last 30 frames; what sources claim is not believed."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=31)
        self.fps: float | None = None

    @property
    def last(self) -> float | None:
        """The time of the last frame."""
        return self._times[-1] if self._times else None

    def add(self, time: float) -> None:
        """Take note of a frame."""
        self._times.append(time)
        if len(self._times) > _RATE_FRAMES:
            step = median(b - a for a, b in pairwise(self._times))
            self.fps = 1 / step if step > 0 else None


_LEAP = 1.0
"""Seconds: a step back by more than this starts a new count of time."""

_WRAP = 12 * 3600.0
"""Seconds: so does a step ahead by more; clocks of transport streams run over after 26 hours."""


def leaps(step: float) -> bool:
    """Whether a step of a file's time, in seconds, begins a new count of time."""
    return not -_LEAP < step < _WRAP


class FileClock:
    """Makes timestamps increase where a file's do not; the true ones pass unchanged."""

    def __init__(self, dt: float) -> None:
        self._dt = dt
        self._last: float | None = None
        self._shift = 0.0

    def read(self, time: float | None) -> float:
        """The time of the next frame, given what the file says."""
        last = self._last
        if last is None:
            self._last = 0.0 if time is None else time
        elif time is None:
            self._last = last + self._dt
        else:
            if leaps(time + self._shift - last):
                self._shift = last + self._dt - time
            # A repeated timestamp goes halfway, so that the next true one still comes later.
            self._last = time + self._shift if time + self._shift > last else last + self._dt / 2
        return self._last


def decoding_index(container: InputContainer, stream: VideoStream) -> NDArray[np.int64] | None:
    """When each frame of a file is due to be decoded, where the container has a list of all."""
    if "mp4" not in container.format.name or not 0 < stream.frames == len(stream.index_entries):
        return None
    shown = (entry.timestamp for entry in stream.index_entries if not entry.is_discard)
    return np.fromiter(shown, np.int64)


def timestamps(
    container: InputContainer, stream: VideoStream, limit: int | None
) -> NDArray[np.int64]:
    """The timestamps of the frames, or of the first ones, in the order of the file."""
    ticks: list[int] = []
    for packet in read_packets(container, stream):
        if packet is not None and packet.size > 0 and not packet.is_discard:
            ticks.append(_tick(packet, ticks))
        if len(ticks) == limit:
            break
    return np.array(ticks, np.int64)


def usual_step(ticks: NDArray[np.int64]) -> float:
    """The time between neighbours: the mean of those near the median, as times are rounded."""
    steps = _steps(ticks)
    steps = steps[steps > 0]
    if not len(steps):
        return 0.0
    middle = float(np.sort(steps)[len(steps) // 2])
    return float(steps[np.abs(steps - middle) <= max(1.0, middle / 4)].mean())


def span(ticks: NDArray[np.int64], time_base: Fraction) -> float:
    """Seconds from the first frame to the start of the last."""
    steps = _steps(ticks) * float(time_base)
    return float(steps[steps < _WRAP].sum())


def _steps(ticks: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.diff(np.sort(ticks)).astype(np.float64)


def _tick(packet: "Packet[Stream]", before: Sequence[int]) -> int:
    if packet.pts is not None:
        return packet.pts
    if packet.dts is not None:
        return packet.dts
    return before[-1] if before else 0
