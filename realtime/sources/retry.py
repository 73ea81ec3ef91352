"""How long a source that does not answer is waited for, and when it is tried again."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from rtmag.realtime.errors import SourceAbsent


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a supervisor waits for what, in seconds."""

    stalled: float = 1.75
    """Without a picture until that is told: within two seconds, looks every quarter included."""
    lost: float = 5.0
    """Without a picture until the source is opened again."""
    woken: float = 0.75
    """The same for one that we slept through: what TCP could not deliver meanwhile, it tries
    again only after as long a time once more."""
    delays: tuple[float, ...] = (0.5, 1.0, 2.0)
    """Before the tries of the first 30 s of an outage; the last one repeats."""
    long: float = 30.0
    later: tuple[float, ...] = (4.0, 8.0, 10.0)
    """Before those after that; the last one repeats."""
    jitter: float = 0.2
    """Share of a delay by which it varies, so that many viewers do not come at once."""
    healthy: float = 10.0
    """With pictures, after which delays begin anew."""


class Backoff:
    """When to try again: soon at first, rarely once an outage has become long."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._tries, self._late = 0, False

    def delay(self, outage: float) -> float:
        """Seconds until the next try, in an outage of `outage` seconds; counts as a try."""
        late = outage >= self._patience.long
        if late != self._late:
            self._tries, self._late = 0, late
        steps = self._patience.later if late else self._patience.delays
        usual = steps[min(self._tries, len(steps) - 1)]
        self._tries += 1
        jitter = self._patience.jitter
        return usual * random.uniform(1 - jitter, 1 + jitter)  # noqa: S311

    def reset(self) -> None:
        """All is well again."""
        self._tries = 0


T = TypeVar("T")


def until_there(
    opener: Callable[[], T],
    told: Callable[[str], None],
    patience: Patience,
    rest: Callable[[float], None] = time.sleep,
) -> T:
    """What the opener opens, tried after the delays of `patience`, for ever.

    Args:
        opener: tried again when it raises SourceAbsent; whatever else it raises is passed on.
        told: each reason to wait, once as long as it stays the same.
        patience: its delays are those of an outage that begins now.
        rest: lets so many seconds pass; may raise Left.
    """
    backoff, began, reason = Backoff(patience), time.monotonic(), ""
    while True:
        try:
            return opener()
        except SourceAbsent as error:
            if str(error) != reason:
                reason = str(error)
                told(f"waiting: {reason}")
        rest(backoff.delay(time.monotonic() - began))
