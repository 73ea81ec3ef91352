"""Timestamps of frames: a clock for streams and a clock for files.

Stream timestamps are regular but have an arbitrary origin. Arrival times use our monotonic clock
but carry network jitter of tens of milliseconds, which a temporal filter would take for a varying
frame rate. `StreamClock` therefore shifts the timestamps by the smallest delay between timestamp
and arrival so far, which is that of a frame without queueing delay. This minimum may grow by 0.1 %
of the elapsed time, because two clocks never run at the same speed. No time is later than the
arrival of its frame.

File timestamps are read without decoding. `FileClock` keeps them where they increase and repairs
them elsewhere. Some files store the times at which packets are decoded in place of those at which
pictures are shown; `DisplayTimes` puts them in order.
"""

import heapq
import math
from collections import deque
from collections.abc import Iterable
from fractions import Fraction
from itertools import islice

import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from rtmag.realtime.media.container import read_packets
from rtmag.realtime.rate import count_intervals, rounding

DISCONTINUITY = 1.0
"""Seconds by which a step of the timestamps may differ from the step of the arrivals."""

_DRIFT = 1e-3
"""Growth of the smallest delay per elapsed time, for clocks that run at different speeds."""

_JITTER = 0.02
"""Seconds by which a single frame may reduce the smallest delay."""

_CONFIRMING = 3
"""Number of consecutive frames that may reduce the smallest delay by more."""

_DOUBTFUL_DELAY = 0.5
"""Seconds above the smallest delay from which a timestamp counts as doubtful."""

_MAX_DOUBTS = 30
"""Surplus of doubtful over good timestamps at which the timestamps are no longer used."""


class StreamClock:
    """Converts timestamps and arrivals of a stream into strictly increasing times.

    * A damaged timestamp in the future looks like a very small delay, after which all other frames
      would count as late for minutes. So a delay that is smaller by more than the jitter is
      accepted only when several consecutive frames agree, as in a burst after a delay.
    * At a discontinuity between timestamps and arrivals the delay is measured again and a new epoch
      begins.
    * Timestamps that keep contradicting the arrivals (a wrong rate, repeated or missing timestamps)
      are ignored for the rest of the connection, and arrivals are used.

    Args:
        stamped: False if the stream has no timestamps of its own; arrivals are used.
    """

    def __init__(self, *, stamped: bool = True) -> None:
        self.epoch = 0
        """Rises at each discontinuity: later frames do not continue the earlier ones."""
        self._trusted = stamped
        self._doubts = 0
        """Number of doubtful timestamps minus number of good ones, at least 0."""
        self._min_delay: float | None = None
        self._delays: deque[float] = deque(maxlen=_CONFIRMING)
        self._stamp = self._arrival = 0.0
        self._last = -math.inf

    def read(self, stamp: float | None, arrival: float) -> float:
        """Return the time of the next frame from its timestamp and its arrival, in seconds."""
        time = self._shifted(stamp, arrival) if self._trusted else arrival
        self._last = time if time > self._last else math.nextafter(self._last, math.inf)
        return self._last

    def _shifted(self, stamp: float | None, arrival: float) -> float:
        """Return the timestamp plus the smallest delay, but at most the arrival."""
        if stamp is None or not math.isfinite(stamp):
            self._count_doubt(True)
            return arrival
        delay = arrival - stamp
        if self._min_delay is None:
            self._min_delay = delay
        else:
            step, elapsed = stamp - self._stamp, arrival - self._arrival
            if abs(step - elapsed) > DISCONTINUITY:
                self._min_delay, self.epoch = delay, self.epoch + 1
                self._delays.clear()
            self._count_doubt(step <= 0 or delay - self._min_delay > _DOUBTFUL_DELAY)
            self._min_delay += _DRIFT * max(elapsed, 0.0)
        self._delays.append(delay)
        within_jitter = delay > self._min_delay - _JITTER
        self._min_delay = min(self._min_delay, delay if within_jitter else max(self._delays))
        self._stamp, self._arrival = stamp, arrival
        return min(stamp + self._min_delay, arrival)

    def _count_doubt(self, doubtful: bool) -> None:
        """Count a doubtful or a good timestamp; too many doubtful ones end their use."""
        self._doubts = max(self._doubts + (1 if doubtful else -1), 0)
        self._trusted = self._doubts < _MAX_DOUBTS

    def early_by(self, stamp: float | None, now: float) -> float:
        """Return the seconds from `now` until a frame should be shown, 0 to DISCONTINUITY.

        The result is above 0 if the stream is delivered faster than it plays.
        """
        if stamp is None or self._min_delay is None:
            return 0.0
        early = stamp - self._stamp - (now - self._arrival)
        return early if 0 < early <= DISCONTINUITY else 0.0


