"""A file as a live source: played at the pace of its own times, with jumps, a loop and a speed.

The frame loop asks for the newest frame, as of a camera; frames that were due while it computed are
dropped. With `Playback.complete`, or while `Controls.finding` is set, none is dropped, and the file
is played as slowly as necessary. There is no thread: frames are decoded when they are asked for.
"""

import math
import time
from collections.abc import Callable, Iterator

from rtmag.realtime.controls import Controls, Playback
from rtmag.realtime.errors import SourceLost
from rtmag.realtime.frame import Frame
from rtmag.realtime.sources.source import DEFAULT_FPS, BaseSource, StoredFrame, StoredSource

_CATCH_UP = 0.25
"""Seconds for which frames are decoded and dropped at most before one is shown."""

_LONGEST_GAP = 0.4
"""Seconds of the file that are passed over at most: a band does not continue after a longer gap."""

_ROUNDING = 1e-6
"""Seconds by which a time from outside may be too early, because it was rounded."""

_AT_ONCE = -math.inf
"""Monotonic time at which a frame is due that was requested."""

_TICK = 0.25
"""Timeout, in seconds, of one request while the frames are iterated."""


class PlaybackSource(BaseSource):
    """A file that is played: a live source without an end.

    It follows `controls.paused` and `controls.playback`, which this class sets. Frames have their
    times in the file, so frequencies are those of the file at every speed. After a jump, and when
    the file begins again, `Frame.epoch` rises. `Frame.index` is the position in the file at its
    usual rate, where frames that were passed over count.

    Args:
        source: the file; closed together with this source.
        controls: changed by keys and pages, in the thread that calls `get`.
        note: called with a message about damage.
    """

    live = True

    def __init__(
        self, source: StoredSource, controls: Controls, note: Callable[[str], None]
    ) -> None:
        self._source, self._controls, self._note = source, controls, note
        self.name, self.size, self.notes = source.name, source.size, source.notes
        self.fps, self.sample_aspect = source.fps, source.sample_aspect
        if not source.seekable:
            self.notes += ("is read from its beginning at each jump: its times are not in order",)
        self._step = 1 / (source.fps or DEFAULT_FPS)
        self.playback = controls.playback = Playback(
            max(source.seconds, self._step), fps=source.fps
        )
        self._clock = _Clock()
        self._next: StoredFrame | None = None
        """The frame that was decoded, but is not due yet."""
        self._due: float | None = _AT_ONCE
        """Monotonic time at which the first frame after a jump is due, `_AT_ONCE` for a requested
        one; None: there is no jump."""
        self._last = source.start
        """Time of the last frame that was due, in the file."""
        self._target: float | None = None
        """The requested position that is being looked for."""
        self._seeking = False
        """True until the first frame of a requested jump was found."""
        self._waited = self._finished = self._closed = False
        self._index = self._epoch = -1
        self._damaged = 0
        self._told: set[str] = set()
        self._reader = source.read_from(source.start)

    @property
    def damaged(self) -> int:
        """Number of damaged packets and pictures in the file, as far as it was played."""
        return self._damaged

    @property
    def polled(self) -> "PlaybackSource":
        """This source."""
        return self

    @property
    def stored(self) -> StoredSource:
        """The file."""
        return self._source

    @property
    def ended(self) -> bool:
        """True after `close`."""
        return self._closed

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames as they are due, until `close`."""
        while not self._closed:
            frame = self.get(_TICK)
            if frame is not None:
                yield frame

    def get(self, timeout: float) -> Frame | None:
        """Return the newest frame that is due, or None if there is none within `timeout` seconds.

        Raises:
            SourceLost: none of the frames can be read.
            SourceUnavailable: the file cannot be opened any more.
        """
        end = time.monotonic() + timeout
        self._follow_requests()
        if self._controls.paused and self._due != _AT_ONCE and not self.playback.steps:
            self._waited = True
            time.sleep(timeout)
            return None
        if self._waited:
            self._resume()
        frame = self._newest(end)
        return None if frame is None else self._shown(frame)

    def close(self) -> None:
        """Close the file."""
        self._closed = True
        self._reader.close()
        self._source.close()

    # ---- requests -----------------------------------------------------------------------------

    def _follow_requests(self) -> None:
        """Begin a jump that was requested, unless one is under way, and adopt the speed."""
        playback = self.playback
        self._clock.set_speed(playback.speed, time.monotonic())
        if not self._controls.paused:
            playback.steps = 0
        if self._seeking:
            return
        if playback.target is not None:
            self._target, self._seeking = playback.target, True
            self._jump(self._source.start + playback.target + _ROUNDING)
        elif playback.steps < 0:
            playback.steps, self._seeking = 0, True
            self._jump(math.nextafter(self._last, -math.inf))

    def _resume(self) -> None:
        """Go on after a pause: the last frame is due again now."""
        self._waited, now = False, time.monotonic()
        self._clock.set(self._last, now)
        if self._finished:
            self._jump(self._beginning())
        elif self._due is not None and self._due != _AT_ONCE:
            self._due = now

    def _jump(self, place: float, due: float = _AT_ONCE) -> None:
        """Read on from the frame that is shown at a time of the file.

        Args:
            place: time as in the file.
            due: monotonic time at which that frame is due.
        """
        self._reader.close()
        self._reader = self._source.read_from(place)
        self._next, self._due, self._finished = None, due, False

    def _beginning(self) -> float:
        """Time in the file at which the played part begins."""
        return self._source.start + (self.playback.start or 0.0) + _ROUNDING

    # ---- frames -------------------------------------------------------------------------------

    def _newest(self, end: float) -> StoredFrame | None:
        """Return the newest frame that is due before `end`, a monotonic time; pass over others."""
        begin, newest = time.monotonic(), None
        while not self._finished:
            now = time.monotonic()
            if self._next is None:
                if now > end if newest is None else self._due is not None:
                    break
                self._read()
            elif self._is_behind_end(self._next):
                self._end(self._next.time)
            elif (due := self._due_time(self._next)) <= now:
                newest = self._take(self._next, due, now)
                complete = self.playback.complete or self._controls.finding
                late = now - (due if complete else begin) > _CATCH_UP
                if self.playback.steps or late:
                    self._clock.set(newest.time, now)
                if self.playback.steps or late or complete:
                    self.playback.steps = 0
                    break
            elif newest is not None or due > end:
                break
            else:
                time.sleep(due - now)
        if newest is None:
            time.sleep(max(end - time.monotonic(), 0.0))
        return newest

    def _is_behind_end(self, frame: StoredFrame) -> bool:
        """True if a frame is the first one after the played part, and was not jumped to."""
        if self._due is not None or self.playback.end is None:
            return False
        return self._last <= self._source.start + self.playback.end + _ROUNDING < frame.time

    def _due_time(self, frame: StoredFrame) -> float:
        """Monotonic time at which a frame is due; that of a requested frame is past."""
        if self.playback.steps:
            return _AT_ONCE
        return self._clock.at(frame.time) if self._due is None else self._due

    def _read(self) -> None:
        """Decode one frame; begin the played part again, or pause, at the end of the file."""
        try:
            self._next = next(self._reader)
        except StopIteration:
            self._end(self._last + self._step)
        except SourceLost as error:
            self._tell(str(error))
            self._end(self._last + self._step)
        self._damaged = max(self._damaged, self._source.damaged)

    def _end(self, place: float) -> None:
        """Begin the played part again, or pause, after its end at this time of the file."""
        if self._due is not None:
            raise SourceLost(f"{self.name!r} cannot be played: no frame can be read")
        self._next = None
        if self.playback.loop:
            self._jump(self._beginning(), self._clock.at(place))
        else:
            self._controls.paused = self._finished = True

    def _take(self, frame: StoredFrame, due: float, now: float) -> StoredFrame:
        """Count a frame that is due, and set the clock after a jump or a long wait."""
        self._next = None
        on_time = (now - due) * self.playback.speed <= _LONGEST_GAP
        if self._due is not None or not on_time:
            self._clock.set(frame.time, due if on_time else now)
        if self._due is not None:
            self._index = round((frame.time - self._source.start) / self._step) - 1
            self._epoch += 1
            self._due, self._seeking = None, False
        self._last = frame.time
        self._index += 1
        return frame

    def _shown(self, frame: StoredFrame) -> Frame | None:
        """Return a frame with its image; None if it is damaged."""
        playback = self.playback
        playback.position = frame.time - self._source.start
        if playback.target == self._target:
            playback.target = None
        self._target = None
        image = frame.image()
        if image is None:
            self._damaged += 1
            return None
        return Frame(image, frame.time, self._index, self._epoch, frame.tick)

    def _tell(self, message: str) -> None:
        """Call `note` with a message, once."""
        if message not in self._told:
            self._told.add(message)
            self._note(f"warning: {message}")


class _Clock:
    """Monotonic times at which times of the file are due."""

    def __init__(self) -> None:
        self._place = self._moment = 0.0
        self._speed = 1.0

    def set(self, place: float, moment: float) -> None:
        """Make a time of the file due at a monotonic time."""
        self._place, self._moment = place, moment

    def set_speed(self, speed: float, now: float) -> None:
        """Change the speed from now on."""
        if speed != self._speed:
            self.set(self._place + (now - self._moment) * self._speed, now)
            self._speed = speed

    def at(self, place: float) -> float:
        """Return the monotonic time at which a time of the file is due."""
        return self._moment + (place - self._place) / self._speed
