"""Waits for a source that is not there yet, as a machine must that starts after a power cut.

Only what time may mend is waited for. A wrong password, or an address of something else, stays
wrong; a name that is not known, or a path that is not there, may be: routers and recorders start
later than what asks them.
"""

import time
from collections.abc import Callable
from typing import TypeVar

from rtmag.realtime.errors import SourceAbsent
from rtmag.realtime.patience import Backoff, Patience

T = TypeVar("T")


def until_there(opener: Callable[[], T], told: Callable[[str], None], patience: Patience) -> T:
    """What the opener opens, tried after the delays of `patience`, for ever.

    Args:
        opener: tried again when it raises SourceAbsent; whatever else it raises is passed on.
        told: each reason to wait, once as long as it stays the same.
        patience: its delays are those of an outage that begins now.
    """
    backoff, began, reason = Backoff(patience), time.monotonic(), ""
    while True:
        try:
            return opener()
        except SourceAbsent as error:
            if str(error) != reason:
                reason = str(error)
                told(f"waiting: {reason}")
        time.sleep(backoff.delay(time.monotonic() - began))
