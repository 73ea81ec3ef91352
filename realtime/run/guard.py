"""Protection of a live run against a model that fails.

When the model raises an error, frames pass unmagnified and the view shows it. The model is loaded
again, at most five times a minute. A result of the wrong shape or type, and a state that contains
NaN or infinite values, count as errors; neither is passed on. A step that does not return ends the
process, see `Watchdog`.
"""

import time
from collections import deque
from collections.abc import Callable

import numpy as np

from rtmag.realtime.engines.engine import Engine
from rtmag.realtime.errors import ModelError, ModelIncompatible, OptionError
from rtmag.realtime.frame import Frame
from rtmag.realtime.log import redact
from rtmag.realtime.magnifier import Magnifier
from rtmag.realtime.run.watchdog import HANG, Watchdog
from rtmag.realtime.sources.source import Closeable

_RELOADS, _RELOAD_PERIOD = 5, 60.0
"""Largest number of reloads in a period, and its length in seconds."""

_RELOAD_PAUSE = 1.0
"""Seconds between two reloads."""

_GPU_CHECK_STEPS = 30
"""Number of steps between two checks of a state on a GPU; a check copies the state."""


class Guard(Closeable):
    """Calls a magnifier and catches errors of its model; a context manager.

    A model that does not fit and has never worked is no failure: its error is raised.

    Args:
        magnifier: called for each frame.
        reload: loads the model again.
        notice: prints a message for each new kind of error.
        hang: seconds that a step may take.
        on_hang: called from another thread when a step takes longer; ends the process by default.
    """

    def __init__(
        self,
        magnifier: Magnifier,
        reload: Callable[[], Engine],
        notice: Callable[[str], None],
        *,
        hang: float = HANG,
        on_hang: Callable[[str], None] | None = None,
    ) -> None:
        self.failures = 0
        """Number of frames that passed unmagnified because the model failed."""
        self.alert: str | None = None
        """Message to show over the picture while the model fails; None while it works."""
        self.magnifier = magnifier
        self._reload, self._notice = reload, notice
        self._watchdog = Watchdog(hang, on_hang)
        self._reloads: deque[float] = deque(maxlen=_RELOADS)
        self._next_reload = 0.0
        self._broken = False
        self._worked = False
        self._steps = 0

    def __call__(self, frame: Frame) -> Frame:
        """Return the magnified frame, or the frame itself if the model fails.

        Raises:
            ModelIncompatible: the model does not fit, and has not worked before.
            OptionError: as `Magnifier`.
        """
        if self._broken and not self._reloaded():
            self.failures += 1
            return frame
        try:
            with self._watchdog.step():
                magnified = self.magnifier.magnify(frame)
                _check_image(frame, magnified)
                self._check_state()
        except OptionError:  # an error of the user, not of the model
            raise
        except ModelIncompatible as error:
            if not self._worked:
                raise
            return self._passed(frame, error)
        except Exception as error:  # an engine may raise any error
            return self._passed(frame, error)
        finally:
            self._steps += 1
        self.alert = None
        self._worked = self._worked or self.magnifier.memory is not None
        return magnified

    def _passed(self, frame: Frame, error: Exception) -> Frame:
        """Report an error of the model and return the frame unmagnified."""
        self.failures += 1
        self._fail(str(error) or type(error).__name__)
        return frame

    def close(self) -> None:
        """Stop the watchdog."""
        self._watchdog.close()

    def _check_state(self) -> None:
        """Raise ModelError if the state contains NaN or infinite values."""
        state = self.magnifier.memory
        if state is None or not (
            isinstance(state, np.ndarray) or self._steps % _GPU_CHECK_STEPS == 0
        ):
            return
        # One such value makes the sum NaN or infinite. Summing takes a fraction of a millisecond.
        if not np.isfinite(np.asarray(state).sum(dtype=np.float64)):
            raise ModelError("the model returned NaN or infinite values")

    def _fail(self, message: str) -> None:
        self._broken = True
        self.magnifier.reset()
        message = f"not magnified: {redact(message)}"
        if message != self.alert:
            self._notice(f"error: {message}")
        self.alert = message

    def _reloaded(self) -> bool:
        """Load the model again, if the limit of reloads allows it; return True if it was loaded."""
        now = time.monotonic()
        exhausted = len(self._reloads) == _RELOADS and now - self._reloads[0] < _RELOAD_PERIOD
        if exhausted or now < self._next_reload:
            return False
        self._reloads.append(now)
        self._next_reload = now + _RELOAD_PAUSE
        try:
            engine, scale = self._reload(), self.magnifier.motion_scale
            self.magnifier.engine = engine if engine.motion_scale == scale else engine.at(scale)
        except Exception as error:
            self._fail(str(error) or type(error).__name__)
            return False
        self._broken = False
        self._watchdog.restart()
        return True


def _check_image(frame: Frame, magnified: Frame) -> None:
    image = magnified.image
    if image.dtype != np.uint8 or image.shape != frame.image.shape:
        raise ModelError(
            f"the model returned {image.dtype} {image.shape}, expected uint8 {frame.image.shape}"
        )
