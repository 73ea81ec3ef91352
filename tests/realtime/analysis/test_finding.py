"""Finding what moves, on fields whose motion is known."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from rtmag.realtime.analysis.finding import Finder, Line
from rtmag.realtime.errors import OptionError
from rtmag.realtime.frame import Frame, Image, MotionField
from tests.support.scenes import texture

SIZE = 160, 120
CELLS = 30, 40
"""Down and across."""
PICTURE = texture(margin=0)
THING = np.s_[8:14, 20:28]
"""Cells of the thing that moves; its middle is at (96, 44) px."""

Motion = Callable[[float], float]
Displacement = NDArray[np.float32]


def sine(hz: float, px: float) -> Motion:
    return lambda t: float(px * np.sin(2 * np.pi * hz * t + 0.4))


def still(t: float) -> float:
    return 0.0


def frames(
    thing: Motion = still,
    camera: Motion = still,
    *,
    seconds: float = 10.0,
    fps: float = 30.0,
    light: Motion = still,
    noise: float = 0.02,
    times: NDArray[np.float64] | None = None,
    codings: str = "",
    pop: float = 0.0,
    seed: int = 1,
) -> Iterator[Frame]:
    """Frames with fields: a thing moves sideways by the first motion, everything by the second.

    Args:
        thing: displacement of the thing in px at each time.
        camera: displacement of all cells, the same.
        light: relative change of the brightness.
        noise: deviation of each cell in px.
        seconds: length.
        fps: frames per second.
        times: seconds; None: at equal intervals.
        codings: kinds of the pictures, repeated.
        pop: displacement of random cells in px at each picture of kind I.
        seed: of the noise.
    """
    rng = np.random.default_rng(seed)
    popping = rng.normal(0, 1, (*CELLS, 2)).astype(np.float32)
    times = np.arange(round(seconds * fps)) / fps if times is None else times
    deviation = np.full((*CELLS, 2), noise, np.float32)
    for index, t in enumerate(times):
        field = rng.normal(0, noise, (*CELLS, 2)).astype(np.float32)
        field[..., 0] += camera(t)
        field[*THING, 0] += thing(t)
        coding = codings[index % len(codings)] if codings else ""
        field += pop * popping if coding == "I" else 0
        image = PICTURE * (1 + light(t)) + rng.normal(0, 1, (120, 160, 1))
        yield Frame(
            image.clip(0, 255).astype(np.uint8), t, index, coding=coding,
            field=MotionField(field, deviation, 4.0),
        )  # fmt: skip


def lines(found: Iterator[Frame], drift: float | None = None) -> list[Line]:
    finder = Finder(drift)
    for frame in found:
        finder.add(frame)
    return finder.lines()


def test_a_thing_that_moves_is_found_with_its_place() -> None:
    line = lines(frames(sine(3.21, 0.05)))[0]
    assert line.hz == pytest.approx(3.21, abs=0.01)
    assert line.px == pytest.approx(0.05, rel=0.1)
    assert line.at == pytest.approx((96, 44), abs=4)
    assert line.share == pytest.approx(48 / 1200, rel=0.2)
    assert line.real
    assert line.note == "26.79 or 33.21 Hz would look the same at 30 frames/s"


@pytest.mark.parametrize("seed", range(3))
def test_noise_is_nothing(seed: int) -> None:
    assert lines(frames(seed=seed)) == []


def test_breathing_needs_three_periods() -> None:
    """0.3 Hz in ten seconds."""
    line = lines(frames(sine(0.3, 0.1)))[0]
    assert line.hz == pytest.approx(0.3, abs=0.02)
    assert line.px == pytest.approx(0.1, rel=0.15)


@pytest.mark.parametrize(
    "motion",
    [lambda t: 0.5 * (t > 4), lambda t: 0.05 * t, lambda t: 0.5 * np.exp(-t), lambda t: t**2 / 50],
    ids=["step", "drift", "decay", "acceleration"],
)
def test_motion_that_does_not_repeat_is_no_line(motion: Motion) -> None:
    assert lines(frames(motion)) == []


def test_the_slow_reference_is_undone() -> None:
    """Fields that have passed Static(drift) give the same amplitude."""
    kept, last = float(np.exp(-2 * np.pi * 0.2 / 30)), {"x": 0.0, "y": 0.0}

    def filtered(t: float) -> float:
        x = sine(0.4, 0.2)(t)
        y = x - last["x"] + kept * last["y"]
        last.update(x=x, y=y)
        return y

    line = lines(frames(filtered), drift=0.2)[0]
    assert line.hz == pytest.approx(0.4, abs=0.02)
    assert line.px == pytest.approx(0.2, rel=0.1)


def test_uneven_times() -> None:
    rng = np.random.default_rng(5)
    times = np.cumsum(rng.choice([0.02, 0.047], 300))
    line = lines(frames(sine(4.0, 0.1), times=times))[0]
    assert line.hz == pytest.approx(4.0, abs=0.02)
    assert line.px == pytest.approx(0.1, rel=0.1)


def test_missing_frames() -> None:
    times = np.delete(np.arange(300) / 30, np.random.default_rng(5).choice(300, 40, False))
    assert lines(frames(sine(4.0, 0.1), times=times))[0].hz == pytest.approx(4.0, abs=0.02)


def test_slow_motion_has_the_frequencies_of_the_scene() -> None:
    finder = Finder(None, capture_fps=240)
    for frame in frames(sine(3.0, 0.1)):
        finder.add(frame)
    assert finder.lines()[0].hz == pytest.approx(24.0, abs=0.1)


def test_a_codec_is_named() -> None:
    found = lines(frames(codings="IPPPPP", pop=0.1))
    assert [line.real for line in found] == [False] * len(found)
    assert {round(line.hz) for line in found} <= {5, 10, 15}
    assert "codec" in found[0].note
    assert "5 times a second" in found[0].note


def test_motion_at_the_rate_of_the_codec_is_real_if_it_is_strong() -> None:
    found = lines(frames(sine(5.0, 1.0), codings="IPPPPPPPPPPP", pop=0.02))
    assert found[0].real
    assert found[0].hz == pytest.approx(5.0, abs=0.01)


def test_light_of_the_mains_is_named() -> None:
    """100 Hz at 30.5 frames per second appears at 8.5 Hz."""
    beat = sine(8.5, 0.03)
    found = lines(frames(lambda t: 4 * beat(t), fps=30.5, light=beat))
    assert not any(line.real for line in found)
    assert found[0].note.startswith("light of the mains of 50 Hz")


def test_exposure_is_named() -> None:
    beat = sine(0.8, 0.03)
    found = lines(frames(lambda t: 4 * beat(t), light=beat))
    assert [line.real for line in found] == [False]
    assert found[0].note.startswith("the exposure")


def test_a_shaking_camera_is_named_and_the_thing_comes_first() -> None:
    found = lines(frames(sine(3.0, 0.05), sine(2.0, 0.4)))
    assert [(round(line.hz, 1), line.real) for line in found] == [(3.0, True), (2.0, False)]
    assert found[1].note.startswith("shake of the camera")
    assert found[1].share > 0.9


def test_a_thing_that_moves_as_the_camera_shakes() -> None:
    found = lines(frames(sine(2.0, 0.5), sine(2.0, 0.2)))
    assert [line.real for line in found] == [True, False]
    assert found[0].px == pytest.approx(0.5, rel=0.1)
    assert found[0].at == pytest.approx((96, 44), abs=4)


def test_repeated_frames_make_images() -> None:
    """7 Hz at 30 frames per second that are stored as 60: an image at 30 - 7 Hz."""
    originals = list(frames(sine(7.0, 0.5), fps=30))
    doubled = (
        Frame(each.image, each.time + half / 60, 2 * index + half, field=each.field)
        for index, each in enumerate(originals)
        for half in (0, 1)
    )
    found = lines(doubled)
    assert found[0].hz == pytest.approx(7.0, abs=0.02)
    images = [line for line in found if line.hz == pytest.approx(23.0, abs=0.05)]
    assert [line.real for line in images] == [False]
    assert "repeats frames" in images[0].note


def test_harmonics_follow_their_fundamental() -> None:
    found = [
        each for each in lines(frames(lambda t: sine(3, 0.1)(t) + sine(6, 0.05)(t))) if each.real
    ]
    assert [line.hz for line in found] == pytest.approx([3.0, 6.0], abs=0.02)
    assert found[1].note.startswith("harmonic 2 of 3 Hz")


def test_a_tenth_at_the_same_place_may_come_from_the_measurement() -> None:
    found = lines(frames(lambda t: sine(3.0, 1.0)(t) + sine(7.7, 0.05)(t)))
    assert [round(line.hz, 1) for line in found if line.real] == [3.0]
    assert "small next to 3 Hz" in next(line.note for line in found if abs(line.hz - 7.7) < 0.1)


def test_a_new_epoch_starts_again() -> None:
    first = list(frames(sine(3.0, 0.3)))
    second = [
        Frame(each.image, each.time + 20, each.index + 300, epoch=1, field=each.field)
        for each in frames(sine(5.0, 0.3))
    ]
    found = lines(iter([*first, *second]))
    assert [round(line.hz, 1) for line in found] == [5.0]


def test_a_long_stream_is_held_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments are averaged: what is too weak for one of them is found."""
    monkeypatch.setattr("rtmag.realtime.analysis.finding.SEGMENT", 128)
    finder = Finder(None)
    for frame in frames(sine(3.0, 0.04), seconds=20):
        finder.add(frame)
        assert finder.seconds < 128 / 30
    assert finder.lines()[0].hz == pytest.approx(3.0, abs=0.05)
    assert finder.lines()[0].px == pytest.approx(0.04, rel=0.2)


def test_frames_need_a_field() -> None:
    with pytest.raises(OptionError, match=r"frames with \.field"):
        Finder().add(Frame(np.zeros((120, 160, 3), np.uint8), 0.0, 0))


def test_too_few_frames_are_nothing() -> None:
    assert Finder().lines() == []
    assert lines(frames(sine(3.0, 1.0), seconds=0.5)) == []


def test_the_data_of_a_line() -> None:
    data = lines(frames(sine(3.0, 0.1)))[0].data()
    assert list(data) == ["hz", "px", "share", "at", "real", "note"]


def test_a_picture_without_texture_is_nothing() -> None:
    blank: Image = np.zeros((120, 160, 3), np.uint8)
    nothing = np.full((*CELLS, 2), np.inf, np.float32)
    found = (
        Frame(blank, i / 30, i, field=MotionField(np.zeros((*CELLS, 2), np.float32), nothing, 4.0))
        for i in range(100)
    )
    assert lines(found) == []
