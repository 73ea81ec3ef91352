"""The search for what moves in a live run, with the real network."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from rtmag.realtime.controls import Controls, Playback
from rtmag.realtime.engines.loading import load_engine
from rtmag.realtime.frame import Frame
from rtmag.realtime.magnifier import Magnifier
from rtmag.realtime.run import searching
from rtmag.realtime.run.searching import LiveSearch, search_filter
from rtmag.realtime.sources.scene.scene import SceneSource


@pytest.fixture(scope="module")
def fields() -> list[Frame]:
    """Frames of the scene with their fields, as the magnifier returns them during a search."""
    magnifier = Magnifier(load_engine("fast", motion_scale=0.5), filter=search_filter())
    magnifier.measures = True
    with SceneSource((320, 240), 20.0, frames=80) as source:
        return [magnifier(frame) for frame in source]


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def names(search: LiveSearch) -> set[float]:
    """Frequencies of the real lines, rounded to whole hertz."""
    return {round(float(line["hz"])) for line in search.lines or [] if line["real"]}


def test_a_search_lists_what_moves_and_ends_when_it_is_turned_off(fields: list[Frame]) -> None:
    controls = Controls()
    search = LiveSearch(controls)
    search.add(fields[0])
    assert (search.seconds, search.lines) == (None, None)
    controls.finding = True
    for frame in fields:
        search.add(frame)
    assert search.seconds is not None
    controls.finding = False
    search.add(fields[-1])
    wait_for(lambda: search.seconds is None)
    assert {2, 5} <= names(search)
    lines: list[dict[str, Any]] = search.lines or []
    tank = next(line for line in lines if round(line["hz"]) == 2)
    assert tank["hz"] == pytest.approx(2.0, abs=0.1)
    assert 0 <= tank["at"][0] < 320 and 0 <= tank["at"][1] < 240


def test_a_live_search_ends_by_itself(fields: list[Frame], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "LONGEST", 0.0)
    controls = Controls(finding=True)
    search = LiveSearch(controls)
    for frame in fields[:3]:
        search.add(frame)
    assert not controls.finding
    wait_for(lambda: search.seconds is None)
    assert search.lines == []  # too few frames for any


def test_a_search_ends_if_the_model_gives_no_fields(
    fields: list[Frame], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "_WITHOUT_FIELDS", 0.0)
    controls = Controls(finding=True)
    search = LiveSearch(controls)
    for frame in fields[:3]:
        search.add(Frame(frame.image, frame.time, frame.index))
    assert not controls.finding
    wait_for(lambda: search.seconds is None)
    assert search.lines == []


def test_a_played_file_is_searched_once_from_its_beginning(fields: list[Frame]) -> None:
    controls = Controls(finding=True, playback=Playback(duration=4.0, position=2.0, start=1.0))
    playback = controls.playback
    assert playback is not None
    search = LiveSearch(controls)
    search.add(fields[0])
    assert playback.target == 1.0
    search.add(fields[1])  # read before the jump
    playback.target = None
    for frame in fields[2:]:
        search.add(frame)
    assert controls.finding
    again = Frame(fields[2].image, fields[2].time, 99, epoch=1, field=fields[2].field)
    search.add(again)
    assert not controls.finding
    wait_for(lambda: search.seconds is None)
    assert {2, 5} <= names(search)


def test_a_list_comes_before_the_end(fields: list[Frame], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "_FIRST", 0.0)
    search = LiveSearch(Controls(finding=True))
    for frame in fields:
        search.add(frame)
    wait_for(lambda: names(search))
    assert search.seconds is not None
    search.close()


@pytest.mark.parametrize("count", [3, 80])
def test_the_band_of_the_first_line_is_used(fields: list[Frame], count: int) -> None:
    """`--band auto`; three frames are too few to find anything."""
    controls = Controls(finding=True, auto_band=True)
    before = controls.filter
    search = LiveSearch(controls)
    for frame in fields[:count]:
        search.add(frame)
        assert search.use_first_line() is None
    controls.finding = False
    search.add(fields[-1])
    wait_for(lambda: search.seconds is None)
    message = search.use_first_line()
    assert message is not None
    assert message.startswith("--band auto: ")
    if count == 3:
        assert "nothing stands above the noise; looking for motion" in message
        assert controls.filter == before
    else:
        line = next(line for line in search.lines or [] if line["real"])
        assert controls.band[0] < line["hz"] < controls.band[1]
        assert controls.filter.mode == "temporal"
    assert search.use_first_line() is None
