"""Frame rate, measured from the steps between the times of frames.

Steps are rarely all equal, and neither their median nor their mean is right in every case:

* A clock rounds times. One of 1/600 s gives 240 frames per second as steps of 2 and 3 ticks.
* Some cameras and converters alternate between two steps, such as 20 and 47 ms. Here and above, the
  rate is that of the mean.
* Where frames are missing, steps are whole multiples of the usual one. The mean is too long.
* The rate may change. The mean over the change is neither of both.
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray

GAP = 0.5
"""Seconds without frames, or three intervals if longer, after which a band starts again."""

RATE_TOLERANCE = 0.05
"""Relative difference below which two steps, or two rates, count as equal."""

_UNSTEADY_TOLERANCE = 0.3
"""The same for two rates, while the steps differ."""

_COARSEST_TICK = 0.002
"""Seconds. The tick of a coarser clock is one frame, and a step of two ticks is a missing frame."""

_WHOLE = 0.15
"""Mean distance from whole multiples, in steps, up to which frames count as missing."""

_PAUSE = 3.5
"""Number of usual intervals from which a step is a pause, which has no part in the rate."""

_RECENT = 8
"""Number of equal steps that show a change of the rate."""


def rounding(tick: float) -> float:
    """Return the seconds by which a clock with this tick, in seconds, may change a step."""
    return tick if tick <= _COARSEST_TICK else 0.0


def count_intervals(
    steps: NDArray[np.float64], tick: float, likely: float | None = None
) -> tuple[float, int]:
    """Return an amount of time and the number of usual intervals in it, missing frames included.

    Args:
        steps: (N,) positive times from frame to frame, N at least 1, in any unit.
        tick: amount by which a step may be rounded, in the same unit.
        likely: usual step until now. It stays if all steps are about multiples of it, even if most
            frames are missing.
    """
    middle = float(np.sort(steps)[(len(steps) - 1) // 2])
    for unit in (likely or middle, middle):
        ratios = steps / unit
        ratios[np.abs(steps - unit) <= 1.01 * tick] = 1.0
        used = ratios < _PAUSE
        off = np.abs(ratios - np.maximum(np.rint(ratios), 1.0)).clip(max=0.5)
        if unit != likely:
            off[~used] = 0.5  # almost any long step is near some multiple of a short one
        if off.mean() <= _WHOLE and used.any():
            counts = np.maximum(np.floor(ratios[used] + 0.4), 1.0)
            return float(steps[used].sum()), int(counts.sum())
    used = steps < _PAUSE * steps.mean()
    return float(steps[used].sum()), int(used.sum())


class RateMeter:
    """Frame rate of a stream, from its last frame intervals.

    Args:
        window: number of intervals that are used.
        least: number of intervals that are needed before the rate is known.
        expected: rate in 1/s that is assumed until `window` intervals are known, or until a few
            equal ones contradict it; None: no assumption.

    >>> meter = RateMeter(least=2)
    >>> for time in (0.0, 0.5, 1.0):
    ...     meter.add(time)
    >>> meter.fps
    2.0
    """

    def __init__(self, window: int = 31, *, least: int = 10, expected: float | None = None) -> None:
        self.step: float | None = None
        """Usual seconds from frame to frame; None before the second frame."""
        self.last: float | None = None
        """Time of the last frame in seconds; None before the first one."""
        self.fps: float | None = None
        """Frames per second; None if too few intervals are known."""
        self.steady = True
        """True if all intervals are usual, apart from small differences and rounding."""
        self.tolerance = RATE_TOLERANCE
        """Relative difference from the measured rate that need not be one."""
        self._least = least
        self._expected = None if expected is None else 1 / expected
        self._steps: deque[float] = deque(maxlen=window)
        self._tick = 0.0
        self._count = 0

    def add(self, time: float, frames: int = 1, *, tick: float = 0.0) -> None:
        """Add the time of a frame; one that does not increase begins a new interval.

        Args:
            time: of the frame, in seconds.
            frames: number of frame intervals since the last call; above 1 if frames were dropped.
            tick: seconds by which times are rounded.
        """
        last, self.last = self.last, time
        if last is None or time <= last:
            return
        self._tick = tick
        self._count += 1
        self._steps.append((time - last) / frames)
        steps = np.array(self._steps)
        likely = self.step
        if self._has_changed(steps[-_RECENT:]):
            self._expected = likely = None
            steps = steps[-_RECENT:]
            self._steps = deque(steps.tolist(), self._steps.maxlen)
        if len(self._steps) == self._steps.maxlen:
            self._expected = None
        seconds, intervals = count_intervals(steps, tick, likely)
        self.step = step = self._expected or seconds / intervals
        self.fps = 1 / step if self._count >= self._least else None
        self.steady = bool(np.abs(steps - step).max() <= max(1.01 * tick, RATE_TOLERANCE * step))
        self.tolerance = RATE_TOLERANCE + tick / (len(steps) * step)
        if not self.steady:
            self.tolerance = _UNSTEADY_TOLERANCE

    def _has_changed(self, recent: NDArray[np.float64]) -> bool:
        """True if the last steps are equal, but not to the usual one."""
        if self.step is None or len(recent) < _RECENT:
            return False
        mean = float(recent.mean())
        if np.abs(recent - mean).max() > max(1.01 * self._tick, 2 * RATE_TOLERANCE * mean):
            return False
        doubt = RATE_TOLERANCE + self._tick / (_RECENT * self.step)
        return abs(mean / self.step - 1) > doubt

    def restart(self) -> None:
        """Leave out the interval between the last frame and the next one."""
        self.last = None
