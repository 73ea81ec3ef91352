import dataclasses

import numpy as np
import pytest

from rtmag.realtime.frame import Frame


def frame() -> Frame:
    return Frame(np.zeros((48, 64, 3), np.uint8), 1.5, 7)


def test_size_is_width_and_height() -> None:
    assert frame().size == (64, 48)


def test_another_picture_of_the_same_moment() -> None:
    first = frame()
    other = first.with_image(np.ones((24, 32, 3), np.uint8))
    assert (other.time, other.index, other.size) == (1.5, 7, (32, 24))
    assert first.image.max() == 0


def test_frames_are_values() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        frame().time = 2.0  # type: ignore[misc]
    assert frame() != frame()
    assert len({frame(), frame()}) == 2
