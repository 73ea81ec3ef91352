"""Measures a magnified scene against the truth about it: gain, noise and x-t slices."""

from dataclasses import dataclass

import numpy as np

from rtmag.realtime.analysis.slices import figure, line_samples
from rtmag.realtime.analysis.tracking import Tracker, amplitude, gray
from rtmag.realtime.frame import Frame, Image
from rtmag.realtime.opencv import cv2
from rtmag.realtime.sources.scene.scene import SceneSource, Vibration

WARM_UP_SECONDS = 1.5
"""Seconds after which the filter's start has died away."""

_SHORTEST = 1.0

_SPARSE = 7
"""One still pixel in so many tells the noise well enough."""


@dataclass(frozen=True, slots=True)
class Gain:
    """How much larger one thing's vibration became."""

    vibration: Vibration
    measured: float | None
    """Pixels of the magnified vibration; None when the clip is too short to tell."""

    @property
    def ratio(self) -> float | None:
        """Magnified over true amplitude."""
        return None if self.measured is None else self.measured / self.vibration.amplitude


class SceneMeasurement:
    """Watches a run: paths of the vibrating things, noise of what stands still, x-t slices."""

    def __init__(self, scene: SceneSource) -> None:
        self._scene = scene
        rest = np.asarray(cv2.cvtColor(scene.clean(0), cv2.COLOR_BGR2GRAY), np.float32)
        self._trackers = [Tracker(rest, vibration.region) for vibration in scene.vibrations]
        self._still = np.flatnonzero(scene.still)[::_SPARSE]
        self._background = scene.clean(0).reshape(-1, 3)[self._still]
        self._paths: dict[str, list[float]] = {v.name: [] for v in scene.vibrations}
        self._lines: dict[str, list[tuple[Image, Image]]] = {v.name: [] for v in scene.vibrations}
        self._noise: list[tuple[float, float]] = []

    def add(self, original: Frame, magnified: Frame) -> None:
        """Take one pair of frames."""
        picture = gray(magnified.image)
        for vibration, tracker in zip(self._scene.vibrations, self._trackers, strict=True):
            moved = tracker.displacement(picture)
            self._paths[vibration.name].append(float(np.dot(moved, vibration.direction)))
            lines = tuple(line_samples(f.image, vibration.line) for f in (original, magnified))
            self._lines[vibration.name].append((lines[0], lines[1]))
        self._noise.append((self._unrest(original.image), self._unrest(magnified.image)))

    def _unrest(self, image: Image) -> float:
        """Mean distance of still pixels from what they would be without noise."""
        return float(np.abs(image.reshape(-1, 3)[self._still] - self._background).mean())

    def gains(self) -> list[Gain]:
        """The gain of each thing, as far as the clip is long enough."""
        fps = self._scene.fps or 1.0
        skip = round(WARM_UP_SECONDS * fps)
        gains = []
        for vibration in self._scene.vibrations:
            path = np.array(self._paths[vibration.name][skip:])
            enough = len(path) >= _SHORTEST * fps
            measured = amplitude(path, vibration.hz, fps) if enough else None
            gains.append(Gain(vibration, measured))
        return gains

    def noise(self) -> tuple[float, float]:
        """Grey levels by which still pixels are off, before and after, on average."""
        if not self._noise:
            return 0.0, 0.0
        before, after = np.mean(self._noise, axis=0)
        return float(before), float(after)

    def slices(self) -> Image:
        """x-t slices: a column per thing, before above after."""
        columns = []
        for vibration in self._scene.vibrations:
            before, after = zip(*self._lines[vibration.name], strict=True)
            name = f"{vibration.name}, {vibration.hz:g} Hz"
            columns.append(
                [
                    (f"{name}: before", np.stack(before, axis=1)),
                    (f"{name}: after", np.stack(after, axis=1)),
                ]
            )
        return figure(columns)
