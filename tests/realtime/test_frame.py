import dataclasses
from typing import Any

import numpy as np
import pytest

from rtmag.realtime.errors import OptionError
from rtmag.realtime.frame import Frame, as_bgr


def frame() -> Frame:
    return Frame(np.zeros((48, 64, 3), np.uint8), 1.5, 7)


def test_size_is_width_and_height() -> None:
    assert frame().size == (64, 48)


def test_with_image_keeps_time_and_index() -> None:
    first = frame()
    other = first.with_image(np.ones((24, 32, 3), np.uint8))
    assert (other.time, other.index, other.size) == (1.5, 7, (32, 24))
    assert first.image.max() == 0


def test_frames_are_immutable_and_compared_by_identity() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        frame().time = 2.0  # type: ignore[misc]
    assert frame() != frame()
    assert len({frame(), frame()}) == 2


def test_grey_images_get_three_channels() -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    for image in (grey, grey[..., None]):
        colour = as_bgr(image)
        assert colour.shape == (3, 4, 3)
        assert all((colour[..., channel] == grey).all() for channel in range(3))
    assert as_bgr(colour) is colour


@pytest.mark.parametrize(
    ("image", "hint"),
    [
        (np.full((4, 4, 3), 0.5, np.float32), r"\(image \* 255\)"),
        (np.full((4, 4), 0.5), r"\(image \* 255\)"),
        (np.full((4, 4, 3), 127.0), r"clip\(0, 255\)"),
        (np.full((4, 4, 3), np.nan), r"clip\(0, 255\)"),
        (np.full((4, 4, 3), 700, np.uint16), "image >> 8"),
        (np.ones((4, 4), bool), "255"),
        (np.ones((4, 4, 3), int), r"clip\(0, 255\)"),
    ],
)
def test_other_types_are_refused_with_their_conversion(image: Any, hint: str) -> None:
    with pytest.raises(OptionError, match=rf"must be uint8 .* got {image.dtype}; .*{hint}"):
        as_bgr(image)


@pytest.mark.parametrize("shape", [(4,), (4, 4, 4), (4, 4, 2), (1, 4, 4, 3), (0, 4, 3)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(OptionError, match=rf"got shape \({shape[0]}"):
        as_bgr(np.zeros(shape, np.uint8))
