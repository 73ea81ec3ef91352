"""Where frames go: one protocol; a window, an image folder, nowhere. Video files are in recorder.py."""

from typing import Protocol

from rtmag.realtime.frame import Frame


class Sink(Protocol):
    """Takes frames one by one."""

    def write(self, frame: Frame) -> None:
        """Show or store one frame; raises SinkError when that fails."""
        ...

    def close(self, *, finished: bool = True) -> None:
        """Finish. `finished=False` keeps a partial output under its temporary name. Safe to call twice."""
        ...
