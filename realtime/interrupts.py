"""Ctrl-C and requests to stop, put off while something must not be torn in two."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_STOPS = [getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)]


@contextmanager
def deferred() -> Iterator[None]:
    """Signals that come meanwhile take effect at the end.

    A packet lost between encoder and file costs every frame that builds on it. Only the main
    thread gets signals; in others nothing is done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    handlers = {number: signal.getsignal(number) for number in _STOPS}
    # A handler that Python did not set it could not set again either.
    before = {number: handler for number, handler in handlers.items() if handler is not None}
    for number in before:
        signal.signal(number, lambda number, _: received.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in received:
            signal.raise_signal(number)
