"""Ctrl-C and requests to stop: obeyed once at leisure, at once when Ctrl-C comes again.

They are put off while something must not be torn in two.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_STOPS = [getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)]

_heard: list[int] = []
"""What the process was told so far, once `listen` was called; a process has one set of handlers."""


def listen() -> list[int]:
    """Turn requests to stop into KeyboardInterrupt; returns the list of what has come.

    Ending takes a while where a file must be finished. Ctrl-C during that ends the process at once;
    the file's fragments are readable. Other requests are not repeated by hand, and change nothing.
    """
    for number in _STOPS:
        signal.signal(number, _stop)
    return _heard


def _stop(number: int, frame: FrameType | None) -> None:
    _heard.append(number)
    if len(_heard) == 1:
        raise KeyboardInterrupt
    if number == signal.SIGINT:
        os._exit(128 + _heard[0])


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
    ours = before.get(signal.SIGINT) is _stop

    def put_off(number: int, frame: FrameType | None) -> None:
        if ours and number == signal.SIGINT and (_heard or received):
            os._exit(128 + (_heard or received)[0])
        received.append(number)

    for number in before:
        signal.signal(number, put_off)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in received:
            signal.raise_signal(number)
