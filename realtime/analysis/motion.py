"""Displacement of a region over the last seconds, and its spectrum.

Large regions are downscaled by averaging before they are measured. This costs little precision, as
averaging reduces the noise too. The reference picture is replaced every few seconds, because scene
and light change; the displacement continues from its last value.
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
from rtmag.realtime.rate import count_intervals

WINDOW = 10.0
"""Length of the waveform in seconds."""

MIN_SPECTRUM_SECONDS = 2.0
"""Shortest waveform that a spectrum is computed from."""

PEAK_FACTOR = 4.0
"""Smallest prominence of a peak, as a multiple of the median of the spectrum."""

_MAX_PIXELS = 10_000  # of the downscaled region; measuring it takes about 1 ms

_ITERATIONS = 4  # of the tracker; few are enough, as motion between frames is small

_REFERENCE_SECONDS = 3.0  # age at which the reference is replaced

_MAX_DISPLACEMENT = 2.0  # downscaled pixels; above this the reference is replaced

_AVERAGE_WEIGHT = 0.1  # of each frame in the running average that becomes the reference

_SPECTRUM_POINTS = 512  # largest number that `data` returns


class MotionMeter:
    """Measures the motion of one region.

    It starts again when the region or the size of the picture changes, and after a gap in time.
    """

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float, float]] = deque()  # time in s, x and y in px
        self._place: tuple[Region, tuple[int, int]] | None = None
        self._tracker: Tracker | None = None
        self._scale = 1  # pixels of the frame per pixel of the downscaled region
        self._box: Region = (0, 0, 0, 0)  # the region within the downscaled picture
        self._average: Gray = np.zeros((0, 0), np.float32)
        self._offset = np.zeros(2)  # displacement of the reference, in downscaled pixels
        self._reference_time = 0.0

    def add(self, frame: Frame, region: Region | None) -> None:
        """Measure one frame; a repetition of the last frame is ignored.

        Args:
            frame: of the original picture.
            region: x, y, width, height in pixels; None: the whole picture.
        """
        box = clipped(region, frame.size)
        last = self._samples[-1][0] if self._samples else None
        if last == frame.time and self._place == (box, frame.size):
            return
        gap = last is not None and not 0 < frame.time - last <= 2 * GAP
        if gap or self._place != (box, frame.size):
            self._place, self._tracker = (box, frame.size), None
            self._samples.clear()
        dx, dy = self._track(self._downscale(frame, box), frame.time)
        self._samples.append((frame.time, dx * self._scale, dy * self._scale))
        while frame.time - self._samples[0][0] > WINDOW:
            self._samples.popleft()

    def _downscale(self, frame: Frame, box: Region) -> Gray:
        """The region and its surroundings, with at most `_MAX_PIXELS` in the region."""
        x, y, w, h = box
        self._scale = scale = max(1, math.ceil(math.sqrt(w * h / _MAX_PIXELS)))
        margin = REACH * scale if w * h < frame.image.shape[0] * frame.image.shape[1] / 4 else 0
        left, top = x - min(x, margin), y - min(y, margin)
        full = gray(frame.image[top : y + h + margin, left : x + w + margin])
        bx, by, bw, bh = (max(v // scale, 1) for v in (x - left, y - top, w, h))
        self._box = (bx, by, bw, bh)
        height, width = (side // scale * scale for side in full.shape)
        size = width // scale, height // scale
        small = cv2.resize(full[:height, :width], size, interpolation=cv2.INTER_AREA)
        return np.asarray(small, np.float32)

    def _track(self, picture: Gray, time: float) -> tuple[float, float]:
        """Displacement in downscaled pixels since the first frame."""
        if self._tracker is None:
            self._offset = np.zeros(2)
            self._tracker = self._set_reference(picture, time)
            return 0.0, 0.0
        displacement = np.array(self._tracker.displacement(picture, _ITERATIONS))
        self._average = self._average + _AVERAGE_WEIGHT * (picture - self._average)
        total = self._offset + displacement
        far = np.abs(displacement).max() > _MAX_DISPLACEMENT
        if far or time - self._reference_time > _REFERENCE_SECONDS:
            self._tracker = self._set_reference(picture if far else self._average, time)
            # Measure the same frame again, so that the new reference causes no step.
            self._offset = total - self._tracker.displacement(picture, _ITERATIONS)
        return float(total[0]), float(total[1])

    def _set_reference(self, reference: Gray, time: float) -> Tracker:
        self._average, self._reference_time = reference, time
        return Tracker(reference, self._box)

    def waveform(self) -> NDArray[np.float64]:
        """Return (N, 3): seconds relative to the last frame, pixels to the right, pixels down.

        The mean of both displacements is removed.
        """
        if not self._samples:
            return np.zeros((0, 3))
        path = np.array(self._samples)
        return np.asarray(path - [path[-1, 0], *path[:, 1:].mean(axis=0)])

    def spectrum(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return frequencies in Hz and amplitudes in pixels, (F,) each; empty if too short.

        The amplitude is the root of the summed squares of both directions. The samples are first
        interpolated to a regular grid, because frame times vary and frames may be missing.
        """
        from scipy.signal import periodogram

        path = self.waveform()
        if len(path) < 8 or -path[0, 0] < MIN_SPECTRUM_SECONDS:
            return np.zeros(0), np.zeros(0)
        seconds, intervals = count_intervals(np.diff(path[:, 0]), 0.0)
        dt = seconds / intervals
        times = np.arange(path[0, 0], 0, dt)
        regular = np.stack([np.interp(times, path[:, 0], path[:, axis]) for axis in (1, 2)])
        points = 1 << (2 * len(times) - 1).bit_length()
        hz, power = periodogram(
            regular, 1 / dt, "hann", nfft=points, detrend="linear", scaling="spectrum"
        )
        return hz, np.sqrt(2 * power.sum(axis=0))

    def peak(self, hz: NDArray[np.float64], px: NDArray[np.float64]) -> tuple[float, float] | None:
        """Return frequency in Hz and amplitude in pixels of the most prominent peak, or None.

        Prominence, not height: slow drift is often larger, but has no peak above 0 Hz. Peaks with
        fewer than two periods in the waveform do not count. A parabola through the logarithms of
        three points refines the frequency.

        Args:
            hz: (F,) frequencies of `spectrum`.
            px: (F,) amplitudes of `spectrum`.
        """
        if not len(hz):
            return None
        from scipy.signal import find_peaks

        median = np.median(px)
        tops, properties = find_peaks(np.log(px + median), prominence=math.log(1 + PEAK_FACTOR))
        two_periods = hz[tops] >= 2.0 / -self.waveform()[0, 0]
        if not two_periods.any():
            return None
        index = int(tops[np.where(two_periods, properties["prominences"], 0.0).argmax()])
        before, top, after = np.log(px[index - 1 : index + 2] + 1e-12)
        curvature = before - 2 * top + after
        offset = 0.5 * (before - after) / curvature if curvature < 0 else 0.0
        return float(hz[index] + offset * (hz[1] - hz[0])), float(px[index])

    def data(self) -> dict[str, Any]:
        """Return waveform, spectrum and peak as JSON values for the web page.

        Keys: `t` in s, `x` and `y` in px; `px`, the amplitudes at multiples of `step` Hz; `peak`,
        its frequency in Hz and amplitude in px, or None. A long spectrum is shortened:
        each value is then the maximum of several neighbours.
        """
        path = self.waveform()
        hz, px = self.spectrum()
        peak = self.peak(hz, px)
        stride = max(1, -(-len(hz) // _SPECTRUM_POINTS))
        px = np.array([px[i : i + stride].max() for i in range(0, len(px), stride)])
        return {
            "t": path[:, 0].round(3).tolist(),
            "x": path[:, 1].round(4).tolist(),
            "y": path[:, 2].round(4).tolist(),
            "step": float(hz[1] * stride) if len(hz) else 0.0,
            "px": px.round(5).tolist(),
            "peak": peak,
        }
