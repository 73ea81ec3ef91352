"""Search for what moves in a live run, on request.

During a search, the magnifier uses the filter `FINDING` and gives each frame its field. A thread
collects the fields and computes the list of lines every few seconds, while the picture goes on. The
search ends by itself; a file that is played is searched once, from its beginning, frame by frame. A
page may end it earlier, and selects one of the lines.
"""

import queue
import threading
import time
from typing import TYPE_CHECKING, Any

from rtmag.realtime.controls import Controls
from rtmag.realtime.filters import Band, Filter
from rtmag.realtime.frame import Frame

if TYPE_CHECKING:
    from rtmag.realtime.analysis.finding import Finder

LONGEST = 30.0
"""Seconds after which a search of a live source ends."""

AUTO_SECONDS = 12.0
"""Seconds after which it ends if only the first line is wanted, for `--band auto`."""

_MOST_SECONDS = 600.0  # after which that of a file ends

_FIRST = 5.0  # seconds until the first list

_WITHOUT_FIELDS = 5.0  # seconds after which a search ends if the model gives no fields

_SHARE = 0.25  # of the thread's time that is spent on lists, until the last one

_WAITING = 128  # frames that wait for the thread; if there are more, the run waits too


def search_filter() -> Filter:
    """Return the filter of the magnifier during a search."""
    from rtmag.realtime.analysis.finding import FINDING

    return FINDING


class LiveSearch:
    """The search of a run: it follows `controls.finding`.

    Args:
        controls: `finding` is set to False at the end of a search.
        capture_fps: rate in 1/s at which slow motion was filmed; None: the times of the frames.
    """

    def __init__(self, controls: Controls, capture_fps: float | None = None) -> None:
        self._controls, self._capture_fps = controls, capture_fps
        self._search: _Search | None = None

    def add(self, frame: Frame) -> None:
        """Add a frame that the magnifier returned, or end the search."""
        if not self._controls.finding:
            self.close()
            return
        if self._search is None or self._search.ended:
            self._begin()
            return
        search, playback = self._search, self._controls.playback
        if playback is not None and playback.target is not None:
            return
        again = playback is not None and search.is_again(frame)
        if again or search.seconds > self._longest(search):
            self._controls.finding = False
            self.close()
        elif frame.field is not None:
            search.add(frame)

    def _longest(self, search: "_Search") -> float:
        """Seconds after which a search ends: early if the model gives no fields."""
        if not search.began:
            return _WITHOUT_FIELDS
        if self._controls.playback is not None:
            return _MOST_SECONDS
        return AUTO_SECONDS if self._controls.auto_band else LONGEST

    def _begin(self) -> None:
        """Begin at the next frame; a file begins again."""
        from rtmag.realtime.analysis.finding import Finder

        self._search = _Search(Finder(capture_fps=self._capture_fps))
        playback = self._controls.playback
        if playback is not None:
            playback.seek(playback.start or 0.0)

    def use_first_line(self) -> str | None:
        """Use the band of the first line that is real, once the list of `auto_band` is complete.

        Returns:
            What was found, for the user; None if there is nothing to do yet.
        """
        search, controls = self._search, self._controls
        if not controls.auto_band or search is None or controls.finding or search.running:
            return None
        controls.auto_band = False
        if search.band is None:
            motion = controls.filter.described(controls.unit)
            return f"--band auto: {search.found}; looking for motion {motion}"
        controls.set_band(*search.band)
        return f"--band auto: {search.found}"

    def close(self) -> None:
        """End the search; its list stays, and is completed by the thread."""
        if self._search is not None:
            self._search.close()

    @property
    def seconds(self) -> float | None:
        """Seconds since the search began; None once its last list is complete."""
        return self._search.seconds if self._search is not None and self._search.running else None

    @property
    def lines(self) -> list[dict[str, Any]] | None:
        """The lines found so far as JSON values, best first; None before the first list."""
        return None if self._search is None else self._search.lines


class _Search:
    """One search, with the thread that owns the finder."""

    def __init__(self, finder: "Finder") -> None:
        self.lines: list[dict[str, Any]] | None = None
        """The last list; None before the first one."""
        self.band: Band | None = None
        """Band of the first line that is real; None if there is none."""
        self.found = ""
        """What was found, in words."""
        self.ended = False
        self._finder = finder
        self._begin = time.monotonic()
        self._epoch: int | None = None
        self._frames: queue.Queue[Frame | None] = queue.Queue(_WAITING)
        self._thread = threading.Thread(target=self._work, name="rtmag search", daemon=True)
        self._thread.start()

    @property
    def began(self) -> bool:
        """True once a frame was added."""
        return self._epoch is not None

    @property
    def running(self) -> bool:
        """True until the last list is complete."""
        return self._thread.is_alive()

    @property
    def seconds(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._begin

    def is_again(self, frame: Frame) -> bool:
        """True if a file begins again, or was left, after frames of it were added."""
        return self.began and frame.epoch != self._epoch

    def add(self, frame: Frame) -> None:
        """Pass a frame to the thread; wait if it has too many."""
        self._epoch = frame.epoch
        self._frames.put(frame)

    def close(self) -> None:
        """Let the thread complete the list and end. Safe to call twice."""
        if not self.ended:
            self.ended = True
            self._frames.put(None)

    def _work(self) -> None:
        due = time.monotonic() + _FIRST
        while (frame := self._frames.get()) is not None:
            self._finder.add(frame)
            begin = time.monotonic()
            if begin > due:
                self._list()
                now = time.monotonic()
                due = now + (now - begin) / _SHARE
        self._list()

    def _list(self) -> None:
        from rtmag.realtime.report.found import found_sentence
        from rtmag.realtime.run.finding import first_band

        lines, self.band = first_band(self._finder)
        self.found = found_sentence(lines, self.band)
        self.lines = [line.data() for line in lines]
