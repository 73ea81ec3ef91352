"""x-t slices and the figure made of them."""

import numpy as np

from rtmag.realtime.analysis.slices import figure, line_samples, stretch, xt_slice
from rtmag.realtime.frame import Image


def ramp() -> Image:
    """Grey level x + 2 y."""
    y, x = np.mgrid[:48, :64]
    return np.repeat((x + 2 * y)[..., None], 3, axis=2).astype(np.uint8)


def test_samples_follow_the_line() -> None:
    assert line_samples(ramp(), (10, 5, 14, 5))[:, 0].tolist() == [20, 21, 22, 23, 24]
    assert line_samples(ramp(), (10, 5, 10, 8))[:, 0].tolist() == [20, 22, 24, 26]
    assert line_samples(ramp(), (10.5, 5, 12.5, 5)).shape == (3, 3)


def test_time_runs_to_the_right_and_the_line_down() -> None:
    moving = [np.roll(ramp(), shift, axis=1) for shift in range(5)]
    image = xt_slice([line_samples(picture, (20, 3, 29, 3)) for picture in moving])
    assert image.shape == (10, 5, 3)
    assert image[0, :, 0].tolist() == [26, 25, 24, 23, 22]


def test_points_and_lines_outside_the_picture_are_allowed() -> None:
    assert line_samples(ramp(), (3, 3, 3, 3)).shape == (2, 3)
    assert line_samples(ramp(), (-5, 0, 80, 0)).shape == (86, 3)


def test_stretching_keeps_sharp_edges() -> None:
    assert stretch(ramp()[:2, :2], 8, 6)[:, :, 0].tolist()[0] == [0, 0, 0, 0, 1, 1, 1, 1]


def test_the_figure_contains_every_panel() -> None:
    panel = ("name", ramp())
    sheet = figure([[panel, panel], [panel]], width=100, height=50)
    assert sheet.shape == (2 * 58 + 8, 2 * 108 + 8, 3)
    assert (sheet[70:, 120:] == 255).all()
    assert (sheet[10:50, 120:200] < 255).any()
