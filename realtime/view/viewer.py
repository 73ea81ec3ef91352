"""What a person sees of a run and does to it: the view, what is written over it, and the keys."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

from rtmag.realtime.controls import Controls
from rtmag.realtime.frame import Frame
from rtmag.realtime.log import logger
from rtmag.realtime.sinks.sink import Sink
from rtmag.realtime.view import overlay
from rtmag.realtime.view.keys import HELP, press

TICK = 0.03
"""Seconds between looks at the keys while no frame comes."""

_NOTICE_SECONDS = 2.5


class View(Sink, Protocol):
    """A sink that a person looks at, and types into."""

    @property
    def closed(self) -> bool:
        """True once the person has closed it."""
        ...

    def poll(self) -> int | None:
        """The key pressed since the last call, if any."""
        ...

    def toggle_fullscreen(self) -> None:
        """Fill the screen, or stop doing so."""
        ...

    def tell(self, facts: Mapping[str, Any]) -> None:
        """Tell the state of the run while there is no picture; `words` are for a person."""
        ...


@runtime_checkable
class Draws(Protocol):
    """A view that lays the picture out by itself, and tells in its own way what is to be told."""

    def show(self, original: Frame, magnified: Frame, facts: Mapping[str, Any]) -> None:
        """Show a pair of frames, perhaps the one shown before, and the state of the run."""
        ...


class Viewer:
    """Draws frames as the controls ask and carries out keys; without a view it does nothing."""

    def __init__(
        self,
        view: View | None,
        controls: Controls,
        info: Callable[[], list[str]],
        alerts: Callable[[], list[str]] = list,
        facts: Callable[[], dict[str, Any]] = dict,
    ) -> None:
        self._view = view
        self._controls = controls
        self._info, self._alerts = info, alerts
        self._facts = facts
        self._last: tuple[Frame, Frame] | None = None
        self._notice = ("", 0.0)

    @property
    def watched(self) -> bool:
        """True when somebody may be told something."""
        return self._view is not None

    def say(self, words: str) -> None:
        """Write a line over the picture for a moment."""
        logger().debug("%s", words)
        self._notice = (words, time.monotonic() + _NOTICE_SECONDS)

    def show(self, original: Frame, magnified: Frame) -> None:
        """Show a new pair of frames."""
        self._last = (original, magnified)
        self._draw()

    def poll(self) -> None:
        """Carry out the key pressed, if any."""
        if self._view is None:
            return
        code = self._view.poll()
        if self._view.closed:
            self._controls.quit = True
        elif code is not None:
            fullscreen = self._controls.fullscreen
            said = press(self._controls, code)
            if said is not None:
                self.say(said)
            if self._controls.fullscreen != fullscreen:
                self._view.toggle_fullscreen()

    def idle(self) -> None:
        """Answer keys while there is no new frame."""
        self._draw()
        self.poll()

    def wait(self, meanwhile: Callable[[], None]) -> None:
        """Stand still until the pause ends."""
        while self._controls.paused and not self._controls.quit:
            self.idle()
            meanwhile()
            time.sleep(TICK)

    def close(self) -> None:
        """Close the view."""
        if self._view is not None:
            self._view.close()

    def _draw(self) -> None:
        if self._view is None:
            return
        if self._last is None:
            facts = self._facts()
            if facts.get("words"):
                self._view.tell(facts)
            return
        controls, (original, magnified) = self._controls, self._last
        words, until = self._notice
        notice = [words] if time.monotonic() < until else []
        if isinstance(self._view, Draws):
            self._view.show(original, magnified, {**self._facts(), "notice": "".join(notice)})
            return
        parts = controls.shown, controls.wipe
        picture = overlay.lay_out(original.image, magnified.image, *parts)
        picture = overlay.label(picture, *parts)
        rows: list[overlay.Row] = list(self._info()) if controls.info else []
        rows += notice
        picture = overlay.write(picture, rows, alert=controls.recording and controls.info)
        picture = overlay.write(picture, self._alerts(), corner="bottom", alert=True)
        if controls.help:
            picture = overlay.write(picture, HELP, corner="middle")
        self._view.write(magnified.with_image(picture))
