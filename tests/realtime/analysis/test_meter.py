"""Meter on exact motion of synthetic pictures."""

import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from rtmag.realtime.analysis.following import Follower
from rtmag.realtime.analysis.measurement import Measurement
from rtmag.realtime.analysis.meter import Meter, grid
from rtmag.realtime.errors import OptionError
from rtmag.realtime.filters import Band
from rtmag.realtime.frame import Frame, Image, Region

SIDE = 96

FPS = 30.0


def measure(
    frames: Iterable[Frame],
    regions: Mapping[str, Region | None],
    *,
    band: Band | None = None,
    scale: float = 1.0,
    unit: str = "px",
) -> Measurement:
    """Measure all frames."""
    meter = Meter(regions, band=band, scale=scale, unit=unit)
    for frame in frames:
        meter.add(frame)
    return meter.result()


class Moved:
    """A band-limited picture that is moved exactly, by the phase of its spectrum."""

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self._fy, self._fx = np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None]
        radius = np.hypot(self._fy, self._fx)
        spectrum = np.fft.rfft2(rng.standard_normal((SIDE, SIDE)))
        spectrum *= np.where((radius > 0) & (radius < 0.35), 1 / np.maximum(radius, 1e-9), 0)
        self._spectrum = spectrum * 35 / np.fft.irfft2(spectrum).std()

    def at(
        self, dx: float, dy: float, light: float | NDArray[np.float64] = 1.0
    ) -> NDArray[np.float64]:
        """(SIDE, SIDE) brightness with this displacement in px."""
        phase = np.exp(-2j * np.pi * (self._fx * dx + self._fy * dy))
        return light * (120 + np.fft.irfft2(self._spectrum * phase))


def camera(light: NDArray[np.float64], rng: np.random.Generator, noise: float = 2.0) -> Image:
    grain = light + rng.normal(0, noise, light.shape)
    return np.repeat(np.rint(grain).clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def swinging(
    hz: float, px: float, seconds: float = 10.0, flicker: float = 0.0, lag: float = 0.0
) -> Iterator[Frame]:
    """Frames of two pictures side by side; the right one lags by `lag` degrees."""
    left, right, rng = Moved(0), Moved(1), np.random.default_rng(5)
    for index in range(round(seconds * FPS)):
        time = index / FPS
        angle = 2 * np.pi * hz * time + 0.3
        rows = np.linspace(0, 2.5, SIDE)[:, None]  # of a rolling shutter
        light = 1 + flicker * np.sin(2 * np.pi * 7.3 * time + rows)
        later = px * np.sin(angle - np.radians(lag))
        pair = [left.at(px * np.sin(angle), 0, light), right.at(0.6 * later, 0.8 * later, light)]
        yield Frame(camera(np.hstack(pair), rng), time, index)


def compressed(frames: list[Frame], rate: int) -> list[Image]:
    """Images after H.264 at a rate in bit/s."""
    file = io.BytesIO()
    with av.open(file, "w", "matroska") as container:
        stream = container.add_stream("libx264", rate=round(FPS))
        stream.width, stream.height, stream.pix_fmt = *frames[0].size, "yuv420p"
        stream.bit_rate = rate
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame.image, "bgr24")))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file, "r") as container:
        return [
            np.asarray(each.to_ndarray(format="bgr24"), np.uint8)
            for each in container.decode(video=0)
        ]


BOXES = {"left": (16, 16, 64, 64), "right": (112, 16, 64, 64)}


@pytest.mark.parametrize(
    ("hz", "px", "tolerance"),
    [(0.53, 0.05, 0.05), (3.21, 0.05, 0.05), (12.0, 2.0, 0.05), (5.0, 0.02, 0.1), (0.5, 2.0, 0.05)],
)
def test_amplitude_frequency_and_phase(hz: float, px: float, tolerance: float) -> None:
    result = measure(swinging(hz, px, lag=40), BOXES)
    for region in result.regions:
        peak = region.peaks[0]
        assert peak.hz == pytest.approx(hz, abs=0.02)
        assert peak.px == pytest.approx(px, rel=tolerance)
        assert abs(peak.hz - hz) < 3 * peak.hz_deviation + 1e-4
    ellipse = result.region("right").orbit()
    assert ellipse is not None
    assert ellipse.angle == pytest.approx(53.13, abs=5)
    assert ellipse.minor < 0.1 * px
    phase, deviation, coherence = result.relation("left", "right").at(hz)
    assert phase == pytest.approx(-40, abs=5)
    assert deviation < 5
    assert coherence > 0.95


def test_flicker_of_the_light_is_not_motion() -> None:
    peaks = measure(swinging(3.0, 0.1, flicker=0.03), BOXES).region("left").peaks
    assert peaks[0].px == pytest.approx(0.1, rel=0.05)
    assert all(abs(peak.hz - 7.3) > 0.1 or peak.px < 0.003 for peak in peaks)


