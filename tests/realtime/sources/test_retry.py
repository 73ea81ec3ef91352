"""When a lost source is tried again."""

import pytest

from rtmag.realtime.sources.retry import Backoff, RetryPolicy


def test_delays_grow_as_an_outage_goes_on() -> None:
    """F02: 0.5, 1, 2, 2 ... for half a minute, then 4, 8, 10, 10 ..., each within 20 %."""
    for _ in range(50):
        backoff, outage, delays = Backoff(RetryPolicy()), 0.0, []
        while outage < 120:
            delays.append((outage, backoff.delay(outage)))
            outage += delays[-1][1] + 0.1  # and the try takes a moment
        early = [delay for at, delay in delays if at < 30]
        late = [delay for at, delay in delays if at >= 30]
        for found, usual in ((early, [0.5, 1, 2]), (late, [4, 8, 10])):
            usual += usual[-1:] * (len(found) - 3)
            assert found == pytest.approx(usual, rel=0.2)


def test_delays_vary() -> None:
    """F02: many viewers do not come at once."""
    first = [Backoff(RetryPolicy()).delay(0.0) for _ in range(200)]
    assert max(first) - min(first) > 0.1


def test_delays_begin_anew() -> None:
    """After a healthy while, and after an outage that had become long."""
    steady = RetryPolicy(jitter=0.0)
    backoff = Backoff(steady)
    assert [backoff.delay(0), backoff.delay(1)] == [0.5, 1.0]
    backoff.reset()
    assert [backoff.delay(0), backoff.delay(31), backoff.delay(0)] == [0.5, 4.0, 0.5]


def test_pictures_in_between_keep_an_outage_short() -> None:
    """A line that breaks again and again is tried every two seconds, however long that goes on."""
    backoff = Backoff(RetryPolicy(jitter=0.0))
    assert [backoff.delay(3.0) for _ in range(40)][2:] == [2.0] * 38
