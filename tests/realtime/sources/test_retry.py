"""Delays between attempts to reconnect."""

import pytest

from rtmag.realtime.sources.retry import Backoff, RetryPolicy


def test_delays_grow_as_an_outage_goes_on() -> None:
    """F02: 0.5, 1, 2, 2 ... for half a minute, then 4, 8, 10, 10 ..., each within 20 %."""
    for _ in range(50):
        backoff, outage, delays = Backoff(RetryPolicy()), 0.0, []
        while outage < 120:
            delays.append((outage, backoff.delay(outage)))
            outage += delays[-1][1] + 0.1  # the attempt itself takes a moment
        early = [delay for at, delay in delays if at < 30]
        late = [delay for at, delay in delays if at >= 30]
        for measured, usual in ((early, [0.5, 1, 2]), (late, [4, 8, 10])):
            usual += usual[-1:] * (len(measured) - 3)
            assert measured == pytest.approx(usual, rel=0.2)


def test_delays_have_jitter() -> None:
    """F02: many clients do not reconnect at the same time."""
    first = [Backoff(RetryPolicy()).delay(0.0) for _ in range(200)]
    assert max(first) - min(first) > 0.1


def test_delays_start_again_after_a_success() -> None:
    """After reset(), and when an outage becomes long or ends."""
    steady = RetryPolicy(jitter=0.0)
    backoff = Backoff(steady)
    assert [backoff.delay(0), backoff.delay(1)] == [0.5, 1.0]
    backoff.reset()
    assert [backoff.delay(0), backoff.delay(31), backoff.delay(0)] == [0.5, 4.0, 0.5]


def test_pictures_between_failures_keep_an_outage_short() -> None:
    """A connection that breaks repeatedly is tried every two seconds, without a limit."""
    backoff = Backoff(RetryPolicy(jitter=0.0))
    assert [backoff.delay(3.0) for _ in range(40)][2:] == [2.0] * 38
