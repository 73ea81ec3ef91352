"""How texts among the options are read."""

import pytest

from rtmag.realtime.cli.options import parse_live_size, parse_size
from rtmag.realtime.errors import OptionError


def test_sizes() -> None:
    assert parse_size("640x480") == (640, 480)
    assert parse_size("1920X1080") == (1920, 1080)
    assert parse_size(None) is None


def test_of_a_live_source_no_size_may_be_asked_in_favour_of_the_motion_scale() -> None:
    assert parse_live_size("auto") is None
    assert parse_live_size("640x480", "1/2") == (640, 480)
    assert parse_live_size(None, "1/2") is None
    with pytest.raises(OptionError, match=r"--size auto wants .*, got 1/2: leave out one of both"):
        parse_live_size("auto", "1/2")
    with pytest.raises(OptionError, match="640x480"):
        parse_size("auto")


@pytest.mark.parametrize("text", ["640", "640x", "0x480", "-1x4", "axb", "640x480x3", ""])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(OptionError, match="640x480"):
        parse_size(text)
