"""Deferral of signals in critical sections, and signals that the main thread cannot handle."""

import signal
import subprocess
import sys
import threading
import time

import pytest

from rtmag.realtime.signals import deferred
from tests.support.fakes import ENVIRONMENT


def test_an_interrupt_takes_effect_after_the_critical_section() -> None:
    steps = []
    with pytest.raises(KeyboardInterrupt), deferred():
        signal.raise_signal(signal.SIGINT)
        steps.append("whole")
    assert steps == ["whole"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_handlers_are_restored_without_a_signal() -> None:
    with deferred():
        pass
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_handlers_are_restored_after_an_error() -> None:
    with pytest.raises(KeyError), deferred():
        raise KeyError
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_threads_keep_the_handlers() -> None:
    entered = []

    def work() -> None:
        with deferred():
            entered.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert entered == [signal.default_int_handler]


POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


def start(code: str, before: str = "") -> "subprocess.Popen[bytes]":
    """Start a program and wait until it is ready."""
    child = subprocess.Popen(
        [sys.executable, "-c", before + code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    return child


BUSY = """
import hashlib, sys, threading, time
from rtmag.realtime.signals import listen

def work(digest=hashlib.pbkdf2_hmac):
    digest("sha256", b"", b"", 2**30)  # takes minutes without a handler

def report():
    while sys._current_frames()[threading.main_thread().ident].f_code is not work.__code__:
        time.sleep(0.01)
    time.sleep(0.2)
    print("ready", flush=True)

listen()
threading.Thread(target=report, daemon=True).start()
work()
"""


@POSIX
@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_second_ctrl_c_ends_a_process_that_handles_no_signals(first: signal.Signals) -> None:
    with start(BUSY) as child:
        child.send_signal(first)
        time.sleep(0.2)
        assert child.poll() is None
        child.send_signal(signal.SIGINT)
        assert child.wait(10) == 128 + first


@POSIX
def test_one_signal_ends_a_process_that_does_not_handle_it_in_time() -> None:
    code = BUSY.replace("listen()\n", "signals._TICK = 0.05; listen()\n")
    with start(code, "from rtmag.realtime import signals") as child:
        child.send_signal(signal.SIGTERM)
        assert child.wait(10) == 128 + signal.SIGTERM


@POSIX
def test_ignored_signals_stay_ignored() -> None:
    """As nohup and background jobs of a shell start a process."""
    code = """
import signal
from rtmag.realtime.signals import deferred, listen
listen()
with deferred():
    pass
assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
print("ready", flush=True)
signal.pause()
"""
    with start(code, "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)") as child:
        child.send_signal(signal.SIGHUP)
        time.sleep(0.2)
        assert child.poll() is None
        child.send_signal(signal.SIGTERM)
        child.wait(10)
