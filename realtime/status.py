"""How a source is doing, as whoever watches is told."""

import time
from dataclasses import dataclass
from typing import Literal

State = Literal["CONNECTING", "RUNNING", "STALLED", "RECONNECTING", "ENDED", "FAILED"]

_TOLD = {"CONNECTING": "connecting", "STALLED": "no picture", "RECONNECTING": "reconnecting"}
"""What a person reads of the states that may pass."""


@dataclass(frozen=True, slots=True)
class Status:
    """The state of a source, since when, and what it went through."""

    state: State = "RUNNING"
    since: float = 0.0
    """Monotonic time at which the state began; of an outage, its last picture."""
    words: str = ""
    """What went wrong last, without credentials; empty when nothing did."""
    reconnects: int = 0
    """How many times it was opened again."""
    stalls: int = 0
    """How many times no picture came for a while."""
    errors: int = 0
    """Damaged packets and pictures."""

    def told(self, now: float | None = None) -> str | None:
        """A line to write over the picture, such as 'reconnecting (12 s)'; None when all is well.

        >>> Status("RECONNECTING", since=100.0).told(112.3)
        'reconnecting (12 s)'
        """
        if self.state not in _TOLD:
            return None
        now = time.monotonic() if now is None else now
        return f"{_TOLD[self.state]} ({max(now - self.since, 0):.0f} s)"


def status_of(source: object) -> Status:
    """The status of any source; one that tells none is running."""
    status = getattr(source, "status", None)
    return status if isinstance(status, Status) else Status()
