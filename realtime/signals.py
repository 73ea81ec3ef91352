"""SIGINT, SIGTERM and SIGHUP: graceful stop, immediate exit, and deferral in critical sections.

The first signal requests a graceful stop. A second Ctrl-C (SIGINT) exits immediately.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_STOP_SIGNALS = [getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)]

_received: list[int] = []
"""Numbers of the signals received since `listen`. Global, because handlers are per process."""


def listen() -> list[int]:
    """Install handlers that raise KeyboardInterrupt at the first signal.

    A graceful stop may take a while, for example to finish a file. A Ctrl-C during that time exits
    immediately; the part of the file written so far is readable. Further signals of other kinds are
    ignored.

    Returns:
        The list to which the numbers of received signals are appended.
    """
    for number in _STOP_SIGNALS:
        signal.signal(number, _stop)
    return _received


def _stop(number: int, frame: FrameType | None) -> None:
    """Handler: raise KeyboardInterrupt at the first signal, exit at a second SIGINT."""
    _received.append(number)
    if len(_received) == 1:
        raise KeyboardInterrupt
    if number == signal.SIGINT:
        os._exit(128 + _received[0])


@contextmanager
def deferred() -> Iterator[None]:
    """Critical section: signals that arrive inside take effect at its end.

    For example, a packet lost between encoder and file would damage all frames predicted from it.
    Python delivers signals to the main thread only, so in other threads this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pending: list[int] = []
    handlers = {number: signal.getsignal(number) for number in _STOP_SIGNALS}
    # A handler that was not installed from Python (None) could not be restored: leave it in place.
    before = {number: handler for number, handler in handlers.items() if handler is not None}
    ours = before.get(signal.SIGINT) is _stop

    def defer(number: int, frame: FrameType | None) -> None:
        if ours and number == signal.SIGINT and (_received or pending):
            os._exit(128 + (_received or pending)[0])
        pending.append(number)

    for number in before:
        signal.signal(number, defer)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in pending:
            signal.raise_signal(number)
