"""The mouse in a window, the seek bar and the outlines of regions."""

import numpy as np
import pytest

from rtmag.realtime.controls import COLOURS, Controls, Layout, NamedRegion, Playback
from rtmag.realtime.opencv import cv2
from rtmag.realtime.view.marks import Place, outline, seek_bar
from rtmag.realtime.view.mouse import Mouse
from tests.support.fakes import blank

AREA = 800, 640


def mouse(controls: Controls, layout: Layout = "magnified") -> Mouse:
    made = Mouse(controls)
    made.place = Place(AREA, (320, 240), layout, played=controls.playback is not None)
    return made


def drag(mouse: Mouse, *points: tuple[int, int], flags: int = 0) -> None:
    mouse.handle(cv2.EVENT_LBUTTONDOWN, *points[0], flags)
    for point in points[1:]:
        mouse.handle(cv2.EVENT_MOUSEMOVE, *point, cv2.EVENT_FLAG_LBUTTON | flags)
    mouse.handle(cv2.EVENT_LBUTTONUP, *points[-1], flags)


def on_screen(mouse: Mouse, x: float, y: float) -> tuple[int, int]:
    """Position of a pixel of the frame in the window."""
    assert mouse.place is not None
    left, top, _, _ = mouse.place.box((round(x), round(y), 1, 1))
    return left, top


@pytest.mark.parametrize("layout", ["magnified", "side"])
@pytest.mark.parametrize("backwards", [False, True])
def test_a_drawn_rectangle_is_the_region_to_magnify(layout: Layout, backwards: bool) -> None:
    controls = Controls()
    pointer = mouse(controls, layout)
    corners = [on_screen(pointer, 40, 60), on_screen(pointer, 140, 160)]
    drag(pointer, *(corners[::-1] if backwards else corners))
    assert controls.region == pytest.approx((40, 60, 100, 100), abs=1)
    assert pointer.drawn is None
    drag(pointer, (300, 300))
    assert controls.region is None


def test_the_second_of_two_pictures_is_the_same_place() -> None:
    controls = Controls()
    pointer = mouse(controls, "side")
    begin, end = on_screen(pointer, 40, 60), on_screen(pointer, 140, 160)
    drag(pointer, (begin[0] + 400, begin[1]), (end[0] + 400, end[1]))
    assert controls.region == pytest.approx((40, 60, 100, 100), abs=1)


def test_a_rectangle_ends_at_the_edge_of_the_picture() -> None:
    controls = Controls()
    pointer = mouse(controls)
    drag(pointer, on_screen(pointer, 300, 200), (900, 900))
    assert controls.region == pytest.approx((300, 200, 20, 40), abs=1)


def test_shift_adds_and_removes_named_regions() -> None:
    controls = Controls()
    pointer = mouse(controls)
    for x in (20, 120):
        corners = on_screen(pointer, x, 60), on_screen(pointer, x + 50, 160)
        drag(pointer, *corners, flags=cv2.EVENT_FLAG_SHIFTKEY)
    assert [each.name for each in controls.regions] == ["1", "2"]
    assert controls.region is None
    drag(pointer, on_screen(pointer, 40, 100), flags=cv2.EVENT_FLAG_SHIFTKEY)
    assert [each.name for each in controls.regions] == ["2"]


def test_the_seek_bar_jumps_while_the_button_is_pressed() -> None:
    controls = Controls(playback=Playback(duration=10.0))
    pointer, playback = mouse(controls), controls.playback
    assert playback is not None
    targets = []
    pointer.handle(cv2.EVENT_LBUTTONDOWN, 400, 630, 0)
    targets.append(playback.target)
    for x, flags in ((205, cv2.EVENT_FLAG_LBUTTON), (-50, cv2.EVENT_FLAG_LBUTTON)):
        pointer.handle(cv2.EVENT_MOUSEMOVE, x, 100, flags)
        targets.append(playback.target)
    pointer.handle(cv2.EVENT_LBUTTONUP, -50, 100, 0)
    pointer.handle(cv2.EVENT_MOUSEMOVE, 700, 630, 0)
    assert targets == [5.0, 2.5, 0.0]
    assert playback.target == 0.0
    assert controls.region is None


def test_without_a_picture_the_mouse_does_nothing() -> None:
    controls = Controls()
    drag(Mouse(controls), (10, 10), (200, 200))
    assert controls == Controls()


def test_the_bar_shows_position_and_part() -> None:
    playback = Playback(duration=10.0, position=5.0, start=2.5, end=7.5)
    place = Place(AREA, (320, 240), "magnified", played=True)
    bar = seek_bar(place, playback)
    assert bar.shape == (place.bar, 800, 3)
    line = bar[place.bar // 4].astype(int)
    assert line[400].tolist() == [0, 176, 255]
    assert (line[205] == 255).all()
    assert (line[595] == 255).all()
    assert (line[300] == 150).all()
    assert (line[100] == 80).all()
    playback.target = 1.0
    assert seek_bar(place, playback)[place.bar // 4, 88].tolist() == [0, 176, 255]


def test_a_low_window_has_no_bar() -> None:
    assert Place((320, 60), (320, 240), "magnified", played=True).bar == 0
    assert Place(AREA, (320, 240), "magnified", played=False).bar == 0


def test_outlines_have_the_colours_of_the_regions_and_leave_the_frame() -> None:
    controls = Controls(region=(10, 10, 50, 50))
    controls.set_regions(
        [NamedRegion("A", (100, 100, 80, 60)), NamedRegion("B", (200, 50, 80, 60))]
    )
    picture = blank(0, (800, 600))
    place = Place((800, 600), (320, 240), "magnified", played=False)
    marked = outline(picture, place, controls, (0, 200, 20, 20))
    assert not picture.any()
    for each, colour in zip(controls.regions, COLOURS, strict=False):
        x, y, _, _ = place.box(each.box)
        assert bytes(marked[y, x + 9, ::-1].tolist()).hex() == colour[1:]
    assert (marked[500, 5] == 255).all()
    assert np.array_equal(outline(picture, place, Controls(), None), picture)
