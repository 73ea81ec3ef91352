"""Clips: what a live magnifier is judged by. Sinusoids under every filter, noise, selectivity.

Shape is linear and so is what a filter makes of it: a thing displaced by x(t) should be shown
displaced by x + (alpha - 1) F{x}, whatever the filter F. That is the truth these clips are held to.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import freqz_sos, sosfilt
from skimage.metrics import structural_similarity

from benchmarks.classical import Stepper
from benchmarks.gain import shifted
from benchmarks.layered_scenes import Image, Layer, Light, Scene, shot
from rtmag.realtime.analysis.tracking import Tracker, amplitude, gray
from rtmag.realtime.filters import Dynamic, Filter, Static, Temporal
from rtmag.realtime.sections import Sections

FPS = 30.0
FRAMES = 60
ALPHA = 20.0
BAND = Temporal(1, 3)
NARROW = Temporal(1.5, 2.5, order=2)
FILTERS: dict[str, Filter] = {
    "static": Static(),
    "drift": Static(drift=0.5),
    "dynamic": Dynamic(),
    "temporal": BAND,
    "narrow": NARROW,
}


def sos(sections: Sections) -> NDArray[np.float64]:
    """The sections as scipy wants them, with a0 = 1."""
    return np.insert(sections.astype(np.float64), 3, 1.0, axis=1)


def filtered(x: NDArray[np.float64], sections: Sections) -> NDArray[np.float64]:
    """A signal that starts from rest at x[0], through the cascade, by scipy."""
    return np.asarray(sosfilt(sos(sections), x - x[0]), np.float64)


def magnified(
    method: Stepper, clip: list[Image], sections: Sections, alpha: float = ALPHA
) -> Iterator[Image]:
    """The clip, frame by frame."""
    state = None
    for image in clip:
        shown, state = method.step(image, alpha, sections, state)
        yield shown


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """What a camera saw, and what a perfect magnifier would show."""

    images: list[Image]
    truth: list[Light]
    still: NDArray[np.bool_]
    """Pixels that show the background all the time."""


def sinusoid(sections: Sections, pictures: list[Image], seed: int) -> Clip:
    """An object at 2 Hz before a still, noisy background."""
    rng = np.random.default_rng([seed, 5])
    behind, before = rng.choice(len(pictures), 2, replace=False)
    angle = rng.uniform(0, 2 * np.pi)
    shift = (float(np.cos(angle)), float(np.sin(angle)))
    scene = Scene([Layer(pictures[behind]), Layer(pictures[before], shift=shift, radius=42.0)])
    x = 0.3 * np.sin(2 * np.pi * 2 * np.arange(FRAMES) / FPS)
    wanted = x + (ALPHA - 1) * filtered(x, sections)
    return Clip(
        images=[shot(light, 1.0, rng) for light in scene.render([[0, m] for m in x])],
        truth=scene.render([[0, m] for m in wanted]),
        still=scene.still([[0, m] for m in (wanted.min(), wanted.max())]),
    )


def score(method: Stepper, clip: Clip, sections: Sections) -> dict[str, float]:
    """SSIM and MAE (of 1) over the clip; unrest of its still pixels over that of the input's."""
    shown = list(magnified(method, clip.images, sections))
    inner = np.s_[8:-8, 8:-8]
    similarity, error = [], []
    for image, truth in list(zip(shown, clip.truth, strict=True))[1:]:
        light, wanted = image[inner].astype(np.float32), truth[inner]
        similarity.append(structural_similarity(light, wanted, channel_axis=2, data_range=255))
        error.append(np.abs(light - wanted).mean() / 255)
    return {
        "ssim": float(np.mean(similarity)),
        "mae": float(np.mean(error)),
        "flicker": unrest(shown, clip.still) / unrest(clip.images, clip.still),
    }


def flicker(method: Stepper, picture: Image, noise: float, seed: int) -> float:
    """Unrest of a still, noisy clip under the temporal filter, over that of the clip itself."""
    rng = np.random.default_rng([seed, 6])
    light = Scene([Layer(picture)]).render([[0.0]])[0]
    clip = [shot(light, noise, rng) for _ in range(FRAMES)]
    everywhere = np.ones(light.shape[:2], bool)
    shown = list(magnified(method, clip, BAND.sections(FPS)))
    return unrest(shown, everywhere) / unrest(clip, everywhere)


def unrest(clip: list[Image], where: NDArray[np.bool_]) -> float:
    """Standard deviation over time, averaged over pixels, grey levels."""
    return float(np.stack([image[where] for image in clip]).astype(np.float32).std(0).mean())


@dataclass(frozen=True, slots=True, eq=False)
class Sway:
    """A picture that sways at one frequency, and the yardstick for what is shown of it."""

    hz: float
    clip: list[Image]
    truth: list[Image]
    """What a perfect magnifier shows."""
    sections: Sections
    designed: float
    """Its gain: that of the filter, magnified, beside the motion that is there anyway."""

    def gain(self, method: Stepper) -> float:
        """A method's gain."""
        return self.gain_of(list(magnified(method, self.clip, self.sections)))

    def gain_of(self, shown: list[Image]) -> float:
        """What the gain is, by a yardstick that finds the perfect magnifier's right."""
        return self.designed * self._swing(shown) / self._swing(self.truth)

    def _swing(self, shown: list[Image]) -> float:
        side = self.clip[0].shape[0]
        tracker = Tracker(gray(self.clip[0]), (side // 4, side // 4, side // 2, side // 2))
        track = [tracker.displacement(gray(image))[0] for image in shown[SETTLE:]]
        return amplitude(np.array(track), self.hz, FPS)


def side_by_side(method: Stepper, left: Sway, right: Sway) -> tuple[float, float]:
    """Gains of two things that sway at two frequencies in one clip, under the left one's filter."""
    clip = [np.hstack(pair) for pair in zip(left.clip, right.clip, strict=True)]
    shown = list(magnified(method, clip, left.sections))
    side = left.clip[0].shape[1]
    return left.gain_of([x[:, :side] for x in shown]), right.gain_of([x[:, side:] for x in shown])


SETTLE = 60  # frames until the filter has forgotten how it began


def sway(picture: Image, hz: float, band: Temporal = BAND, side: int = 160) -> Sway:
    """The middle of a picture, swaying so far that what a filter leaves of it can be seen.

    A filter may leave a fiftieth. Rounded to whole grey levels, a picture does not show a shift of
    a few hundredths of a pixel, whatever the network says (benchmarks/EXPERIMENTS.md).
    """
    sections = band.sections(FPS)
    count, size = SETTLE + 120, 0.2
    x = size * np.sin(2 * np.pi * hz * np.arange(count) / FPS)
    wanted = x + (ALPHA - 1) * filtered(x, sections)
    corner = (picture.shape[0] - side) // 2
    middle = picture[corner : corner + side, corner : corner + side].astype(np.float64)
    spectrum = np.fft.fft2(middle, axes=(0, 1))
    response = freqz_sos(sos(sections), [hz], fs=FPS)[1][0]
    return Sway(
        hz=hz,
        clip=[shifted(spectrum, float(dx), 0.0, seed) for seed, dx in enumerate(x)],
        truth=[shifted(spectrum, float(dx), 0.0, seed) for seed, dx in enumerate(wanted)],
        sections=sections,
        designed=float(abs(1 + (ALPHA - 1) * response)),
    )
