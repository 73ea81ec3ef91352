"""Motion scales and their names."""

from typing import get_args

from rtmag.realtime.cli.options import Scale, scale_of
from rtmag.realtime.engines.spec import MOTION_SCALES, scale_name


def test_scale_names_are_those_of_the_options_and_parse_back() -> None:
    assert tuple(map(scale_name, MOTION_SCALES)) == get_args(Scale) == ("1", "1/2", "1/4")
    assert [scale_of(name) for name in get_args(Scale)] == [1.0, 0.5, 0.25]
    assert scale_of("auto") is None


def test_a_scale_is_the_inverse_of_its_shrink_factor() -> None:
    assert all(scale * shrink == 1 for scale, shrink in MOTION_SCALES.items())
