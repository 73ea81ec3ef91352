"""The view of a run: the picture, the text over it, and the keys."""

import textwrap
import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from rtmag.realtime.controls import Controls
from rtmag.realtime.frame import Frame, Image
from rtmag.realtime.log import logger
from rtmag.realtime.view import overlay
from rtmag.realtime.view.keys import HELP, PLAYBACK_HELP, press

TICK = 0.03
"""Seconds between two checks of the keys while there is no new frame."""

_NOTICE_SECONDS = 2.5

_FACTS_SECONDS = 0.1
"""Seconds between two looks at the state of the run, whose text is shown with every frame."""

_LINE_LENGTH = 56
"""Characters in a line over the picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """State of a run at one moment, for a view."""

    frames: int = 0
    """Number of frames magnified."""
    dropped: int = 0
    """Number of frames of a live source that were skipped because newer ones had arrived."""
    fps: float = 0.0
    """Magnified frames per second."""
    latency_ms: float | None = None
    """Median time from grab to display in ms; None for files."""
    latency_p95_ms: float | None = None
    """95th percentile of that time in ms."""
    state: str = "RUNNING"
    """State of the source, as in `rtmag.realtime.sources.source.Status`."""
    reconnects: int = 0
    """Number of times that the source was opened again."""
    stalls: int = 0
    """Number of times that the source stopped to deliver frames."""
    errors: int = 0
    """Number of damaged packets and pictures of the source."""
    message: str = ""
    """State of the source in words, such as 'reconnecting (12 s)'; empty while it runs."""
    outage: float | None = None
    """Seconds since the last frame of a source that is lost; None while it runs."""
    rate: float | None = None
    """Frames per second of the source, as measured; None if unknown."""
    recording: bool = False
    """True if a recording is being written."""
    warning: str | None = None
    """Reason why frames are shown unmagnified; None if they are magnified."""
    model: str = ""
    """Name of the model, its motion scale and the provider."""
    mode: str = ""
    """The temporal filter, such as '0.5-3 Hz'."""
    position: float | None = None
    """Seconds from the first frame of a played file to the one that is shown; None: not played."""
    duration: float | None = None
    """Seconds from the first frame of a played file to the end of its last; None: not played."""
    finding: float | None = None
    """Seconds since a search for what moves began; None while there is none."""
    found: Sequence[Mapping[str, Any]] | None = None
    """Lines that the last search found, best first, as by `Line.data`; None: no search."""
    notice: str = ""
    """Message about a key or an event; shown for a few seconds."""


class View(Protocol):
    """A place where the user sees the frames and presses keys."""

    @property
    def url(self) -> str | None:
        """Address of the view, with its token, if it is a web page; else None."""
        ...

    @property
    def closed(self) -> bool:
        """True if the user closed the view."""
        ...

    def poll(self) -> int | None:
        """Return the code of a key that was pressed since the last call, or None."""
        ...

    def toggle_fullscreen(self) -> None:
        """Switch between full screen and normal size."""
        ...

    def show(self, original: Frame, magnified: Frame, controls: Controls, facts: Facts) -> None:
        """Show a pair of frames, or the last pair again, in the layout of the controls."""
        ...

    def show_message(self, facts: Facts) -> None:
        """Show `facts.message` while there is no frame yet."""
        ...

    def offer(self, recording: Path) -> None:
        """Let the user download a finished recording, if the view can; from any thread."""
        ...

    def close(self, *, finished: bool = True) -> None:
        """Close the view. Safe to call twice."""
        ...


class PictureView:
    """Base class of views that show a single picture, with text drawn into it."""

    url: str | None = None

    def show(self, original: Frame, magnified: Frame, controls: Controls, facts: Facts) -> None:
        """Show a pair of frames, or the last pair again, in the layout of the controls."""
        self.write(magnified.with_image(draw(original.image, magnified.image, controls, facts)))

    def offer(self, recording: Path) -> None:
        """Do nothing: the user sits at the computer that has the file."""

    @abstractmethod
    def write(self, frame: Frame) -> None:
        """Show one frame as it is."""


def draw(
    original: Image,
    magnified: Image,
    controls: Controls,
    facts: Facts,
    area: tuple[int, int] | None = None,
) -> Image:
    """Return both pictures in the layout of the controls, with labels, state and help as text.

    Args:
        original: (H, W, 3) uint8 BGR.
        magnified: of the same size.
        controls: layout, alpha and help.
        facts: state of the run.
        area: (width, height) in pixels to fill. The picture keeps its proportions, the rest is
            black, and the text is as large as the area allows. None: the size of the picture.
    """
    notice = _wrapped([facts.notice])
    layout, wipe = controls.shown, controls.wipe
    picture = overlay.lay_out(original, magnified, layout, wipe)
    if area is not None:
        picture = overlay.scaled(picture, area)
    picture = overlay.label(picture, layout, wipe)
    if area is not None:
        picture = overlay.padded(picture, area)
    rows: list[overlay.Row] = []
    if controls.info:
        rows += overlay.info_lines(
            fps=facts.fps,
            latency_ms=facts.latency_ms,
            dropped=facts.dropped,
            alpha=controls.alpha,
            mode=facts.mode,
            recording=facts.recording,
        )
    picture = overlay.write(picture, [*rows, *notice], alert=controls.recording and controls.info)
    if facts.message or facts.warning:
        alerts = _wrapped([facts.message, facts.warning or ""])
        picture = overlay.write(picture, alerts, corner="bottom", alert=True)
    if not controls.help:
        return picture
    keys = HELP if controls.playback is None else (*HELP, *PLAYBACK_HELP)
    return overlay.write(picture, keys, corner="middle")


def _wrapped(texts: Iterable[str]) -> list[str]:
    """Lines of the texts that are short enough to be legible on a small picture."""
    return [line for text in texts for line in textwrap.wrap(text, _LINE_LENGTH)]


class Viewer:
    """Shows frames on a view in the layout of the controls, and applies keys to the controls.

    Args:
        view: the view; None: nothing is shown, and there are no keys.
        controls: changed by keys.
        facts: returns the state of the run.
    """

    def __init__(self, view: View | None, controls: Controls, facts: Callable[[], Facts]) -> None:
        self._view = view
        self._controls = controls
        self._facts = facts
        self._last: tuple[Frame, Frame] | None = None
        self._notice, self._notice_end = "", 0.0
        self._state, self._state_end = Facts(), 0.0

    def say(self, message: str, seconds: float | None = None) -> None:
        """Show a message over the picture for some seconds; None: 2.5."""
        logger().debug("%s", message)
        seconds = _NOTICE_SECONDS if seconds is None else seconds
        self._notice, self._notice_end = message, time.monotonic() + seconds
        self.refresh()

    def refresh(self) -> None:
        """Show a changed state of the run with the next picture."""
        self._state_end = 0.0

    def show(self, original: Frame, magnified: Frame) -> None:
        """Show a new pair of frames."""
        self._last = (original, magnified)
        self._draw()

    def idle(self) -> None:
        """Show the last frames again and apply keys, while there is no new frame."""
        self._draw()
        self.poll()

    def poll(self) -> None:
        """Apply the key that was pressed, if any."""
        if self._view is None:
            return
        code = self._view.poll()
        if self._view.closed:
            self._controls.quit = True
        elif code is not None:
            fullscreen = self._controls.fullscreen
            message = press(self._controls, code)
            if message is not None:
                self.say(message)
            if self._controls.fullscreen != fullscreen:
                self._view.toggle_fullscreen()

    def close(self) -> None:
        """Close the view."""
        if self._view is not None:
            self._view.close()

    def _draw(self) -> None:
        if self._view is None:
            return
        now = time.monotonic()
        if now >= self._state_end:
            self._state, self._state_end = self._facts(), now + _FACTS_SECONDS
        facts = self._state
        if self._last is None:
            if facts.message:
                self._view.show_message(facts)
            return
        if now < self._notice_end:
            facts = replace(facts, notice=self._notice)
        self._view.show(*self._last, self._controls, facts)
