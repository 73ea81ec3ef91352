"""The built-in moving scene: motion too small to see, with known ground truth.

A tank sways and a motor bounces by a tenth of a pixel, each at its own frequency. A crate moves
slowly along a rail. Everything else is still, except for camera noise. Pictures depend only on the
seed and the frame index. Each picture is rounded to 8 bits after adding noise and dither, so motion
far below one grey level is preserved, as on a real sensor.

Each vibrating object is drawn once with many samples per pixel, and reduced to pixels at rest and
at both ends of its path. A parabola per pixel interpolates between these three pictures. It is
accurate, because the path is short.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.errors import OptionError
from rtmag.realtime.frame import Frame, Image
from rtmag.realtime.opencv import cv2
from rtmag.realtime.sources.scene import objects
from rtmag.realtime.sources.scene.canvas import Canvas, PixelBox, Viewport
from rtmag.realtime.sources.source import BaseSource

Picture = NDArray[np.float32]
"""(H, W, 3) float32 BGR, 0 to 255."""

_SAMPLES = 8
"""Samples per pixel along each axis; the amplitudes are whole numbers of samples."""

_CRATE_REACH = 70.0
"""Amplitude of the crate's motion, in scene units."""

_CRATE_PERIOD = 110.0
"""Period of the crate's motion in seconds."""


@dataclass(frozen=True, slots=True)
class Vibration:
    """Ground truth of one object: its shift is amplitude sin(2 pi hz time) along `direction`."""

    name: str
    hz: float
    amplitude: float
    """Amplitude in pixels."""
    direction: tuple[float, float]
    """Unit vector (x, y)."""
    region: PixelBox
    """Area inside the object: x, y, width, height in pixels."""
    line: tuple[float, float, float, float]
    """Line across an edge of the object, along its direction: x0, y0, x1, y1 in pixels."""

    def shift(self, seconds: float) -> float:
        """Return the distance from rest along `direction`, in pixels, at a time in seconds."""
        return self.amplitude * float(np.sin(2 * np.pi * self.hz * seconds))


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """The part of the picture around a vibrating object, with the wall behind it."""

    vibration: Vibration
    box: PixelBox
    curve: Picture
    """(3, h, w, 3): the coefficients of 1, u and u^2, where u is the shift over the amplitude."""

    def at(self, seconds: float) -> Picture:
        """Return the part, (h, w, 3), at a time in seconds."""
        u = np.float32(self.vibration.shift(seconds) / self.vibration.amplitude)
        return np.asarray(self.curve[0] + u * (self.curve[1] + u * self.curve[2]), np.float32)


