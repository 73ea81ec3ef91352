"""A magnifier at the controls: what they say holds from the next frame on."""

from collections.abc import Callable
from typing import Protocol

from rtmag.realtime.errors import OptionError
from rtmag.realtime.filters import Filter
from rtmag.realtime.frame import Frame
from rtmag.realtime.keys import Controls
from rtmag.realtime.magnifier import Region
from rtmag.realtime.viewer import Viewer

Step = Callable[[Frame], Frame]
"""One frame magnified: the magnifier itself, or what guards it."""


class Magnifies(Protocol):
    """What is needed of a Magnifier."""

    alpha: float
    filter: Filter
    warning: str | None
    """Why the picture is shown unmagnified at present, if it is."""
    region: Region | None
    """Where motion is magnified; None is everywhere."""
    motion_scale: float
    """Size of the picture in which motion is looked for; cannot be changed in every engine."""

    @property
    def described(self) -> str:
        """What runs, for a person to read."""
        ...

    @property
    def fps(self) -> float | None:
        """Measured frame rate, None while unknown."""
        ...

    def __call__(self, frame: Frame) -> Frame:
        """The same moment, with its motion magnified."""
        ...


class Steering:
    """Magnifies frame by frame as the controls ask, and tells when that cannot be.

    Args:
        magnifier: its alpha, filter, region and motion scale follow the controls.
        step: what magnifies a frame by it.
        controls: are told the measured rate in return.
        viewer: shows what there is to say.
        live: whether the source is; a rate that dips for a moment is no error there.
    """

    def __init__(
        self, magnifier: Magnifies, step: Step, controls: Controls, viewer: Viewer, *, live: bool
    ) -> None:
        self.errors: list[str] = []
        """What a run that nobody watches must not keep to itself."""
        self._magnifier, self._step, self._controls = magnifier, step, controls
        self._viewer, self._live = viewer, live

    def __call__(self, frame: Frame) -> Frame:
        """Magnify.

        Raises:
            OptionError: the rate turns out not to allow the band, and nobody sees why.
        """
        self._controls.fps = self._magnifier.fps
        try:
            magnified = self._steered(frame)
        except OptionError as error:
            # A band that the measured rate turns out not to allow must not end a view that runs.
            if not self._viewer.watched or self._controls.mode != "temporal":
                raise
            self._viewer.say(str(error))
            self._controls.mode = "static"
            magnified = self._steered(frame)
        if self._magnifier.warning is not None:
            self._warn(self._magnifier.warning)
        return magnified

    def _steered(self, frame: Frame) -> Frame:
        wanted = self._controls.filter()
        if self._magnifier.filter != wanted:
            self._magnifier.filter = wanted
        if self._magnifier.alpha != self._controls.alpha:
            self._magnifier.alpha = self._controls.alpha
        self._magnifier.region = self._controls.region
        if self._controls.motion_scale is not None:
            self._magnifier.motion_scale = self._controls.motion_scale
        return self._step(frame)

    def _warn(self, words: str) -> None:
        """The magnifier passes frames on as they are: nobody must take them for magnified."""
        if self._viewer.watched:
            self._viewer.say(words)
        # A rate that dips for a moment must not end a run that nobody watches.
        if not (self._viewer.watched and self._live) and not self.errors:  # rates in words vary
            self.errors.append(words)
