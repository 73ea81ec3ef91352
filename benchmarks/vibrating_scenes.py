"""Clips of vibrating things with exactly known motion, for the benchmark of measuring.

Pictures that training never sees are shifted exactly, by the phase of their spectrum. One to three
round things with bulges swing along lines in front of a background, each at its own frequency.
Scenes differ in noise, mains flicker with a rolling shutter, shake of the camera, and in the rate
of H.264 that the clip was stored with.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass

import av
import cv2
import numpy as np
from av.video.frame import PictureType
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from rtmag.realtime.frame import Frame, Image, Region

WIDTH, HEIGHT = 320, 240
FPS = 30.0
SECONDS = 10.0
SHAKE = (1.5, 4.0)
"""Lowest and highest frequency of the camera's shake, Hz."""
FLICKER = 10.0
"""Frequency in Hz at which 30 frames per second show light that flickers at 100 Hz."""
CODECS = (None, 2000, 800, 400)
"""Rates of H.264 in kbit/s; None: not compressed."""

_MARGIN = 24  # px around a picture in which it fades out, so that its spectrum is smooth

Light = NDArray[np.float64]
"""(H, W) brightness in grey levels."""


class Picture:
    """A grey picture that can be shifted exactly.

    Args:
        light: (H, W), of which `_MARGIN` px on each side fade out.
    """

    def __init__(self, light: Light) -> None:
        fade = [np.ones(side) for side in light.shape]
        for each in fade:
            each[:_MARGIN] = 0.5 - 0.5 * np.cos(np.pi * (np.arange(_MARGIN) + 0.5) / _MARGIN)
            each[-_MARGIN:] = each[:_MARGIN][::-1]
        self._mean = float(light.mean())
        self._shape = light.shape
        self._spectrum = np.fft.rfft2((light - self._mean) * np.outer(*fade))
        self._fy = np.fft.fftfreq(light.shape[0])[:, None]
        self._fx = np.fft.rfftfreq(light.shape[1])[None]

    def at(self, dx: float, dy: float) -> Light:
        """Return the picture shifted to the right and down, in px, without its margin."""
        phase = np.exp(-2j * np.pi * (self._fx * dx + self._fy * dy))
        moved = np.fft.irfft2(self._spectrum * phase, self._shape)
        return np.asarray(self._mean + moved[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN])


@dataclass(frozen=True, slots=True, eq=False)
class Thing:
    """A thing that swings along a line."""

    hz: float
    px: float
    """Amplitude in px."""
    angle: float
    """Direction in rad, from the right towards down."""
    phase: float
    """At time 0, in rad."""
    centre: tuple[float, float]
    radius: float
    lobes: int
    picture: Picture
    """Square of side 2 (radius + 8), without its margin."""

    @property
    def box(self) -> Region:
        """The largest square that always shows the thing only."""
        half = int(0.8 * self.radius / np.sqrt(2) - self.px)
        x, y = (round(each) - half for each in self.centre)
        return x, y, 2 * half, 2 * half

    def shift(self, time: float) -> tuple[float, float]:
        """Displacement to the right and down in px."""
        size = self.px * np.sin(2 * np.pi * self.hz * time + self.phase)
        return float(size * np.cos(self.angle)), float(size * np.sin(self.angle))


@dataclass(frozen=True, slots=True, eq=False)
class VibratingScene:
    """A scene; without things it is still."""

    seed: int
    things: list[Thing]
    background: Picture
    noise: float
    """Standard deviation in grey levels."""
    flicker: float
    """Largest relative change of the light."""
    shake: NDArray[np.float64]
    """(T, 2) px: displacement of the picture as a whole."""
    codec: int | None
    """Rate of H.264 in kbit/s; None: not compressed."""
    keys: int
    """Number of frames between two key pictures."""

    def frames(self) -> Iterator[Frame]:
        """Return the frames as a source would yield them."""
        frames = (Frame(image, k / FPS, k) for k, image in enumerate(self._images()))
        return frames if self.codec is None else compressed(frames, self.codec, self.keys)

    def _images(self) -> Iterator[Image]:
        rng = np.random.default_rng([self.seed, 1])
        rows = 2 * np.pi * 2.5 * np.arange(HEIGHT)[:, None] / HEIGHT  # 25 ms of rolling shutter
        for index, (dx, dy) in enumerate(self.shake):
            light = self.background.at(dx, dy)
            for thing in self.things:
                _paint(light, thing, index / FPS, (dx, dy))
            light *= 1 + self.flicker * np.sin(2 * np.pi * FLICKER * index / FPS + rows)
            light += rng.normal(0, self.noise, light.shape)
            grey = np.rint(light).clip(0, 255).astype(np.uint8)
            yield np.repeat(grey[..., None], 3, axis=2)


