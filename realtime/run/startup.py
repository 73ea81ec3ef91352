"""Opening of a source in the background, while the view shows a message.

This is used for a source that is not available yet. After a power cut, for example, routers and
recorders may start later than this program. The user can quit in the view while waiting.
"""

import threading
import time
from collections.abc import Callable

from rtmag.realtime.controls import Controls
from rtmag.realtime.sources.latest import LatestSlot
from rtmag.realtime.sources.source import FrameSource
from rtmag.realtime.view.viewer import Facts, View, Viewer

_TICK = 0.1
"""Seconds between two checks of the keys."""


class UserQuit(Exception):
    """The user quit before the source was open."""


def open_in_background(
    opener: Callable[[], FrameSource], wait: Callable[[float], None]
) -> FrameSource:
    """Call `opener` in a thread and `wait` in this one until the source is open.

    Args:
        opener: opens the source; its errors are raised here.
        wait: waits for the given seconds. If it raises, a source that is opened later is closed.
    """
    slot: LatestSlot[FrameSource] = LatestSlot()

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
            wait(_TICK)
        return opened
    except BaseException:
        slot.close()
        late = slot.get(0)
        if late is not None:
            late.close()
        raise


def wait_with_view(view: View | None, controls: Controls, name: str) -> Callable[[float], None]:
    """Return a function that waits for the given seconds and updates the view while it waits.

    Args:
        view: shows the name of the source and the waiting time; None: nothing is shown.
        controls: changed by keys.
        name: of the source, without credentials.

    Raises:
        UserQuit: by the returned function, if the user quits.
    """
    start = time.monotonic()

    def facts() -> Facts:
        seconds = time.monotonic() - start
        return Facts(state="CONNECTING", message=f"waiting for {name} ({seconds:.0f} s)")

    viewer = Viewer(view, controls, facts)

    def wait(seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            viewer.idle()
            if controls.quit:
                raise UserQuit
            time.sleep(min(left, _TICK))

    return wait
