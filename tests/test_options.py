"""How texts among the options are read."""

import pytest

from rtmag.realtime.errors import OptionError
from rtmag.realtime.options import parse_size


def test_sizes() -> None:
    assert parse_size("640x480") == (640, 480)
    assert parse_size("1920X1080") == (1920, 1080)
    assert parse_size(None) is None


@pytest.mark.parametrize("text", ["640", "640x", "0x480", "-1x4", "axb", "640x480x3", ""])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(OptionError, match="640x480"):
        parse_size(text)
