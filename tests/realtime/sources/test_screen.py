"""Screen capture."""

import time
from collections.abc import Iterator

import numpy as np
import pytest

from rtmag.realtime.errors import SinkUnavailable, SourceUnavailable
from rtmag.realtime.sources.opening import open_source
from rtmag.realtime.view.window import check_display

mss = pytest.importorskip("mss")


@pytest.fixture(autouse=True)
def display() -> Iterator[None]:
    """A connection to the display: Xvfb refuses others for a moment after its last one closed."""
    try:
        check_display()
    except SinkUnavailable as error:
        pytest.skip(str(error))
    end = time.monotonic() + 5
    while True:
        try:
            connection = mss.MSS()
        except mss.exception.ScreenShotError:
            assert time.monotonic() < end
            time.sleep(0.05)
        else:
            break
    with connection:
        yield


@pytest.mark.gui
def test_a_part_of_the_screen() -> None:
    with open_source("screen:8,16,64,48", fps=25) as source:
        assert (source.size, source.live, source.fps) == ((64, 48), True, 25)
        frames = [frame for frame, _ in zip(source, range(5), strict=False)]
    assert {frame.size for frame in frames} == {(64, 48)}
    steps = np.diff([frame.time for frame in frames])
    assert (steps > 0).all()
    assert steps.min() > 0.02
    assert list(source) == []


@pytest.mark.gui
def test_more_than_the_screen_is_refused() -> None:
    for spec in ("screen:0,0,90000,10", "screen:1,2", "screen:0,0,0,9"):
        with pytest.raises(SourceUnavailable, match="screen"):
            open_source(spec)


def test_without_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(SourceUnavailable, match="there is no screen"):
        open_source("screen")
