"""Amplitude and phase of each cell's displacement at one frequency, kept up frame by frame.

Inputs
    displacement  (h, w, 2) px, one after another, with times in seconds that may be uneven
    deviation     (h, w, 2) px
Outputs
    amplitude     (h, w, 2) complex, px: displacement = |a| cos(2 pi f t + angle(a))
    noise         (h, w, 2) px: the amplitude that is there without a motion at this frequency

Method
    Displacement less its slow mean is multiplied by exp(-2 pi i f t) and averaged with weights that
    decay: one complex sum per cell (a lock-in amplifier). The same is done at two neighbouring
    frequencies. What these contain is the noise of the cell, such as that of compression.
"""

import math

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.frame import MotionField
from rtmag.realtime.opencv import cv2

PERIODS = 6.0
"""Least number of periods over which the average decays by the factor e."""

SECONDS = 2.0
"""Shortest time in seconds over which the average decays by the factor e."""

DISTANCE = 0.4
"""Distance of the neighbouring frequencies, relative to the frequency."""

CONFIDENCE = 4.0
"""A cell moves if its amplitude is larger than the noise by this factor."""

Amplitudes = NDArray[np.complex64]
"""(h, w, 2) px, x and y."""


class LockIn:
    """Amplitudes of a field at one frequency.

    Args:
        hz: Frequency in Hz, positive.
        seconds: Time over which the average decays by the factor e; None: `PERIODS` periods, at
            least `SECONDS`.
    """

    def __init__(self, hz: float, seconds: float | None = None) -> None:
        self.hz = hz
        self.seconds = max(PERIODS / hz, SECONDS) if seconds is None else seconds
        """Time over which the average decays by the factor e."""
        away = DISTANCE * hz
        self._frequencies = (hz, hz - away, hz + away)
        self.reset()

    def reset(self) -> None:
        """Forget all frames."""
        self._sums: NDArray[np.complex64] | None = None
        self._mean = np.zeros(0, np.float32)
        self._weight = self._squares = 0.0
        self._time = self._start = 0.0
        self._deviation = np.zeros(0, np.float32)

    def add(self, field: MotionField, time: float) -> None:
        """Add the field of a frame at a time in seconds.

        A field of another size, or an earlier time, starts the averages again.
        """
        moved = field.displacement
        step = time - self._time
        if self._sums is None or self._sums.shape[1:] != moved.shape or step < 0:
            self.reset()
            self._sums = np.zeros((len(self._frequencies), *moved.shape), np.complex64)
            self._mean, self._start, step = moved.copy(), time, 0.0
        self._time, self._deviation = time, field.deviation
        kept = math.exp(-step / self.seconds)
        self._weight, self._squares = kept * self._weight + 1, kept**2 * self._squares + 1
        # The mean of the frames so far, at first of all with the same weight.
        self._mean += (moved - self._mean) * np.float32(1 / self._weight)
        centred = moved - self._mean
        for total, hz in zip(self._sums, self._frequencies, strict=True):
            turn = np.exp(-2j * np.pi * hz * (time - self._start))
            total *= np.float32(kept)
            total += centred * np.complex64(turn)

    @property
    def ready(self) -> bool:
        """True after two periods, at least half a second."""
        return self._sums is not None and self._time - self._start >= max(2 / self.hz, 0.5)

    def amplitude(self) -> Amplitudes:
        """Complex amplitude at the frequency (h, w, 2) px; its angle is the phase at time 0."""
        assert self._sums is not None
        turn = np.exp(2j * np.pi * self.hz * self._start)
        return np.asarray(self._sums[0] * np.complex64(2 / self._weight / turn), np.complex64)

    def noise(self) -> NDArray[np.float32]:
        """Amplitude that noise has on average (h, w, 2) px; infinite where nothing is known."""
        assert self._sums is not None
        around = np.abs(self._sums[1:]).mean(axis=0) * np.float32(2 / self._weight)
        white = self._deviation * np.float32(math.sqrt(2 * self._squares) / self._weight)
        return np.asarray(np.maximum(around, white), np.float32)

    def cells(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Return size (px), phase (rad) and confidence (0 to 1) of each cell, (h, w) each.

        The phase is that of the motion along the main direction of all cells.
        """
        amplitude, noise = self.amplitude(), self.noise()
        known = np.isfinite(noise)
        squares = np.where(known, np.square(np.abs(amplitude)), 0)
        doubt = np.where(known, np.square(noise), 0)
        ratio = np.sqrt(squares.sum(axis=2) / np.maximum(doubt.sum(axis=2), np.float32(1e-12)))
        # Neighbouring cells are averaged, because a single one may be large by chance.
        ratio = cv2.blur(ratio.astype(np.float32), (3, 3))
        share = np.clip(ratio / CONFIDENCE - 0.5, 0, 1) * (ratio > CONFIDENCE)
        x, y = amplitude[..., 0], amplitude[..., 1]
        certain = share > 0
        # Main direction: the larger eigenvector of the sum of products.
        xx, yy = (float(squares[certain, axis].sum()) for axis in (0, 1))
        xy = float((x[certain] * y[certain].conj()).real.sum())
        turn = math.atan2(2 * xy, xx - yy) / 2
        along = x * np.complex64(math.cos(turn)) + y * np.complex64(math.sin(turn))
        size = np.sqrt(squares.sum(axis=2)).astype(np.float32)
        return size, np.angle(along).astype(np.float32), share.astype(np.float32)
