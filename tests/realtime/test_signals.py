"""What must not be torn in two is not."""

import signal
import threading

import pytest

from rtmag.realtime.signals import deferred


def test_an_interrupt_waits_for_the_end() -> None:
    steps = []
    with pytest.raises(KeyboardInterrupt), deferred():
        signal.raise_signal(signal.SIGINT)
        steps.append("whole")
    assert steps == ["whole"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_without_an_interrupt_nothing_happens() -> None:
    with deferred():
        pass
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_errors_pass_and_handlers_come_back() -> None:
    with pytest.raises(KeyError), deferred():
        raise KeyError
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_threads_are_left_alone() -> None:
    entered = []

    def work() -> None:
        with deferred():
            entered.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert entered == [signal.default_int_handler]