_MAX_BACKWARD = 1.0
"""A larger step back, in seconds, is a discontinuity."""

_MAX_FORWARD = 12 * 3600.0
"""A larger step forward, in seconds, is one too. MPEG-TS clocks wrap around after 26 hours."""


_PROBED = 48
"""Number of pictures whose times are compared; groups of B-frames are shorter."""

_ROUNDING = 0.02
"""Relative difference between two measures of a constant frame rate, due to rounded timestamps."""

_MAX_SHIFT = 0.065
"""Seconds by which a frame may be early or late in a file without times."""

_DOUBLINGS = 6
"""Number of times that a frame rate may be doubled for a file without times."""
_PART = 31
"""Largest number of steps of a part of a file whose rate is measured."""


def is_discontinuity(step: float) -> bool:
    """True if a step of a file's timestamps, in seconds, starts a new time line."""
    return not -_MAX_BACKWARD < step < _MAX_FORWARD


class FileClock:
    """Makes a file's timestamps strictly increasing; correct ones are returned unchanged.

    Args:
        dt: usual seconds from frame to frame, used where timestamps are missing.
    """

    def __init__(self, dt: float) -> None:
        self.jumps = 0
        """Number of discontinuities so far; after each one the time continues by one step."""
        self._dt = dt
        self._last: float | None = None
        self._shift = 0.0

    def read(self, time: float | None) -> float:
        """Return the time of the next frame from the file's timestamp, in seconds."""
        last = self._last
        if last is None:
            self._last = 0.0 if time is None else time
        elif time is None:
            self._last = last + self._dt
        else:
            if is_discontinuity(time + self._shift - last):
                self._shift = last + self._dt - time
                self.jumps += 1
            # A repeated timestamp moves by half a step, so the next correct one is still later.
            self._last = time + self._shift if time + self._shift > last else last + self._dt / 2
        return self._last


class DisplayTimes:
    """Times at which pictures are shown, for files that store the times of decoding.

    AVI has no other times; some programs write such MP4, Matroska and FLV files. The times are
    given to the pictures in the order in which the decoder returns them.

    Args:
        container: the file; FFmpeg adds a delay to the times of AVI, which is left out.
    """

    def __init__(self, container: InputContainer) -> None:
        self._avi = container.format.name == "avi"
        self._waiting: list[tuple[int, int]] = []
        """Time of decoding and stated time of each packet without a picture so far; a heap."""

    def add(self, packet: "Packet[Stream]") -> None:
        """Add a packet before it is decoded."""
        if packet.size and packet.pts is not None and not packet.is_discard:
            time = packet.dts if self._avi else packet.pts
            heapq.heappush(self._waiting, (packet.pts if time is None else time, packet.pts))

    def take(self, frame: VideoFrame) -> int | None:
        """Return the time of the next picture in ticks; None if there is none."""
        # Pictures that are decoded before a key picture are shown before it: earlier packets that
        # are still waiting were damaged.
        if frame.key_frame and frame.pts is not None:
            while self._waiting and self._waiting[0][1] < frame.pts:
                heapq.heappop(self._waiting)
        return heapq.heappop(self._waiting)[0] if self._waiting else frame.pts


