"""Retry policy, back-off and waiting for a source to become available."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from rtmag.realtime.errors import SourceAbsent


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Timeouts and delays of a ReconnectingSource, in seconds."""

    stall_after: float = 1.75
    """Time without a picture until the state is STALLED.

    The source is polled every 0.25 s, so the user sees it within 2 s.
    """
    reconnect_after: float = 5.0
    """Time without a picture until the source is opened again."""
    reconnect_after_sleep: float = 0.75
    """The same, shortly after the process was suspended.

    TCP resends undelivered data only after another period as long as the suspension, so a new
    connection is faster than the old one.
    """
    opening_factor: float = 3.0
    """Opening may take `reconnect_after` times this factor, until the first picture.

    For streams it is infinite: they end a silent attempt themselves, and while video arrives they
    wait for its next key picture.
    """
    delays: tuple[float, ...] = (0.5, 1.0, 2.0)
    """Delays before the attempts in the first `long_outage` seconds; the last one repeats."""
    long_outage: float = 30.0
    """Length of an outage from which `long_outage_delays` apply."""
    long_outage_delays: tuple[float, ...] = (4.0, 8.0, 10.0)
    """Delays before the attempts in a long outage; the last one repeats."""
    jitter: float = 0.2
    """Largest random change of a delay, as a fraction, so that clients do not retry together."""
    reset_after: float = 10.0
    """Time with pictures after which the next outage begins with the first delay."""


@dataclass(slots=True)
class Backoff:
    """Delays between attempts to reconnect, short at first and longer in a long outage."""

    policy: RetryPolicy
    _attempts: int = field(default=0, init=False)
    _long: bool = field(default=False, init=False)

    def delay(self, outage: float) -> float:
        """Return the seconds until the next attempt and count the attempt.

        Args:
            outage: length of the outage so far, in seconds.
        """
        long = outage >= self.policy.long_outage
        if long != self._long:
            self._attempts, self._long = 0, long
        delays = self.policy.long_outage_delays if long else self.policy.delays
        usual = delays[min(self._attempts, len(delays) - 1)]
        self._attempts += 1
        jitter = self.policy.jitter
        return usual * random.uniform(1 - jitter, 1 + jitter)  # noqa: S311

    def reset(self) -> None:
        """Start again from the first delay."""
        self._attempts = 0


T = TypeVar("T")


def wait_until_available(
    opener: Callable[[], T],
    on_wait: Callable[[str], None],
    policy: RetryPolicy,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Call `opener` until it succeeds, without a time limit, and return its result.

    Args:
        opener: called again after it raised SourceAbsent; all other errors are passed on.
        on_wait: called with the reason for waiting, once for each new reason.
        policy: its delays separate the attempts.
        sleep: waits for a number of seconds; may raise an error to stop waiting.
    """
    backoff, start, reason = Backoff(policy), time.monotonic(), ""
    while True:
        try:
            return opener()
        except SourceAbsent as error:
            if str(error) != reason:
                reason = str(error)
                on_wait(f"waiting: {reason}")
        sleep(backoff.delay(time.monotonic() - start))
