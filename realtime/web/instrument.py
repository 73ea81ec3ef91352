"""Measurement of the regions that viewers draw, in a bounded time per frame.

Without such a region, the magnified region is measured, or the whole picture. Waveforms are sent
piece by piece: each message repeats the last second, so that a viewer that misses a few messages
has no gap.
"""

import json
import math
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rtmag.realtime.analysis.measurement import Measurement, Peak
from rtmag.realtime.analysis.monitor import KEPT, Judge, Monitor, Reading, window_of
from rtmag.realtime.controls import NamedRegion
from rtmag.realtime.filters import Band
from rtmag.realtime.frame import Frame, Region

_MOST_PIXELS = 10_000
"""Largest number of pixels of a downscaled region that is measured alone; it takes 1 ms."""

_FEW_PIXELS = 1500
"""The same for one of several regions; eight of them take 1.7 ms."""

_HISTORY = 3000
"""Largest number of samples of a region that a new viewer is sent."""

_REPEATED = 10
"""Number of messages whose samples are sent again."""

_JUDGE_INTERVAL = 0.4
"""Shortest time in seconds between two judgements of one region."""

_JUDGE_SHARE = 0.02
"""Largest share of the time that is spent on judgements of all regions."""

_LONGEST_PAUSE = 2.0
"""Longest time in seconds between two judgements, on a machine that is too slow for that share."""

_SPECTRUM_POINTS = 512  # largest number that is sent


@dataclass(slots=True)
class _Channel:
    """A measured region."""

    name: str
    region: Region | None
    monitor: Monitor
    run: int
    """Changes when the measurement begins again."""
    judge: Judge = field(default_factory=Judge)
    spectrum: dict[str, Any] = field(default_factory=dict)
    """Spectrum, peaks and reading as JSON values; empty until they are computed."""
    judged: float = 0.0
    """Monotonic time in seconds at which they were computed."""


