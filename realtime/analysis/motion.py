"""How a region moves: its displacement over the last seconds, and the spectrum of that.

Large regions are measured on a picture made smaller by averaging, which loses little: the noise
becomes less with the pixels. The reference is renewed now and then, for the scene and its light
change; displacements go on from where they were.
"""

import math
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.analysis.tracking import REACH, Gray, Tracker, gray
from rtmag.realtime.frame import Frame
from rtmag.realtime.magnifier import GAP, Region, clipped
from rtmag.realtime.opencv import cv2

SECONDS = 10.0
"""How far back the waveform goes."""

ENOUGH = 2.0
"""Seconds after which a spectrum says something."""

CLEAR = 4.0
"""How many times larger than the median of the spectrum a peak is, above what lies beside it."""

_PIXELS = 10_000  # of the region as it is measured: a step then takes about a millisecond

_STEPS = 4  # of Gauss and Newton: motion between frames is small

_RENEWED = 3.0  # seconds

_FAR = 2.0  # px, after which the reference is renewed at once

_SHARE = 0.1  # of each frame in the average that becomes the reference

_DISPLAY = 512  # points of the spectrum at most


class MotionMeter:
    """Follows one region; another region, another size and a gap start afresh."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float, float]] = deque()
        self._place: tuple[Region, tuple[int, int]] | None = None
        self._tracker: Tracker | None = None

    def add(self, frame: Frame, region: Region | None) -> None:
        """Measure one frame; the same frame again is passed over."""
        box = clipped(region, frame.size)
        last = self._samples[-1][0] if self._samples else None
        if last == frame.time and self._place == (box, frame.size):
            return
        gap = last is not None and not 0 < frame.time - last <= 2 * GAP
        if gap or self._place != (box, frame.size):
            self._place, self._tracker = (box, frame.size), None
            self._samples.clear()
        picture = self._reduced(frame, box)
        dx, dy = self._follow(picture, frame.time)
        self._samples.append((frame.time, dx * self._shrink, dy * self._shrink))
        while frame.time - self._samples[0][0] > SECONDS:
            self._samples.popleft()

    def _reduced(self, frame: Frame, box: Region) -> Gray:
        """The region with what lies around it, as small as it is measured."""
        x, y, w, h = box
        self._shrink = shrink = max(1, math.ceil(math.sqrt(w * h / _PIXELS)))
        margin = REACH * shrink if w * h < frame.image.shape[0] * frame.image.shape[1] / 4 else 0
        left, top = x - min(x, margin), y - min(y, margin)
        around = gray(frame.image[top : y + h + margin, left : x + w + margin])
        self._box = tuple(max(v // shrink, 1) for v in (x - left, y - top, w, h))
        height, width = (side // shrink * shrink for side in around.shape)
        size = width // shrink, height // shrink
        small = cv2.resize(around[:height, :width], size, interpolation=cv2.INTER_AREA)
        return np.asarray(small, np.float32)

    def _follow(self, picture: Gray, time: float) -> tuple[float, float]:
        if self._tracker is None:
            self._mean, self._offset = picture, np.zeros(2)
            self._renew(picture, time)
            return 0.0, 0.0
        moved = np.array(self._tracker.displacement(picture, _STEPS))
        self._mean = self._mean + _SHARE * (picture - self._mean)
        total = self._offset + moved
        far = np.abs(moved).max() > _FAR
        if far or time - self._since > _RENEWED:
            self._renew(picture if far else self._mean, time)
            # What is seen now goes on without a step, whatever the new reference is.
            self._offset = total - self._tracker.displacement(picture, _STEPS)
        return float(total[0]), float(total[1])

    def _renew(self, reference: Gray, time: float) -> None:
        self._mean, self._since = reference, time
        x, y, w, h = self._box
        self._tracker = Tracker(reference, (x, y, w, h))

    def waveform(self) -> NDArray[np.float64]:
        """(N, 3): seconds before now, pixels to the right, pixels down; their means removed."""
        if not self._samples:
            return np.zeros((0, 3))
        path = np.array(self._samples)
        return np.asarray(path - [path[-1, 0], *path[:, 1:].mean(axis=0)])

    def spectrum(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Frequencies in Hz and the amplitude at each in pixels; empty while there is too little.

        Right-left and up-down are taken together. Samples are laid on an even grid first, for
        cameras are not even and frames may be missing.
        """
        from scipy.signal import periodogram

        path = self.waveform()
        if len(path) < 8 or -path[0, 0] < ENOUGH:
            return np.zeros(0), np.zeros(0)
        dt = float(np.median(np.diff(path[:, 0])))
        times = np.arange(path[0, 0], 0, dt)
        even = np.stack([np.interp(times, path[:, 0], path[:, axis]) for axis in (1, 2)])
        points = 1 << (2 * len(times) - 1).bit_length()
        hz, power = periodogram(
            even, 1 / dt, "hann", nfft=points, detrend="linear", scaling="spectrum"
        )
        return hz, np.sqrt(2 * power.sum(axis=0))

    def peak(self, hz: NDArray[np.float64], px: NDArray[np.float64]) -> tuple[float, float] | None:
        """Frequency and amplitude of the peak that stands out most, if one does.

        Drift is often larger, but it rises slowly towards 0 Hz.
        """
        if not len(hz):
            return None
        from scipy.signal import find_peaks

        usual = np.median(px)
        tops, about = find_peaks(np.log(px + usual), prominence=math.log(1 + CLEAR))
        heard = hz[tops] >= 2.0 / -self.waveform()[0, 0]
        if not heard.any():
            return None
        at = int(tops[np.where(heard, about["prominences"], 0.0).argmax()])
        before, top, after = np.log(px[at - 1 : at + 2] + 1e-12)
        bent = before - 2 * top + after
        offset = 0.5 * (before - after) / bent if bent < 0 else 0.0
        return float(hz[at] + offset * (hz[1] - hz[0])), float(px[at])

    def data(self) -> dict[str, Any]:
        """All of it for a page: lists of numbers, rounded to a ten-thousandth of a pixel."""
        path = self.waveform()
        hz, px = self.spectrum()
        peak = self.peak(hz, px)
        coarse = max(1, -(-len(hz) // _DISPLAY))
        px = np.array([px[i : i + coarse].max() for i in range(0, len(px), coarse)])
        return {
            "t": path[:, 0].round(3).tolist(),
            "x": path[:, 1].round(4).tolist(),
            "y": path[:, 2].round(4).tolist(),
            "step": float(hz[1] * coarse) if len(hz) else 0.0,
            "px": px.round(5).tolist(),
            "peak": peak,
        }
