"""The protocol of all sinks, a sink that discards frames, and letterboxing."""

from types import TracebackType
from typing import Protocol, Self

import numpy as np

from rtmag.realtime.frame import Frame, Image
from rtmag.realtime.opencv import cv2


class Sink(Protocol):
    """Shows or stores frames, one by one."""

    @property
    def name(self) -> str:
        """Name for the user, such as that of a file; empty if there is none."""
        ...

    @property
    def dropped(self) -> int:
        """Number of frames that were dropped because the sink was too slow."""
        ...

    def write(self, frame: Frame) -> None:
        """Show or store one frame; raises SinkError when that fails."""
        ...

    def close(self, *, finished: bool = True) -> None:
        """Finish the output. Safe to call twice.

        Args:
            finished: False keeps an incomplete file under its temporary name.
        """
        ...


class BaseSink:
    """Defaults of a Sink: no name, no dropped frames; a context manager that closes on exit.

    If an error ends the `with` block, the output counts as unfinished.
    """

    name: str = ""
    dropped: int = 0

    def close(self, *, finished: bool = True) -> None:
        """Finish the output. Safe to call twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(finished=kind is None)


class NullSink(BaseSink):
    """Discards every frame."""

    def write(self, frame: Frame) -> None:
        """Do nothing."""


def letterbox(image: Image, size: tuple[int, int]) -> Image:
    """Resize an image to (width, height); black bars keep its aspect ratio."""
    height, width = image.shape[:2]
    if (width, height) == size:
        return image
    scale = min(size[0] / width, size[1] / height)
    inner = max(round(width * scale), 1), max(round(height * scale), 1)
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    left, top = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    canvas = np.zeros((size[1], size[0], 3), np.uint8)
    canvas[top : top + inner[1], left : left + inner[0]] = cv2.resize(
        image, inner, interpolation=interpolation
    )
    return canvas
