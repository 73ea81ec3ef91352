"""A watchdog that ends the process when a step of the model does not return.

Such a step, for example in a driver that hangs, cannot be stopped from within the process. Exit
code 70 lets a service manager start the program again.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rtmag.realtime.sources.source import Closeable

EXIT_HANG = 70
"""Exit code after a hang."""

HANG = 10.0
"""Seconds that a step of a live run may take."""

PATIENT = 60.0
"""Seconds that a step may take where no viewer waits for it."""

_FIRST_STEPS, _FACTOR = 5, 3
"""Number of steps after loading that may take longer, because they allocate memory or compile, and
the factor."""

_LONGEST_TICK = 0.5
"""Largest interval of the checks in seconds."""


class Watchdog(Closeable):
    """Calls `on_hang` if a step takes too long; a context manager.

    Time in which the process was suspended does not count.

    Args:
        limit: seconds that a step may take.
        on_hang: called from another thread with a message; ends the process by default.
    """

    def __init__(self, limit: float = HANG, on_hang: Callable[[str], None] | None = None) -> None:
        self._limit, self._on_hang = limit, on_hang or _exit
        self._running, self._steps, self._loaded_at = False, 0, 0
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="rtmag watchdog", daemon=True)
        self._thread.start()

    def restart(self) -> None:
        """Allow more time for the next steps, after the model was loaded."""
        self._loaded_at = self._steps

    @contextmanager
    def step(self) -> Iterator[None]:
        """Watch the block, which is one step."""
        self._running = True
        try:
            yield
        finally:
            self._steps += 1
            self._running = False

    def close(self) -> None:
        """Stop the watchdog."""
        self._closed.set()
        self._thread.join()

    def _watch(self) -> None:
        tick = min(_LONGEST_TICK, self._limit / 4)
        step, age, last = 0, 0.0, time.monotonic()
        while not self._closed.wait(tick):
            now = time.monotonic()
            awake = min(now - last, 2 * tick)  # more time passes only in a suspended process
            last = now
            if not self._running or step != self._steps:
                step, age = self._steps, 0.0
                continue
            age += awake
            first = step < self._loaded_at + _FIRST_STEPS
            limit = self._limit * (_FACTOR if first else 1)
            if age > limit:
                self._on_hang(f"the model has not returned for {limit:.0f} s")
                return


def _exit(message: str) -> None:
    """End the process immediately: a thread that hangs in a driver would block a normal exit."""
    print(f"error: {message}; start rtmag again", file=sys.stderr, flush=True)
    os._exit(EXIT_HANG)
