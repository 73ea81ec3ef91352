"""Displacement of the scene, against textures that were moved by known amounts."""

from functools import cache

import numpy as np
import pytest

from rtmag.realtime.engines.engine import Engine, IdentityEngine
from rtmag.realtime.engines.loading import load_engine
from rtmag.realtime.errors import ModelIncompatible
from rtmag.realtime.filters import Static, Temporal
from rtmag.realtime.frame import Frame, Image
from rtmag.realtime.magnifier import Magnifier
from rtmag.realtime.streaming import motion

FPS = 30.0


@cache
def spectrum(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Spectrum of a texture of natural smoothness, with a deviation of 30 grey levels."""
    width, height = size
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)
    radius = np.maximum(np.hypot(rows, columns), 1 / height)
    noise = np.random.default_rng(seed).normal(size=(height, width))
    spectrum = np.fft.fft2(noise) / radius * np.exp(-np.square(radius * 2 * np.pi * 0.7) / 2)
    return np.asarray(spectrum * 30 / np.fft.ifft2(spectrum).real.std())


def texture(
    dx: float = 0.0, dy: float = 0.0, noise: float = 0.0, size: tuple[int, int] = (160, 128)
) -> Image:
    """A texture that moved by (dx, dy) px."""
    width, height = size
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)
    phase = np.exp(-2j * np.pi * (columns * dx + rows * dy))
    grey = np.fft.ifft2(spectrum(size) * phase).real[..., None] + 128
    grains = np.random.default_rng(round(1e4 * (dx + noise))).normal(size=(height, width, 3))
    return np.clip(np.rint(grey + noise * grains), 0, 255).astype(np.uint8)


def frames(*moves: tuple[float, float]) -> list[Frame]:
    return [Frame(texture(*move), k / FPS, k) for k, move in enumerate(moves)]


@pytest.mark.parametrize("model", ["fast", "standard"])
@pytest.mark.parametrize("scale", [1.0, 0.5, 0.25])
@pytest.mark.parametrize("moved", [0.05, 0.2, 1.0])
def test_a_field_is_the_displacement_in_pixels_right_and_down(
    model: str, scale: float, moved: float
) -> None:
    magnifier = Magnifier(load_engine(model, engine="onnx", motion_scale=scale))
    size = round(160 / scale), round(128 / scale)
    still = magnifier.motion(texture(noise=1, size=size))
    field = magnifier.motion(texture(moved, -moved / 2, noise=1, size=size))
    assert not still.displacement.any()
    assert field.displacement.dtype == field.deviation.dtype == np.float32
    assert field.displacement.shape == field.deviation.shape == (32, 40, 2)
    assert field.cell == 4 / scale and field.origin == (0, 0)
    x, y = np.median(field.displacement[2:-2, 2:-2], axis=(0, 1))
    allowed = 0.1 * moved + 0.003 / scale
    assert x == pytest.approx(moved, abs=allowed) and y == pytest.approx(-moved / 2, abs=allowed)


def test_frames_carry_their_field_on_request() -> None:
    engine = load_engine("fast", engine="onnx")
    plain, measuring, only = (Magnifier(engine, alpha=5) for _ in range(3))
    measuring.measures = True
    for frame in frames((0, 0), (0.3, 0.1)):
        shown, without = measuring(frame), plain(frame)
        field = only.motion(frame)
        assert np.array_equal(shown.image, without.image)
        assert without.field is None and shown.field is not None
        difference = np.abs(shown.field.displacement - field.displacement)
        assert np.median(difference) < 0.02


@pytest.mark.parametrize("alpha", [1.0, 0.0, -3.0, 30.0])
def test_every_alpha_measures_the_same(alpha: float) -> None:
    engine = load_engine("fast", engine="onnx")
    magnifier, other = Magnifier(engine, alpha=alpha), Magnifier(engine, alpha=alpha)
    magnifier.measures = True
    for frame in frames((0, 0), (0.1, -0.05)):
        shown, without = magnifier(frame), other(frame)
        assert np.array_equal(shown.image, without.image)
    assert shown.field is not None
    x, y = np.median(shown.field.displacement, axis=(0, 1))
    assert x == pytest.approx(0.1, rel=0.2) and y == pytest.approx(-0.05, rel=0.2)


def test_a_region_has_its_origin_in_the_field() -> None:
    magnifier = Magnifier(load_engine("fast", engine="onnx"))
    magnifier.region = 32, 16, 70, 50
    field = [magnifier.motion(frame) for frame in frames((0, 0), (0.2, 0))][-1]
    assert field.origin == (32, 16) and field.displacement.shape == (13, 18, 2)
    assert np.median(field.displacement[..., 0]) == pytest.approx(0.2, rel=0.15)


def test_a_field_without_a_known_rate_says_nothing() -> None:
    magnifier = Magnifier(load_engine("fast", engine="onnx"), filter=Temporal(1, 3))
    field = magnifier.motion(frames((0, 0))[0])
    assert not field.displacement.any() and np.isinf(field.deviation).all()


def test_arrays_are_measured_like_frames() -> None:
    magnifier = Magnifier(load_engine("fast", engine="onnx"))
    magnifier.motion(texture()[..., 0])
    field = magnifier.motion(texture(0.2)[..., 0])
    assert np.median(field.displacement[..., 0]) == pytest.approx(0.2, rel=0.15)


def test_a_source_yields_its_own_frames_with_their_field() -> None:
    measured = motion("test", model="fast", size=(160, 128), filter=Static())
    shown = [next(measured) for _ in range(3)]
    assert all(frame.field is not None for frame in shown)


@pytest.mark.parametrize("engine", [IdentityEngine()])
def test_a_model_without_motion_is_refused(engine: Engine) -> None:
    with pytest.raises(ModelIncompatible, match="cannot measure motion with model 'none'"):
        Magnifier(engine).motion(texture())