def are_decoding_times(frames: Iterable[VideoFrame]) -> bool:
    """True if the times of the first pictures go back; the pictures are in the order of display."""
    last = -math.inf
    for frame in islice(frames, _PROBED):
        if frame.pts is not None and frame.pts < last:
            return True
        last = last if frame.pts is None else frame.pts
    return False


def decoding_times(container: InputContainer, stream: VideoStream) -> NDArray[np.int64] | None:
    """Return the decoding time of each frame in ticks, or None if the container has no index."""
    if "mp4" not in container.format.name or not 0 < stream.frames == len(stream.index_entries):
        return None
    shown = (entry.timestamp for entry in stream.index_entries if not entry.is_discard)
    return np.fromiter(shown, np.int64)


def read_timestamps(
    container: InputContainer, stream: VideoStream, limit: int | None
) -> NDArray[np.int64]:
    """Return the timestamps of the first `limit` frames (None: all) in ticks, in file order."""
    ticks: list[int] = []
    avi = container.format.name == "avi"  # its times of display are derived from those of decoding
    for packet in read_packets(container, stream):
        if packet is not None and packet.size > 0 and not packet.is_discard:
            stamps = (packet.dts, packet.pts) if avi else (packet.pts, packet.dts)
            before = ticks[-1] if ticks else 0
            ticks.append(next((stamp for stamp in stamps if stamp is not None), before))
        if len(ticks) == limit:
            break
    return np.array(ticks, np.int64)


def measure_steps(ticks: NDArray[np.int64], time_base: Fraction) -> tuple[float, float]:
    """Return the usual step between timestamps, and that of the fastest part, in ticks.

    Both are 0 if there is no step. The usual step is a mean over all parts of about a second whose
    rate is that of most frames: a mean over a slow and a fast part would be the rate of neither.
    """
    steps = _steps(ticks)
    steps = steps[steps > 0]
    if not len(steps):
        return 0.0, 0.0
    tick = rounding(float(time_base)) / float(time_base)
    parts = np.array_split(steps, -(-len(steps) // _PART))
    counts = np.array([count_intervals(part, tick) for part in parts])
    means = counts[:, 0] / counts[:, 1]
    middle = np.sort(means)[(len(means) - 1) // 2]
    near = np.abs(means - middle) <= max(tick, middle / 4)
    ticks_near, intervals = counts[near].sum(axis=0)
    usual = float(ticks_near / intervals)
    return usual, min(usual, float(means[~near].min(initial=usual)))


def even_rate(ticks: NDArray[np.int64], time_base: Fraction, fps: float) -> float:
    """Return the lowest frame rate at which all frames keep their times, for files without times.

    It is `fps` times a power of two, at most 64. A gap counts as any number of frames.
    """
    steps = _steps(ticks) * float(time_base)
    times = np.concatenate([[0.0], np.cumsum(np.where(steps < _MAX_FORWARD, steps, 1 / fps))])
    places = np.arange(len(times))
    mean = places[-1] / times[-1] if times[-1] > 0 else fps
    rate = mean if abs(mean / fps - 1) < _ROUNDING else fps
    for _ in range(_DOUBLINGS):
        slots = np.maximum.accumulate(np.round(times * rate) - places) + places
        if np.abs(slots / rate - times).max() <= _MAX_SHIFT:
            break
        rate *= 2
    return rate


def duration(ticks: NDArray[np.int64], time_base: Fraction) -> float:
    """Return the seconds from the first frame to the start of the last, without discontinuities."""
    steps = _steps(ticks) * float(time_base)
    return float(steps[steps < _MAX_FORWARD].sum())


def _steps(ticks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the steps between sorted timestamps, in ticks."""
    return np.diff(np.sort(ticks)).astype(np.float64)