def _paint(light: Light, thing: Thing, time: float, shake: tuple[float, float]) -> None:
    """Draw a thing; its outline is as wide as a pixel."""
    dx, dy = (a + b for a, b in zip(thing.shift(time), shake, strict=True))
    half = round(thing.radius) + 8
    left, top = (round(each) - half for each in thing.centre)
    place = np.s_[top : top + 2 * half, left : left + 2 * half]
    x = np.arange(left, left + 2 * half) - thing.centre[0] - dx
    y = (np.arange(top, top + 2 * half) - thing.centre[1] - dy)[:, None]
    bulges = 0.9 + 0.1 * np.cos(thing.lobes * np.arctan2(y, x))
    cover = np.clip(thing.radius * bulges - np.hypot(x, y) + 0.5, 0, 1)
    light[place] += cover * (thing.picture.at(dx, dy) - light[place])


def compressed(frames: Iterator[Frame], kilobits: int, keys: int) -> Iterator[Frame]:
    """Encode frames with H.264 at a rate in kbit/s, with a key picture every `keys`; decode."""
    file = io.BytesIO()
    with av.open(file, "w", "matroska") as container:
        stream = container.add_stream("libx264", rate=round(FPS))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.bit_rate, stream.gop_size = 1000 * kilobits, keys
        stream.options = {"preset": "veryfast"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame.image, "bgr24")))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file, "r") as container:
        for index, decoded in enumerate(container.decode(video=0)):
            image = np.asarray(decoded.to_ndarray(format="bgr24"), np.uint8)
            coding = PictureType(decoded.pict_type).name
            yield Frame(image, index / FPS, index, coding=coding)


def scene(seed: int, pictures: list[Image], *, still: bool = False) -> VibratingScene:
    """Make a scene; its seed determines everything.

    Args:
        seed: also chooses the codec, the noise, flicker and shake, so that 40 scenes in a row
            have every combination about equally often.
        pictures: (512, 512, 3) each.
        still: True for a scene in which nothing moves.
    """
    rng = np.random.default_rng([seed, still])
    times = np.arange(round(SECONDS * FPS)) / FPS
    shake = np.zeros((len(times), 2))
    if seed % 5 == 4 and not still:
        sections = butter(2, SHAKE, "bandpass", fs=FPS, output="sos")
        shake = sosfilt(sections, rng.normal(0, 0.25, (len(times) + 100, 2)), axis=0)[100:]
    places = rng.permutation([(70, 65), (250, 65), (70, 175), (250, 175), (160, 120)])
    count = 0 if still else 1 + seed % 3
    if count > 1:
        places = places[(places != (160, 120)).any(axis=1)]
    hz = _spaced(rng, count)
    return VibratingScene(
        seed=seed,
        things=[
            _thing(rng, pictures, tuple(places[k] + rng.uniform(-8, 8, 2)), hz[k])
            for k in range(count)
        ],
        background=Picture(_crop(rng, pictures, HEIGHT + 2 * _MARGIN, WIDTH + 2 * _MARGIN)),
        noise=(1.0, 2.0, 4.0)[seed // 2 % 3],
        flicker=0.02 if seed % 4 == 1 else 0.0,
        shake=shake,
        codec=CODECS[seed // 3 % len(CODECS)],
        keys=(12, 30, 250)[seed // 5 % 3],
    )


def _spaced(rng: np.random.Generator, count: int) -> list[float]:
    """Frequencies from 0.5 to 12 Hz, at least 0.5 Hz apart and away from the flicker."""
    found: list[float] = []
    while len(found) < count:
        hz = float(np.exp(rng.uniform(np.log(0.5), np.log(12))))
        if abs(hz - FLICKER) > 0.5 and all(abs(hz - other) > 0.5 for other in found):
            found.append(hz)
    return found


def _thing(
    rng: np.random.Generator, pictures: list[Image], centre: tuple[float, float], hz: float
) -> Thing:
    radius = float(rng.uniform(28, 45))
    side = 2 * (round(radius) + 8 + _MARGIN)
    return Thing(
        hz=hz,
        px=float(np.exp(rng.uniform(np.log(0.05), np.log(1.0)))),
        angle=float(rng.uniform(0, np.pi)),
        phase=float(rng.uniform(0, 2 * np.pi)),
        centre=centre,
        radius=radius,
        lobes=int(rng.integers(2, 7)),
        picture=Picture(_crop(rng, pictures, side, side)),
    )


def _crop(rng: np.random.Generator, pictures: list[Image], height: int, width: int) -> Light:
    """A random part of a random picture, grey, a little softer than its pixels."""
    picture = cv2.cvtColor(pictures[rng.integers(len(pictures))], cv2.COLOR_BGR2GRAY)
    soft = cv2.GaussianBlur(picture.astype(np.float64), (0, 0), 0.7)
    top, left = (int(rng.integers(0, 512 - side + 1)) for side in (height, width))
    return np.asarray(20 + 0.85 * soft[top : top + height, left : left + width])
