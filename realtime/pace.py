"""Keeps a live picture in time where the machine becomes slower: motion is found more coarsely.

What is chosen before the first frame (rtmag.realtime.choice) is right for the machine as it was
then. Later other programs come and go, and processors become hot. So the loop tells how long each
frame took it. Before frames must drop, motion is looked for in a smaller picture; when there has
been room for a larger one for a while, in that. Whoever chooses a scale by hand keeps it.
"""

from collections import deque
from statistics import median

from rtmag.realtime.choice import SHARE
from rtmag.realtime.engine import Engine, EngineSpec
from rtmag.realtime.frame import Frame
from rtmag.realtime.keys import Controls
from rtmag.realtime.motion_scale import MOTION_SCALES, scale_name

MOST = 0.85
"""Of the time between frames that one may take; beyond it frames are about to drop."""
ROOM = 10.0
"""Seconds for which the next larger scale would have had room, until it is tried."""

_RECENT = 15
_GROWTH = 4.0
"""A scale twice as large takes at most so many times as long: it has four times the pixels."""


class Pace:
    """Moves the controls' motion scale."""

    def __init__(self, controls: Controls) -> None:
        self._controls = controls
        self._scale = controls.motion_scale
        """The scale now; None where it cannot be changed, or somebody else has changed it."""
        self._spent: deque[float] = deque(maxlen=_RECENT)
        self._intervals: deque[float] = deque(maxlen=_RECENT)
        self._last: Frame | None = None
        self._room: float | None = None

    def took(self, frame: Frame, seconds: float) -> str | None:
        """A frame took the loop so many seconds; returns what to tell when the scale changes."""
        last, self._last = self._last, frame
        if self._controls.motion_scale != self._scale:
            self._scale = None
        if self._scale is None:
            return None
        if last is not None and frame.index > last.index and frame.epoch == last.epoch:
            # Frames that dropped in between came at the source's rate too.
            self._intervals.append((frame.time - last.time) / (frame.index - last.index))
        self._spent.append(seconds)
        if len(self._intervals) < _RECENT or len(self._spent) < _RECENT:
            return None
        share = median(self._spent) / median(self._intervals)
        if share > MOST:
            self._room = None
            smaller = self._scale / 2
            return self._move(smaller, "is too slow") if smaller in MOTION_SCALES else None
        if self._scale * 2 not in MOTION_SCALES or share * _GROWTH > SHARE:
            self._room = None
        elif self._room is None:
            self._room = frame.time
        elif frame.time - self._room >= ROOM:
            return self._move(self._scale * 2, "has room")
        return None

    @classmethod
    def following(
        cls, controls: Controls, engine: Engine, wanted: EngineSpec, *, live: bool
    ) -> "Pace | None":
        """Tell the controls the engine's scale; one that moves it if nobody chose and none wait."""
        controls.motion_scale = engine.motion_scale if engine.composes else None
        return cls(controls) if wanted.motion_scale is None and live else None

    def _move(self, scale: float, why: str) -> str:
        self._scale = self._controls.motion_scale = scale
        self._spent.clear()
        self._room = None
        return f"motion at {scale_name(scale)}: the machine {why}"
