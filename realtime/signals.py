"""SIGINT, SIGTERM and SIGHUP: graceful stop, immediate exit, and deferral in critical sections.

The first signal requests a graceful stop: it raises KeyboardInterrupt in the main thread. A second
Ctrl-C exits immediately. So does a signal that the main thread cannot handle for a few seconds.
Python handles signals between two instructions, never while a library is running: a driver that
hangs would make the process ignore them. So a thread of its own counts the signals that arrive.
"""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_STOP_SIGNALS = [getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)]

_TICK, _TICKS = 0.5, 8
"""Interval of checks in seconds, and the number of checks after which a signal counts as unhandled.
Checks are counted, because time also passes while the process is suspended."""

THREAD_NAME = "rtmag signals"
"""Name of the thread that counts signals. It only waits, so it may run while Python shuts down."""

received: list[int] = []
"""Numbers of the signals received since `listen`. Global, because handlers are per process."""

_handled: list[int] = []
"""Numbers of the signals that reached a handler of this module, deferred ones included."""


def listen() -> None:
    """Install handlers that raise KeyboardInterrupt at the first signal.

    A graceful stop may take a while, for example to finish a file. A Ctrl-C during that time exits
    immediately; the part of the file written so far is readable. Further signals of other kinds are
    ignored. A signal that the process was started to ignore, as by nohup, stays ignored.
    """
    for number in _STOP_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)
    arrivals, wakeup = socket.socketpair()
    wakeup.setblocking(False)
    signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
    # The thread keeps both ends open.
    watch = threading.Thread(target=_watch, args=(arrivals, wakeup), name=THREAD_NAME, daemon=True)
    watch.start()


def _watch(arrivals: socket.socket, wakeup: socket.socket) -> None:
    """Exit at a second Ctrl-C, or if no handler runs after the first signal."""
    arrived: list[int] = []
    ticks = 0
    while True:
        arrivals.settimeout(_TICK if arrived and not _handled else None)
        try:
            arrived += [each for each in arrivals.recv(64) if each in _STOP_SIGNALS]
        except TimeoutError:
            ticks += 1
        if signal.SIGINT in arrived[1:] or ticks > _TICKS:
            os._exit(128 + arrived[0])


def _stop(number: int, frame: FrameType | None) -> None:
    """Handler: request a graceful stop."""
    _handled.append(number)
    _request_stop(number)


def _request_stop(number: int) -> None:
    """Raise KeyboardInterrupt at the first signal."""
    received.append(number)
    if len(received) == 1:
        raise KeyboardInterrupt


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
    # A handler that was not installed from Python (None) could not be restored, and an ignored
    # signal stays ignored.
    before = {
        number: handler
        for number, handler in handlers.items()
        if handler not in (None, signal.SIG_IGN)
    }

    def defer(number: int, frame: FrameType | None) -> None:
        _handled.append(number)
        pending.append(number)

    for number in before:
        signal.signal(number, defer)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in pending:
            if before[number] is _stop:  # raising the signal again would count it twice
                _request_stop(number)
            else:
                signal.raise_signal(number)
