"""Pictures of more than 8 bits, scaled by the values that they use."""

import numpy as np
import pytest

from rtmag.realtime.media.depth import ValueRange, depth_note, used_range


@pytest.mark.parametrize(
    ("highest", "white"),
    [(0, 255), (255, 255), (256, 1023), (1023, 1023), (1500, 4095), (4095, 4095), (4096, 16383),
     (40_000, 65_535)],
)  # fmt: skip
def test_integers_have_the_depth_of_a_camera(highest: int, white: int) -> None:
    pictures = [np.full((2, 3), value, np.uint16) for value in (0, highest, highest // 2)]
    assert used_range(pictures) == ValueRange(0, white)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 0.3], (0, 0.5)),
        ([0.1, 1.0], (0, 1)),
        ([-0.25, 200], (-0.25, 256)),
        ([0, 0], (0, 1)),
        ([-3, -1], (-3, 0)),
        ([np.nan, 0.9, np.inf], (0, 1)),
        ([np.nan, np.nan], (0, 1)),
    ],
)
def test_numbers_have_a_power_of_two(values: list[float], expected: tuple[float, float]) -> None:
    assert used_range([np.array(values, np.float32)]) == ValueRange(*expected)


def test_signed_integers_keep_their_lowest_value() -> None:
    assert used_range([np.array([-20, 3000], np.int16)]) == ValueRange(-20, 4095)


def test_values_are_rounded_and_clipped() -> None:
    twelve = np.array([[0, 8, 9, 2048, 4095, 5000]], np.uint16)
    expected = [[0, 0, 1, 128, 255, 255]]
    assert ValueRange(0, 4095).to_8bit(twelve).tolist() == expected
    assert ValueRange(0, 4095).to_8bit(twelve.astype(np.int32)).tolist() == expected
    numbers = np.array([[-1, 0, 0.5, 1, 2, np.nan, np.inf]])
    assert ValueRange(0, 1).to_8bit(numbers).tolist() == [[0, 0, 128, 255, 255, 0, 255]]
    assert ValueRange(-1, 1).to_8bit(numbers)[0, :4].tolist() == [0, 128, 191, 255]


def test_signalling_nan_is_black() -> None:
    """Damaged pictures contain it; conversions of it make NumPy print a warning."""
    image = np.array([[0x7F800001, 0x3F800000]], np.uint32).view(np.float32)
    assert ValueRange(0, 1).to_8bit(image).tolist() == [[0, 255]]


def test_the_note_names_bits_and_values() -> None:
    assert depth_note(10) == "has 10 bits per channel; the output has 8"
    assert "its values 0 to 4095 become 0 to 255" in depth_note(16, ValueRange(0, 4095))
