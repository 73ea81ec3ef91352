"""Warp an image by the flow, at every motion scale and image size."""

import numpy as np
import pytest
from numpy.typing import NDArray

from rtmag.realtime.engines.warp import warp
from rtmag.realtime.frame import Image
from rtmag.realtime.opencv import cv2


def picture(width: int = 48, height: int = 32) -> Image:
    rng = np.random.default_rng(1)
    rough = rng.normal(128, 300, (height, width, 3))
    return np.asarray(cv2.GaussianBlur(rough, (0, 0), 2).clip(0, 255), np.uint8)


def flow(dx: float, dy: float, width: int = 12, height: int = 8) -> NDArray[np.float32]:
    out = np.empty((1, 2, height, width), np.float32)
    out[:, 0], out[:, 1] = dx, dy
    return out


def test_zero_flow_changes_nothing() -> None:
    image = picture()
    assert np.array_equal(warp(image, flow(0, 0)), image)


def test_pixels_come_from_the_flow_s_source_positions() -> None:
    image = picture()
    moved = warp(image, flow(3, -2))
    assert np.array_equal(moved[2:, :-3], image[:-2, 3:])
    assert np.array_equal(moved[2:, -3:], np.repeat(image[:-2, -1:], 3, axis=1))  # the edge


@pytest.mark.parametrize("part", [0.02, 0.25])
def test_fractions_of_a_pixel_are_interpolated(part: float) -> None:
    ramp = np.tile(np.arange(0, 240, 5, dtype=np.uint8)[:, None], (32, 1, 3))  # 5 levels a pixel
    moved = warp(ramp, flow(10 + part, 0))[:, :-12].astype(float)
    assert np.abs(moved - ramp[:, :-12] - 50 - 5 * part).max() <= 0.51


@pytest.mark.parametrize("size", [(48, 32), (45, 30), (1, 1)])
def test_an_image_may_be_smaller_than_the_flow(size: tuple[int, int]) -> None:
    image = picture(*size)
    assert np.array_equal(warp(image, flow(0, 0)), image)
    assert warp(image, flow(1, 1)).shape == image.shape


@pytest.mark.parametrize("shrink", [2, 4])
def test_the_flow_of_a_smaller_input_is_scaled_up(shrink: int) -> None:
    image = picture(48 * shrink, 32 * shrink)
    moved = warp(image, flow(2, 1), shrink)
    dx, dy = 2 * shrink, shrink
    assert np.array_equal(moved[:-dy, :-dx], image[dy:, dx:])


def test_flow_is_interpolated_between_cells() -> None:
    field = flow(0, 0)
    field[0, 0] = np.arange(12) / 4  # px per cell of four: a stretch by a sixteenth
    ramp = np.tile(np.arange(0, 240, 5, dtype=np.uint8)[:, None], (32, 1, 3))
    moved = warp(ramp, field)[0, 2:40, 0].astype(float)
    x = np.arange(2, 40)
    assert np.abs(moved - 5 * (x + (x - 1.5) / 16)).max() < 1
