"""Timestamps of video files: read without decoding, and repaired where they do not increase."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream
from numpy.typing import NDArray

from rtmag.realtime.container import read_packets

_LEAP = 1.0
"""Seconds: a step back by more than this starts a new count of time."""
_WRAP = 12 * 3600.0
"""Seconds: so does a step ahead by more; clocks of transport streams run over after 26 hours."""


def leaps(step: float) -> bool:
    """Whether a step of a file's time, in seconds, begins a new count of time."""
    return not -_LEAP < step < _WRAP


class Clock:
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