class Instrument:
    """Measures all regions of a view. One thread adds frames; others may take the measurement."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._channels: list[_Channel] = []
        self._size: tuple[int, int] | None = None
        self._runs = 0
        self._frames = 0
        self._sent: deque[int] = deque(maxlen=_REPEATED)
        """Numbers of frames at the last messages."""
        self._band: Band | None = None
        self._judge_after = 0.0
        """Monotonic time in seconds of the next judgement of any region."""
        self._loading = threading.Thread(target=_load, name="rtmag scipy", daemon=True)

    def add(
        self, frame: Frame, seconds: float, regions: Sequence[NamedRegion], magnified: Region | None
    ) -> None:
        """Measure one frame.

        Args:
            frame: of the original picture.
            seconds: its time.
            regions: to measure; if there are none, `magnified` is measured.
            magnified: region that is magnified; None: the whole picture.
        """
        wanted: list[tuple[str, Region | None]]
        wanted = [(each.name, each.box) for each in regions] or [
            ("picture" if magnified is None else "magnified region", magnified)
        ]
        if not self._frames:
            self._loading.start()
        with self._lock:
            present = [(each.name, each.region) for each in self._channels]
            if present != wanted or frame.size != self._size:
                self._arrange(wanted, frame.size)
            for channel in self._channels:
                channel.monitor.add(frame, seconds)
            self._frames += 1

    def _arrange(self, wanted: list[tuple[str, Region | None]], size: tuple[int, int]) -> None:
        """Make the channels; those of regions that stay go on."""
        if size != self._size:
            self._channels, self._size = [], size
        limit = _MOST_PIXELS if len(wanted) == 1 else _FEW_PIXELS
        channels = []
        for name, region in wanted:
            known = next((each for each in self._channels if each.region == region), None)
            if known is None:
                self._runs += 1
                known = _Channel(name, region, Monitor(region, limit), self._runs)
            else:
                self._channels.remove(known)
                known.name = name
            channels.append(known)
        self._channels = channels

    def waveforms(self, *, history: bool) -> str:
        """Return the last samples of all regions as a message.

        Args:
            history: True to send those of the last minutes, for a new viewer.
        """
        count = self._frames - (self._sent[0] if self._sent else 0) + 1
        self._sent.append(self._frames)
        count = _HISTORY if history else count
        parts = [_samples(each, count) for each in self._channels]
        return json.dumps({"motion": parts}, separators=(",", ":"))

    def spectra(self, band: Band | None) -> str | None:
        """Judge the region whose turn it is; return the spectra and peaks of all as a message.

        Args:
            band: edges in Hz between which peaks are judged; None: all frequencies.

        Returns:
            None if it is not time for a judgement.
        """
        start = time.monotonic()
        if band != self._band:
            self._band = band
            for channel in self._channels:
                channel.judge, channel.judged = Judge(), 0.0
        if start < self._judge_after or not self._channels or self._loading.is_alive():
            return None
        channel = min(self._channels, key=lambda each: each.judged)
        if start - channel.judged < _JUDGE_INTERVAL:
            return None
        begin = time.thread_time()
        channel.judged = start
        channel.spectrum = _spectrum(channel, band)
        cost = time.thread_time() - begin
        self._judge_after = start + min(cost / _JUDGE_SHARE, _LONGEST_PAUSE)
        message = {"spectra": [each.spectrum for each in self._channels if each.spectrum]}
        return json.dumps(message, separators=(",", ":"))

    def measurement(self, band: Band | None, millimetres: float | None) -> Measurement:
        """Return the samples of the last minutes.

        Args:
            band: edges in Hz between which peaks are sought; None: all frequencies.
            millimetres: of a pixel; None: unknown.
        """
        with self._lock:
            regions = [each.monitor.motion(each.name, band) for each in self._channels]
        return Measurement(
            regions=regions,
            size=self._size or (0, 0),
            fps=max((each.fps for each in regions), default=0.0),
            scale=1.0 if millimetres is None else millimetres,
            unit="px" if millimetres is None else "mm",
            band=band,
            notes=[f"live measurement: at most the last {KEPT:g} seconds are kept"],
        )


def _load() -> None:
    """Import what judgements need, which takes a second: pictures must not wait for it."""
    import scipy.signal
    import scipy.stats  # noqa: F401


def _samples(channel: _Channel, count: int) -> dict[str, Any]:
    times, values = channel.monitor.latest(count)
    return {
        "name": channel.name,
        "run": channel.run,
        "t": times.round(4).tolist(),
        "x": values[:, 0].round(4).tolist(),
        "y": values[:, 1].round(4).tolist(),
    }


def _spectrum(channel: _Channel, band: Band | None) -> dict[str, Any]:
    """Spectrum, peaks and reading of a region; `px` are amplitudes at multiples of `step` Hz.

    Peaks of all frequencies are listed, and the reading is one of those within the band.
    """
    motion = channel.monitor.motion(channel.name, None, window_of(band))
    spectrum = motion.spectrum()
    low, high = band or (0.0, math.inf)
    reading = channel.judge.update([peak for peak in motion.peaks if low <= peak.hz <= high])
    px = np.hypot(*spectrum.px.T)
    stride = max(1, -(-len(px) // _SPECTRUM_POINTS))
    px = np.array([px[i : i + stride].max() for i in range(0, len(px), stride)])
    return {
        "name": channel.name,
        "run": channel.run,
        "seconds": round(motion.duration, 2),
        "step": float(spectrum.hz[1] * stride) if len(px) > 1 else 0.0,
        "px": px.round(5).tolist(),
        "peaks": [_peak(peak) for peak in motion.peaks],
        "reading": _reading(reading),
    }


def _peak(peak: Peak) -> list[float]:
    """Frequency in Hz, amplitude in px, and the standard deviations of both."""
    return [round(v, 6) for v in (peak.hz, peak.px, peak.hz_deviation, peak.px_deviation)]


def _reading(reading: Reading | None) -> dict[str, Any] | None:
    return None if reading is None else {"peak": _peak(reading.peak), "held": reading.held}
