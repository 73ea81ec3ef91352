"""Recording that can be turned on and off while the picture runs."""

from collections.abc import Callable
from contextlib import suppress

from rtmag.realtime.controls import Controls, Layout
from rtmag.realtime.errors import SinkError
from rtmag.realtime.frame import Frame
from rtmag.realtime.sinks.sink import Sink
from rtmag.realtime.view.overlay import lay_out


class Recording:
    """Follows the recording switch of the controls: a new file each time it is turned on.

    Args:
        opener: opens a file; None when there is nowhere to record to.
        controls: their layout counts at the moment a recording begins, for a file has one size.
    """

    def __init__(self, opener: Callable[[], Sink] | None, controls: Controls) -> None:
        self._opener = opener
        self._controls = controls
        self._sink: Sink | None = None
        self._layout: Layout = controls.layout

    @property
    def running(self) -> bool:
        """True while a file is being written."""
        return self._sink is not None

    def write(self, original: Frame, magnified: Frame) -> str | None:
        """Record a frame if the switch is on; returns what the person should know, if anything.

        Raises:
            SinkError: the file failed; the switch is then off and the part closed.
        """
        try:
            if not self._controls.recording:
                return self.close(finished=True)
            if self._opener is None:
                self._controls.recording = False
                return "there is nothing to record to here"
            if self._sink is None:
                self._layout = self._controls.layout
                self._sink = self._opener()
            image = lay_out(original.image, magnified.image, self._layout)
            self._sink.write(magnified.with_image(image))
        except SinkError:
            self._controls.recording = False
            with suppress(SinkError):
                self.close(finished=False)
            raise
        return None

    def close(self, *, finished: bool) -> str | None:
        """Finish the file, if one is being written."""
        sink, self._sink = self._sink, None
        if sink is None:
            return None
        sink.close(finished=finished)
        words = f"recording saved as {sink.name}" if sink.name else "recording saved"
        words += f", without {sink.dropped} frames" if sink.dropped else ""
        return words if finished else None
