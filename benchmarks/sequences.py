"""Clips of the quality benchmark: sinusoids under every filter, noise, selectivity.

Shape and filter are linear. An object with the displacement x(t) should therefore be shown with the
displacement x + (alpha - 1) F{x}, for every filter F. The true clips are made in this way.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import freqz_sos, sosfilt
from skimage.metrics import structural_similarity

from benchmarks.classical import Stepper
from benchmarks.gain import shift_picture
from benchmarks.layered_scenes import SIZE, Image, Layer, Light, Scene, simulate_camera
from rtmag.realtime.analysis.tracking import Tracker, amplitude, gray
from rtmag.realtime.filters import Dynamic, Filter, Static, Temporal
from rtmag.realtime.sections import Sections

FPS = 30.0
FRAMES = 60
ALPHA = 20.0
DIMMED = 0.8  # of the light, where it changes: bright pixels stay below white
BAND = Temporal(1, 3)
NARROW = Temporal(1.5, 2.5, order=2)
FILTERS: dict[str, Filter] = {
    "static": Static(),
    "drift": Static(drift=0.5),
    "dynamic": Dynamic(),
    "temporal": BAND,
    "narrow": NARROW,
}


LIGHTS: dict[str, Filter] = {
    "flicker 5 %": BAND,
    "flicker 20 %": BAND,
    "rolling bands 10 %": BAND,
    "exposure step 15 %": Static(),
}
"""Changes of light of the part `light`, with the filter under which they are scored."""


def light_at(kind: str, frame: int) -> NDArray[np.float32]:
    """Factor of the light of each row, (SIZE, 1, 1): flicker and bands beat at 2 Hz."""
    rows = np.arange(SIZE, dtype=np.float32)[:, None, None] / SIZE
    name, _, percent = kind.removesuffix(" %").rpartition(" ")
    if name == "exposure step":
        course = np.full_like(rows, frame >= FRAMES // 2)
    else:
        periods = 2.5 * rows if name == "rolling bands" else 0 * rows  # as of mains in 25 ms
        course = np.sin(2 * np.pi * (2 * frame / FPS + periods))
    return np.asarray(1 + float(percent) / 100 * course, np.float32)


def sos(sections: Sections) -> NDArray[np.float64]:
    """Sections in the layout of SciPy, with a0 = 1."""
    return np.insert(sections.astype(np.float64), 3, 1.0, axis=1)


def filter_signal(x: NDArray[np.float64], sections: Sections) -> NDArray[np.float64]:
    """Filter a signal that starts from rest at x[0], with SciPy."""
    return np.asarray(sosfilt(sos(sections), x - x[0]), np.float64)


def magnify_frames(
    method: Stepper, clip: list[Image], sections: Sections, alpha: float = ALPHA
) -> Iterator[Image]:
    """Magnify a clip frame by frame."""
    state = None
    for image in clip:
        shown, state = method.step(image, alpha, sections, state)
        yield shown


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """A clip and its true magnification."""

    images: list[Image]
    truth: list[Light]
    still: NDArray[np.bool_]
    """Pixels that always show the background."""


def sinusoid(
    sections: Sections, pictures: list[Image], seed: int, motion: float = 0.3, light: str = ""
) -> Clip:
    """An object that moves at 2 Hz in front of a still, noisy background.

    Args:
        sections: The filter.
        pictures: Textures of object and background.
        seed: Chooses the textures, the direction and the noise.
        motion: Amplitude of the object in px; 0: everything is still.
        light: Key of `LIGHTS`; the truth has the same light. Empty: steady light.
    """
    rng = np.random.default_rng([seed, 5])
    back, front = rng.choice(len(pictures), 2, replace=False)
    angle = rng.uniform(0, 2 * np.pi)
    shift = (float(np.cos(angle)), float(np.sin(angle)))
    scene = Scene([Layer(pictures[back]), Layer(pictures[front], shift=shift, radius=42.0)])
    x = motion * np.sin(2 * np.pi * 2 * np.arange(FRAMES) / FPS)
    expected = x + (ALPHA - 1) * filter_signal(x, sections)
    before, after = (_lit(scene.render([[0, m] for m in each]), light) for each in (x, expected))
    return Clip(
        images=[simulate_camera(each, 1.0, rng) for each in before],
        truth=after,
        still=scene.still([[0, m] for m in (expected.min(), expected.max())]),
    )


def _lit(clip: list[Light], light: str) -> list[Light]:
    """The clip in a changing light."""
    if not light:
        return clip
    return [DIMMED * each * light_at(light, frame) for frame, each in enumerate(clip)]


def score(method: Stepper, clip: Clip, sections: Sections) -> dict[str, float]:
    """SSIM and MAE (of 1) over the clip; flicker of its still pixels relative to the input."""
    shown = list(magnify_frames(method, clip.images, sections))
    inner = np.s_[8:-8, 8:-8]
    similarity, error = [], []
    for image, truth in list(zip(shown, clip.truth, strict=True))[1:]:
        light, expected = image[inner].astype(np.float32), truth[inner]
        similarity.append(structural_similarity(light, expected, channel_axis=2, data_range=255))
        error.append(np.abs(light - expected).mean() / 255)
    return {
        "ssim": float(np.mean(similarity)),
        "mae": float(np.mean(error)),
        "flicker": deviation(shown, clip.still) / deviation(clip.images, clip.still),
    }


def flicker(method: Stepper, picture: Image, noise: float, seed: int) -> float:
    """Flicker of a still, noisy clip under the temporal filter, relative to the clip itself."""
    rng = np.random.default_rng([seed, 6])
    light = Scene([Layer(picture)]).render([[0.0]])[0]
    clip = [simulate_camera(light, noise, rng) for _ in range(FRAMES)]
    everywhere = np.ones(light.shape[:2], bool)
    shown = list(magnify_frames(method, clip, BAND.sections(FPS)))
    return deviation(shown, everywhere) / deviation(clip, everywhere)


def deviation(clip: list[Image], where: NDArray[np.bool_]) -> float:
    """Standard deviation over time, averaged over pixels, grey levels."""
    return float(np.stack([image[where] for image in clip]).astype(np.float32).std(0).mean())


@dataclass(frozen=True, slots=True, eq=False)
class Sway:
    """A picture that sways at one frequency, with the measurement of its gain."""

    hz: float
    clip: list[Image]
    truth: list[Image]
    """The true magnified clip."""
    sections: Sections
    designed: float
    """True gain: the original motion plus (alpha - 1) times the filtered motion."""

    def gain(self, method: Stepper) -> float:
        """Measure the gain of a method."""
        return self.gain_of(list(magnify_frames(method, self.clip, self.sections)))

    def gain_of(self, shown: list[Image]) -> float:
        """Gain of a magnified clip, calibrated so that the truth has its designed gain."""
        return self.designed * self._swing(shown) / self._swing(self.truth)

    def _swing(self, shown: list[Image]) -> float:
        side = self.clip[0].shape[0]
        tracker = Tracker(gray(self.clip[0]), (side // 4, side // 4, side // 2, side // 2))
        track = [tracker.displacement(gray(image))[0] for image in shown[SETTLE:]]
        return amplitude(np.array(track), self.hz, FPS)


def side_by_side(method: Stepper, left: Sway, right: Sway) -> tuple[float, float]:
    """Gains of two pictures at two frequencies in one clip, under the left one's filter."""
    clip = [np.hstack(pair) for pair in zip(left.clip, right.clip, strict=True)]
    shown = list(magnify_frames(method, clip, left.sections))
    side = left.clip[0].shape[1]
    return left.gain_of([x[:, :side] for x in shown]), right.gain_of([x[:, side:] for x in shown])