class SceneSource(BaseSource):
    """The moving scene as a source of frames.

    Args:
        size: (width, height) in pixels.
        fps: frames per second.
        frames: number of frames; None: unlimited.
        noise: standard deviation of the sensor noise in grey levels.
        seed: seed of the drawing and the noise.
        live: True to deliver the frames in real time, as a camera does; late frames are skipped.

    Raises:
        OptionError: the picture is smaller than 16x16 pixels, or `fps` is not positive.
    """

    name = "the built-in scene"

    def __init__(
        self,
        size: tuple[int, int] = (640, 480),
        fps: float = 30.0,
        frames: int | None = None,
        noise: float = 1.5,
        seed: int = 0,
        *,
        live: bool = False,
    ) -> None:
        if min(size) < 16 or not (fps > 0 and np.isfinite(fps)):
            raise OptionError(
                f"the scene needs at least 16x16 pixels and fps > 0, got {size = }, {fps = }"
            )
        self.size = size
        self.fps: float | None = fps
        self.frames = frames
        self.live = live
        self._dt = 1 / fps
        self._seed = seed
        self._closed = False
        self._draw(Viewport(size), np.random.default_rng(seed))
        self._make_noise(noise)

    def _draw(self, viewport: Viewport, rng: np.random.Generator) -> None:
        """Draw the wall and all objects once."""
        wall = Canvas(viewport, (0, 0, *self.size), 2, rng)
        objects.paint_wall(wall, rng)
        self._picture: Picture = np.ascontiguousarray(wall.pixels()[..., :3])
        self._parts = tuple(
            self._part(scene_object, viewport, rng) for scene_object in objects.OBJECTS
        )
        self.vibrations = tuple(part.vibration for part in self._parts)
        """Ground truth of the tank and the motor."""
        x, y, width, height = objects.CRATE
        crate = Canvas(viewport, viewport.box(x, y, width, height), _SAMPLES, rng)
        objects.paint_crate(crate)
        self._crate = crate.pixels()
        self._crate_corner = viewport.box(x, y, width, height)[:2]
        self._crate_reach = _CRATE_REACH * viewport.scale
        self._track = viewport.box(x - _CRATE_REACH - 2, y, width + 2 * _CRATE_REACH + 4, height)
        self.still = self._still_mask()
        """(H, W), True where nothing moves within 8 pixels."""

    def _part(
        self, scene_object: objects.SceneObject, viewport: Viewport, rng: np.random.Generator
    ) -> _Part:
        """Draw an object at three positions and fit the parabola of each pixel."""
        area = viewport.box(*scene_object.box)
        canvas = Canvas(viewport, area, _SAMPLES, rng)
        scene_object.paint(canvas)
        x, y, width, height = area
        wall = self._picture[y : y + height, x : x + width]
        right, down = (round(d * scene_object.amplitude * _SAMPLES) for d in scene_object.direction)
        low, rest, high = (
            layers[..., :3] + wall * (1 - layers[..., 3:])
            for layers in (canvas.pixels(step * right, step * down) for step in (-1, 0, 1))
        )
        curve = np.stack([rest, (high - low) / 2, (high + low) / 2 - rest])
        vibration = Vibration(
            scene_object.name,
            scene_object.hz,
            scene_object.amplitude,
            scene_object.direction,
            viewport.box(*scene_object.body),
            (*viewport.point(*scene_object.line[:2]), *viewport.point(*scene_object.line[2:])),
        )
        return _Part(vibration, area, curve)

    def _still_mask(self) -> NDArray[np.bool_]:
        """Return the mask `still`."""
        still = np.ones(self.size[::-1], np.bool_)
        for x, y, width, height in (self._track, *(part.box for part in self._parts)):
            still[max(y - 8, 0) : y + height + 8, max(x - 8, 0) : x + width + 8] = False
        return still

    def _make_noise(self, noise: float) -> None:
        """Create noise larger than the picture; each frame uses a random crop of it."""
        rng = np.random.default_rng((self._seed, 1))
        shape = (self.size[1] + 128, self.size[0] + 128, 3)
        sheet = rng.standard_normal(shape, dtype=np.float32) * np.float32(noise)
        self._noise = sheet + rng.random(shape, dtype=np.float32) - np.float32(0.5)

    def clean(self, index: int) -> Picture:
        """Return frame `index` without noise and rounding."""
        seconds = index * self._dt
        picture = self._picture.copy()
        for part in self._parts:
            x, y, width, height = part.box
            picture[y : y + height, x : x + width] = part.at(seconds)
        self._paste_crate(picture, seconds)
        return picture

    def _paste_crate(self, picture: Picture, seconds: float) -> None:
        """Draw the crate at its position along the rail into `picture`."""
        moved = self._crate_reach * np.sin(2 * np.pi * seconds / _CRATE_PERIOD)
        whole, rest = divmod(float(moved), 1.0)
        # One pixel on each side of the crate is empty, so linear interpolation needs no padding.
        crate = (1 - rest) * self._crate
        crate[:, 1:] += rest * self._crate[:, :-1]
        height, width = crate.shape[:2]
        left, top = self._crate_corner[0] + int(whole), self._crate_corner[1]
        first, last = max(-left, 0), min(self.size[0] - left, width)
        track = picture[top : top + height, left + first : left + last]
        track += crate[:, first:last, :3] - track * crate[:, first:last, 3:]

    def image(self, index: int) -> Image:
        """Return frame `index` with camera noise, (H, W, 3) uint8 BGR."""
        rng = np.random.default_rng((self._seed, 2, index))
        x, y = (int(v) for v in rng.integers(0, 128, 2))
        cut = self._noise[y : y + self.size[1], x : x + self.size[0]]
        noisy = cv2.add(self.clean(index), cut[:: rng.choice((-1, 1)), :: rng.choice((-1, 1))])
        return np.asarray(np.clip(np.rint(noisy), 0, 255), np.uint8)

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames, beginning with the first."""
        start, index = time.monotonic(), 0
        while not self._closed and (self.frames is None or index < self.frames):
            if self.live:
                time.sleep(max(start + index * self._dt - time.monotonic(), 0))
                index = max(index, int((time.monotonic() - start) / self._dt))
            moment = index * self._dt
            yield Frame(self.image(index), start + moment if self.live else moment, index)
            index += 1

    def close(self) -> None:
        """End the iteration."""
        self._closed = True
