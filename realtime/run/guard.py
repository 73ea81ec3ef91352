"""Keeps a live view alive when the model fails: frames pass unmagnified, and it is said why.

After a failure the model is loaded anew, at most five times a minute. A result that is no picture,
or a memory with numbers that are none, counts as a failure; neither is ever passed on. A step that
never returns cannot be broken off from within the process: the watchdog ends it, with exit code 70,
so that whatever supervises it starts it again.
"""

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable

import numpy as np

from rtmag.realtime.engines.engine import Engine
from rtmag.realtime.errors import ModelError, OptionError
from rtmag.realtime.frame import Frame
from rtmag.realtime.log import redact
from rtmag.realtime.magnifier import Magnifier
from rtmag.realtime.sources.source import Closeable

HANG = 10.0
"""Seconds a step may take; the first ones, which prepare much, three times as long."""

EXIT_HANG = 70

_RESTARTS, _WITHIN = 5, 60.0

_FIRST_STEPS = 5

_LOOK = 30
"""Steps between looks at a memory that lies on a GPU: it is fetched for that."""

_PAUSE = 1.0
"""Seconds between tries of a model that fails."""


class Guard(Closeable):
    """Steps of a magnifier that never raise for its model's sake; a context manager.

    Args:
        magnifier: what magnifies; its settings are set on it.
        reload: loads the model anew.
        note: told of each new kind of failure.
        hang: seconds a step may take.
        on_hang: called when one takes longer, from another thread; ends the process by default.
    """

    def __init__(
        self,
        magnifier: Magnifier,
        reload: Callable[[], Engine],
        note: Callable[[str], None],
        *,
        hang: float = HANG,
        on_hang: Callable[[str], None] | None = None,
    ) -> None:
        self.failures = 0
        """Frames that passed unmagnified because of the model."""
        self.alert: str | None = None
        """What to write over the picture while the model fails."""
        self.magnifier = magnifier
        self._reload, self._note = reload, note
        self._hang, self._on_hang = hang, on_hang or _end
        self._restarts: deque[float] = deque(maxlen=_RESTARTS)
        self._retry = 0.0
        self._broken = False
        self._steps = 0
        self._began: float | None = None
        self._stop = threading.Event()
        self._watchdog = threading.Thread(target=self._watch, name="rtmag watchdog", daemon=True)
        self._watchdog.start()

    def __call__(self, frame: Frame) -> Frame:
        """The magnified frame, or the same frame when the model fails."""
        if self._broken and not self._mended():
            self.failures += 1
            return frame
        self._began = time.monotonic()
        try:
            magnified = self.magnifier(frame)
            memory = self.magnifier.memory
            fetched = isinstance(memory, np.ndarray) or self._steps % _LOOK == 0
            _check(frame, magnified, memory if fetched else None)
        except OptionError:  # a person's mistake, not the model's
            raise
        except Exception as error:  # an engine may raise anything; the view goes on
            self.failures += 1
            self._fail(str(error) or type(error).__name__)
            return frame
        finally:
            self._began = None
            self._steps += 1
        self.alert = None
        return magnified

    def close(self) -> None:
        """End the watchdog."""
        self._stop.set()
        self._watchdog.join()

    def _fail(self, words: str) -> None:
        self._broken = True
        self.magnifier.reset()
        words = f"not magnified: {redact(words)}"
        if words != self.alert:
            self._note(f"error: {words}")
        self.alert = words

    def _mended(self) -> bool:
        """Load the model anew, if it is time for that."""
        now = time.monotonic()
        spent = len(self._restarts) == _RESTARTS and now - self._restarts[0] < _WITHIN
        if spent or now < self._retry:
            return False
        self._restarts.append(now)
        self._retry = now + _PAUSE
        try:
            self.magnifier.engine = self._reload()
        except Exception as error:
            self._fail(str(error) or type(error).__name__)
            return False
        self._broken, self._steps = False, 0
        return True

    def _watch(self) -> None:
        while not self._stop.wait(min(0.5, self._hang / 4)):
            began = self._began
            most = self._hang * (3 if self._steps < _FIRST_STEPS else 1)
            if began is not None and time.monotonic() - began > most:
                self._on_hang(f"the model has not answered for {most:.0f} s")
                return


def _check(frame: Frame, magnified: Frame, memory: object) -> None:
    """Refuse what is no picture, and a memory that would spoil all pictures to come."""
    image = magnified.image
    if image.dtype != np.uint8 or image.shape != frame.image.shape:
        raise ModelError(f"the model gave {image.dtype} {image.shape}, not a picture")
    # One sum shows any number that is none, and takes a fraction of a millisecond.
    if memory is not None and not np.isfinite(np.asarray(memory).sum(dtype=np.float64)):
        raise ModelError("the model gave numbers that are none")


def _end(words: str) -> None:
    """Leave at once: a thread that hangs in a driver would hold up any other way out."""
    print(f"error: {words}; started again, it may work", file=sys.stderr, flush=True)
    os._exit(EXIT_HANG)