SETTLE = 60  # frames until the transient of the filter is over


def sway(picture: Image, hz: float, band: Temporal = BAND, side: int = 160) -> Sway:
    """The middle of a picture, which sways by a fifth of a pixel.

    The motion has this size because a filter may reduce it to a fiftieth, and pictures of 8 bits
    cannot show a shift of a few hundredths of a pixel (EXPERIMENTS.md).
    """
    sections = band.sections(FPS)
    count, size = SETTLE + 120, 0.2
    x = size * np.sin(2 * np.pi * hz * np.arange(count) / FPS)
    expected = x + (ALPHA - 1) * filter_signal(x, sections)
    corner = (picture.shape[0] - side) // 2
    middle = picture[corner : corner + side, corner : corner + side].astype(np.float64)
    spectrum = np.fft.fft2(middle, axes=(0, 1))
    response = freqz_sos(sos(sections), [hz], fs=FPS)[1][0]
    return Sway(
        hz=hz,
        clip=[shift_picture(spectrum, float(dx), 0.0, seed) for seed, dx in enumerate(x)],
        truth=[shift_picture(spectrum, float(dx), 0.0, seed) for seed, dx in enumerate(expected)],
        sections=sections,
        designed=float(abs(1 + (ALPHA - 1) * response)),
    )
