"""Gain and noise of a magnified clip of the built-in scene, whose true motion is known."""

from dataclasses import dataclass

import numpy as np

from rtmag.realtime.analysis.slices import figure, line_samples, xt_slice
from rtmag.realtime.analysis.tracking import Tracker, amplitude, gray
from rtmag.realtime.frame import Frame, Image
from rtmag.realtime.opencv import cv2
from rtmag.realtime.sources.scene.scene import SceneSource, Vibration

WARM_UP_SECONDS = 1.5
"""Length of the start of a clip that is not measured, because the filter starts from zero."""

_MIN_SECONDS = 1.0  # shortest measured part from which a gain is computed

_NOISE_STRIDE = 7  # every seventh still pixel is enough to measure the noise


@dataclass(frozen=True, slots=True)
class Gain:
    """Amplitude of one magnified vibration."""

    vibration: Vibration
    """The true vibration."""
    measured: float | None
    """Amplitude of the magnified vibration in pixels; None if the clip is too short."""

    @property
    def ratio(self) -> float | None:
        """Magnified over true amplitude; close to alpha inside the filter's band."""
        return None if self.measured is None else self.measured / self.vibration.amplitude


class SceneMeasurement:
    """Measures a run on the built-in scene: gain, noise and x-t slices.

    Args:
        scene: the source of the run; provides the true motion and the noise-free picture.
    """

    def __init__(self, scene: SceneSource) -> None:
        self._scene = scene
        rest = np.asarray(cv2.cvtColor(scene.clean(0), cv2.COLOR_BGR2GRAY), np.float32)
        self._trackers = [Tracker(rest, vibration.region) for vibration in scene.vibrations]
        self._still = np.flatnonzero(scene.still)[::_NOISE_STRIDE]
        self._background = scene.clean(0).reshape(-1, 3)[self._still]
        self._paths: dict[str, list[float]] = {v.name: [] for v in scene.vibrations}
        self._lines: dict[str, list[tuple[Image, Image]]] = {v.name: [] for v in scene.vibrations}
        self._noise: list[tuple[float, float]] = []

    def add(self, original: Frame, magnified: Frame) -> None:
        """Measure one pair of frames."""
        picture = gray(magnified.image)
        for vibration, tracker in zip(self._scene.vibrations, self._trackers, strict=True):
            displacement = tracker.displacement(picture)
            self._paths[vibration.name].append(float(np.dot(displacement, vibration.direction)))
            lines = tuple(line_samples(f.image, vibration.line) for f in (original, magnified))
            self._lines[vibration.name].append((lines[0], lines[1]))
        self._noise.append((self._noise_of(original.image), self._noise_of(magnified.image)))

    def _noise_of(self, image: Image) -> float:
        """Mean absolute difference of still pixels from the noise-free picture, in grey levels."""
        return float(np.abs(image.reshape(-1, 3)[self._still] - self._background).mean())

    def gains(self) -> list[Gain]:
        """Return the gain of each vibration, without the first `WARM_UP_SECONDS`."""
        fps = self._scene.fps or 1.0
        skip = round(WARM_UP_SECONDS * fps)
        gains = []
        for vibration in self._scene.vibrations:
            path = np.array(self._paths[vibration.name][skip:])
            enough = len(path) >= _MIN_SECONDS * fps
            measured = amplitude(path, vibration.hz, fps) if enough else None
            gains.append(Gain(vibration, measured))
        return gains

    def noise(self) -> tuple[float, float]:
        """Return the mean noise of still pixels before and after magnification, in grey levels."""
        if not self._noise:
            return 0.0, 0.0
        before, after = np.mean(self._noise, axis=0)
        return float(before), float(after)

    def slices(self) -> Image:
        """Return the x-t slices: a column per vibration, the original above the magnified one."""
        columns = []
        for vibration in self._scene.vibrations:
            before, after = zip(*self._lines[vibration.name], strict=True)
            name = f"{vibration.name}, {vibration.hz:g} Hz"
            columns.append(
                [
                    (f"{name}: before", xt_slice(before)),
                    (f"{name}: after", xt_slice(after)),
                ]
            )
        return figure(columns)