def test_compressed_pictures_have_larger_deviations() -> None:
    """Hold the truth within two deviations, although H.264 takes some of the motion away."""
    frames = list(swinging(4.3, 0.3, 6.0))
    plain = measure(frames, BOXES).region("left")
    images = compressed(frames, 100_000)
    squeezed = measure(map(Frame.with_image, frames, images), BOXES)
    region = squeezed.region("left")
    assert plain.repeated < 1e-4 < 0.002 < region.repeated
    true, small = plain.peaks[0], region.peaks[0]
    assert small.hz == pytest.approx(4.3, abs=0.02)
    assert small.px < true.px
    assert abs(small.px - 0.3) < 2 * small.px_deviation < 0.2
    assert "compression makes small motion smaller" in squeezed.notes[0]


@pytest.fixture(scope="module")
def shaken() -> Measurement:
    return measure(swinging(4.0, 0.25, 6.0), BOXES, scale=0.5, unit="mm", band=(2, 6))


def test_velocity_and_acceleration(shaken: Measurement) -> None:
    region, w = shaken.region("left"), 2 * np.pi * 4
    for order in (0, 1, 2):
        level, size = region.level(order), 0.25 * w**order
        assert level.rms == pytest.approx(size / np.sqrt(2), rel=0.05)
        assert level.peak == pytest.approx(size, rel=0.1)
        assert level.peak_to_peak == pytest.approx(2 * size, rel=0.1)
        assert level.noise < 0.05 * size
        spectrum = region.spectrum(order)
        k = int(np.abs(spectrum.hz - 4).argmin())
        assert spectrum.px[k, 0] == pytest.approx(size, rel=0.1)
    assert region.peaks[0].per_second == pytest.approx(0.25 * w, rel=0.05)
    assert region.peaks[0].per_second2 == pytest.approx(0.25 * w * w, rel=0.05)
    assert shaken.fps == pytest.approx(FPS)
    assert (shaken.scale, shaken.unit) == (0.5, "mm")


def test_a_still_picture_has_no_peak() -> None:
    result = measure(swinging(3.0, 0.0), BOXES)
    assert [region.peaks for region in result.regions] == [[], []]
    level = result.region("left").level()
    assert level.rms == pytest.approx(level.noise, rel=0.3)


def test_something_else_before_the_region_is_left_out() -> None:
    rng = np.random.default_rng(0)
    meter = Meter(BOXES)
    for frame in swinging(3.0, 0.2, 8.0):
        hidden = 2 < frame.time < 2.4
        noise = rng.integers(0, 255, frame.image.shape, np.uint8)
        meter.add(replace(frame, image=noise) if hidden else frame)
    result = meter.result()
    assert "11 frames show something else" in result.notes[0]
    assert result.region("left").peaks[0].px == pytest.approx(0.2, rel=0.05)


def test_motion_of_many_pixels_from_frame_to_frame() -> None:
    result = measure(swinging(4.0, 15.0, 3.0), {"left": (32, 32, 32, 32)})
    (peak,) = result.regions[0].peaks
    assert peak.hz == pytest.approx(4.0, abs=0.01)
    assert peak.px == pytest.approx(15.0, rel=0.01)
    assert result.notes == []


def test_grid_and_regions_are_checked() -> None:
    assert list(grid((640, 480), 2, 2)) == ["A1", "B1", "A2", "B2"]
    assert grid((640, 480), 2, 2)["B2"] == (320, 240, 320, 240)
    assert list(grid((640, 480), 30, 1))[-1] == "AD1"
    with pytest.raises(OptionError, match="at least 8 x 8"):
        grid((64, 48), 10, 10)
    with pytest.raises(OptionError, match="at least one region"):
        Meter({})
    frames = list(swinging(3.0, 0.1, 0.2))
    with pytest.raises(OptionError, match="region far at 500,0,20,20 is outside"):
        measure(frames, {"far": (500, 0, 20, 20)})
    with pytest.raises(OptionError, match="there are: left, right"):
        measure(frames, BOXES).region("middle")
    changed = [*frames, Frame(np.zeros((50, 50, 3), np.uint8), 9.0, 9)]
    with pytest.raises(OptionError, match="changed from 192x96 to 50x50"):
        measure(changed, BOXES)


@pytest.mark.parametrize("size", [(17, 33), (640, 9), (901, 401)])
def test_the_downscaled_region_is_inside_the_picture(size: tuple[int, int]) -> None:
    """Place the region at the corner of a picture that it fills, not a pixel away."""
    image = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3)).astype(np.uint8)
    follower = Follower(None, 10_000)
    first, second = (follower.add(Frame(image, time, 0), time) for time in (0, 1))
    assert first is not None
    assert second is not None
    assert first.content.shape == second.content.shape
    assert second.displacement == pytest.approx((0, 0), abs=1e-4)
    assert follower.repeated == pytest.approx(1.0)


def test_a_region_without_texture_says_so() -> None:
    flat = np.full((48, 48, 3), 100, np.uint8)
    result = measure((Frame(flat, index / FPS, index) for index in range(90)), {"wall": None})
    assert result.regions[0].peaks == []
    assert "region wall: no texture whose motion could be measured" in result.notes
