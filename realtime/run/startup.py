"""Waits for a source that is not there yet, as a machine must that starts after a power cut.

Only what time may mend is waited for. A wrong password, or an address of something else, stays
wrong; a name that is not known, or a path that is not there, may be: routers and recorders start
later than what asks them.

Whoever looks at a view meanwhile is told what is waited for, and may leave.
"""

import threading
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from rtmag.realtime.controls import Controls
from rtmag.realtime.run.report import Tally
from rtmag.realtime.sources.latest import LatestSlot
from rtmag.realtime.sources.source import Status
from rtmag.realtime.view.viewer import View, Viewer

_TICK = 0.1


class Closes(Protocol):
    """Something to close."""

    def close(self) -> None:
        """Free it."""
        ...


Opened = TypeVar("Opened", bound=Closes)


class Left(Exception):
    """Whoever waited has left."""


def attended(opener: Callable[[], Opened], rest: Callable[[float], None]) -> Opened:
    """What the opener opens, in a thread of its own, for it may take long, and `rest` goes on.

    Whatever `rest` raises ends it, and what is opened all the same is closed.
    """
    slot: LatestSlot[Opened] = LatestSlot()

    def work() -> None:
        try:
            opened = opener()
        except BaseException as error:
            slot.close(error)
        else:
            if not slot.put(opened):
                opened.close()

    threading.Thread(target=work, name="rtmag opener", daemon=True).start()
    try:
        while (opened := slot.get(0)) is None:
            rest(_TICK)
        return opened
    except BaseException:
        slot.close()
        late = slot.get(0)
        if late is not None:
            late.close()
        raise


def resting_at(view: View | None, controls: Controls, name: str) -> Callable[[float], None]:
    """What lets time pass at a view that says what is waited for; raises Left when it is left."""
    began = time.monotonic()

    def facts() -> dict[str, Any]:
        waited = f"waiting for {name} ({time.monotonic() - began:.0f} s)"
        return {**Tally(live=True).snapshot(Status("CONNECTING", began)), "words": waited}

    viewer = Viewer(view, controls, list, facts=facts)

    def rest(seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            viewer.idle()
            if controls.quit:
                raise Left
            time.sleep(min(left, _TICK))

    return rest
