"""Live measurement of one region: samples of the last minutes, and its present peak.

A peak is judged within the band that the user watches, over a window that suits the band. What is
shown should not flicker: a faint peak has to be found twice before it is shown, and each is kept
for some judgements after it was found last.
"""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rtmag.realtime.analysis.following import Follower
from rtmag.realtime.analysis.measurement import Peak, RegionMotion
from rtmag.realtime.analysis.spectra import Samples
from rtmag.realtime.filters import Band
from rtmag.realtime.frame import Frame, Region
from rtmag.realtime.rate import GAP

KEPT = 120.0
"""Seconds of samples that are kept."""

MOST_SAMPLES = 30_000
"""Largest number of samples that are kept: two minutes at 240 frames per second."""

USUAL_WINDOW = 30.0
"""Seconds over which a peak is judged, unless the band is slow."""

WINDOW_PERIODS = 6.0
"""Periods of the lower edge of a slow band over which a peak is judged."""

_SAME = 0.05  # relative difference in frequency up to which two peaks are the same one

_LARGER = 1.5  # another peak is shown in place of the present one if it is larger by this factor

_CONFIRMATIONS = 2  # judgements in a row that a new peak needs

_CLEAR = 10  # times the deviation of its amplitude: a peak that is larger needs one judgement only

_HELD = 4  # judgements for which a peak is kept that is not found any more


def window_of(band: Band | None) -> float:
    """Return the seconds over which peaks in a band are judged; None: in all frequencies."""
    if band is None:
        return USUAL_WINDOW
    return min(max(USUAL_WINDOW, WINDOW_PERIODS / band[0]), KEPT)


@dataclass(frozen=True, slots=True)
class Reading:
    """The peak of a region that is shown to the user."""

    peak: Peak
    held: bool
    """True if the last judgement did not find it."""


class Monitor:
    """Measures one region of a live picture.

    Samples have the time of their frame. Where the time goes back, as in a file that is played in a
    loop, new samples replace the earlier ones of the same time.

    Args:
        region: x, y, width, height in pixels; None: the whole picture.
        max_pixels: largest number of pixels of the downscaled region; it limits the time per frame.
    """

    def __init__(self, region: Region | None, max_pixels: int) -> None:
        self._follower = Follower(region, max_pixels)
        self._times: list[float] = []
        self._values: list[tuple[float, float, float, float]] = []
        self._next = 0
        """Position of the next sample in both lists."""

    @property
    def box(self) -> Region:
        """The region within the last picture."""
        return self._follower.box

    def add(self, frame: Frame, time: float) -> None:
        """Measure a frame.

        Args:
            frame: of the original picture, always of the same size.
            time: in seconds.
        """
        result = self._follower.add(frame, time)
        if result is not None:
            self._put(time, (*result.displacement, *result.deviation))

    def _put(self, time: float, value: tuple[float, float, float, float]) -> None:
        times, begin = self._times, self._next
        if begin and not 0 < time - times[begin - 1] <= GAP:
            begin = bisect.bisect_left(times, time)
        end = bisect.bisect_right(times, time, lo=begin)
        times[begin:end], self._values[begin:end] = [time], [value]
        self._next = begin + 1
        old = max(bisect.bisect_left(times, time - KEPT), len(times) - MOST_SAMPLES)
        if 0 < old < self._next:
            del times[:old], self._values[:old]
            self._next -= old

    def latest(self, count: int) -> tuple[Samples, Samples]:
        """Return the last samples in the order of their times, at most `count`.

        Returns:
            Times (N,) in s, and displacements (N, 2) to the right and down in px.
        """
        part = slice(max(self._next - count, 0), self._next)
        return np.array(self._times[part]), np.array(self._values[part]).reshape(-1, 4)[:, :2]

    def motion(self, name: str, band: Band | None, seconds: float = KEPT) -> RegionMotion:
        """Return the samples of the last seconds as a measurement.

        Args:
            name: of the region.
            band: edges in Hz between which peaks are sought; None: all frequencies.
            seconds: length of the part that is returned.
        """
        begin = bisect.bisect_left(self._times, self._times[-1] - seconds) if self._times else 0
        values = np.array(self._values[begin:]).reshape(-1, 4)
        times = np.array(self._times[begin:])
        repeated = self._follower.repeated
        return RegionMotion(name, self.box, times, values[:, :2], values[:, 2:], band, repeated)


class Judge:
    """Selects the peak that is shown, one judgement after the other."""

    def __init__(self) -> None:
        self._reading: Reading | None = None
        self._missed = 0
        self._candidate: Peak | None = None
        self._confirmed = 0

    def update(self, peaks: Sequence[Peak]) -> Reading | None:
        """Return the peak to show, from those that are found at present, largest first."""
        shown = self._reading.peak if self._reading is not None else None
        same = next((peak for peak in peaks if _alike(peak, shown)), None)
        if same is not None:
            self._reading, self._missed = Reading(same, held=False), 0
        elif shown is not None:
            self._missed += 1
            self._reading = Reading(shown, held=True) if self._missed <= _HELD else None
        largest = peaks[0] if peaks else None
        if largest is None or (same is not None and largest.px < _LARGER * same.px):
            self._candidate = None
            return self._reading
        self._confirmed = self._confirmed + 1 if _alike(largest, self._candidate) else 1
        self._candidate = largest
        clear = largest.px > _CLEAR * largest.px_deviation and self._reading is None
        if clear or self._confirmed >= _CONFIRMATIONS:
            self._reading, self._missed = Reading(largest, held=False), 0
        return self._reading


def _alike(peak: Peak, other: Peak | None) -> bool:
    """True if both are the same peak, found at different times."""
    if other is None:
        return False
    doubt = 3 * (peak.hz_deviation + other.hz_deviation)
    return abs(peak.hz - other.hz) <= max(_SAME * other.hz, doubt)
