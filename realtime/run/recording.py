"""The record switch of a live run, and the times of recordings of a file that is played."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from rtmag.realtime.controls import Controls, Layout
from rtmag.realtime.errors import SinkError
from rtmag.realtime.frame import Frame
from rtmag.realtime.run.mapping import Shown
from rtmag.realtime.sinks.sink import Sink
from rtmag.realtime.sources.source import DEFAULT_FPS
from rtmag.realtime.view import overlay

_RECORDING_INTERVAL = 1.0
"""Shortest time in seconds between the starts of two recordings. A page can ask for many more."""


class Timeline:
    """Times for recordings of a file that is played: they go on where the file jumps."""

    def __init__(self) -> None:
        self._last: Frame | None = None
        self._step = self._shift = 0.0

    def continued(self, frame: Frame) -> Frame:
        """Return a frame with the time that follows that of the last one."""
        last, self._last = self._last, frame
        if last is not None and frame.epoch == last.epoch:
            self._step = frame.time - last.time
        elif last is not None:
            self._shift += last.time + (self._step or 1 / DEFAULT_FPS) - frame.time
        return replace(frame, time=frame.time + self._shift)


class Recording:
    """Writes a new file each time `recording` of the controls is turned on, at most one per second.

    Args:
        opener: opens a file; None if recording is not possible.
        controls: their layout at the start of a recording is its layout until the end, because a
            video file has one frame size.
    """

    def __init__(self, opener: Callable[[], Sink] | None, controls: Controls) -> None:
        self._opener = opener
        self._controls = controls
        self.sink: Sink | None = None
        """The file that is being written; None if there is none."""
        self.layout: Layout = controls.layout
        """Layout of the file that is being written, or of the last one."""
        self._earliest_start = 0.0  # of the next file; monotonic time in seconds

    def write(self, shown: Shown) -> str | None:
        """Write a frame if recording is on; return a message for the user, or None.

        Raises:
            SinkError: the file cannot be written. Recording is then off, and the incomplete
                file is kept under its temporary name.
        """
        try:
            if not self._controls.recording:
                return self.close(finished=True)
            if self._opener is None:
                self._controls.recording = False
                return "recording is not possible with this command"
            if self.sink is None:
                if time.monotonic() < self._earliest_start:
                    return None
                self._earliest_start = time.monotonic() + _RECORDING_INTERVAL
                self.layout = self._controls.layout
                self.sink = self._opener()
            frame = shown.of(self.layout)
            image = overlay.lay_out(shown.original.image, frame.image, self.layout)
            self.sink.write(frame.with_image(image))
        except SinkError:
            self._controls.recording = False
            with suppress(SinkError):
                self.close(finished=False)
            raise
        return None

    def close(self, *, finished: bool) -> str | None:
        """Close the file, if one is open; return a message for the user if it is complete."""
        sink, self.sink = self.sink, None
        if sink is None:
            return None
        sink.close(finished=finished)
        if not finished:
            return None
        message = f"recording saved as {sink.name}" if sink.name else "recording saved"
        return message + (f"; {sink.dropped} frames were dropped" if sink.dropped else "")
