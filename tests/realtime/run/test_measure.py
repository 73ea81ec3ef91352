"""The run of `rtmag measure`: parts of clips, live sources, interruption, losses."""

import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from rtmag.realtime.cli.progress import open_progress
from rtmag.realtime.errors import OptionError, SourceLost, SourceUnavailable
from rtmag.realtime.frame import Frame
from rtmag.realtime.run import measure as module
from rtmag.realtime.run.measure import MeasuredRun, MeasureOptions, run_measure
from rtmag.realtime.sources.source import BaseSource, SourceOptions
from rtmag.realtime.sources.video_file import VideoSource
from tests.support.clips import Clip
from tests.support.scenes import SIZE, filmed, shifted, texture

FPS = 30
PICTURES = filmed(
    shifted(texture(), 0.3 * np.sin(2 * np.pi * 3 * index / FPS)) for index in range(2 * FPS)
)


class Film(BaseSource):
    """A live source: a picture each `every` seconds, numbered with the step `numbers`.

    After the last one, it holds for `hold` seconds and raises `error`.
    """

    name = "film"
    size = SIZE
    live = True
    fps: float | None = FPS

    def __init__(
        self,
        frames: int | None = None,
        *,
        every: float = 0.01,
        numbers: int = 1,
        hold: float = 0.0,
        error: BaseException | None = None,
        sample_aspect: Fraction | None = None,
    ) -> None:
        self._count, self._every, self._numbers = frames, every, numbers
        self._hold, self._error = hold, error
        self.sample_aspect = sample_aspect
        self.given = 0

    def __iter__(self) -> Iterator[Frame]:
        while self._count is None or self.given < self._count:
            time.sleep(self._every)
            picture = PICTURES[self.given % len(PICTURES)]
            yield Frame(picture, time.monotonic(), self.given * self._numbers)
            self.given += 1
        time.sleep(self._hold)
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        pass


class Count:
    """A progress display that counts."""

    def __init__(self, on_step: Callable[[int], None] = lambda steps: None) -> None:
        self.begun: list[tuple[str, int | None]] = []
        self.steps = self.ends = 0
        self._on_step = on_step

    def begin(self, name: str, frames: int | None) -> None:
        self.begun.append((name, frames))

    def step(self) -> None:
        self.steps += 1
        self._on_step(self.steps)

    def end(self) -> None:
        self.ends += 1


def measured(spec: str, **options: Any) -> MeasuredRun:
    options.setdefault("progress", open_progress("none", Console(), Console()))
    return run_measure(spec, MeasureOptions(notice=lambda message: None, **options))


@pytest.fixture
def film(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Film]:
    """Make a live source that `run_measure` opens under the name `film`."""

    def make(*args: Any, **options: Any) -> Film:
        source = Film(*args, **options)
        monkeypatch.setattr(module, "open_source", lambda spec, options: source)
        return source

    return make


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    made = Clip(frames=2 * FPS, size=SIZE, picture=lambda index, _: PICTURES[index])
    return str(made.write(tmp_path_factory.mktemp("clip") / "clip.mp4"))


def times_of(run: MeasuredRun) -> np.ndarray[Any, Any]:
    return run.contents.measurement.regions[0].times


def test_a_part_of_a_clip_keeps_the_times_of_the_clip(clip: str) -> None:
    progress = Count()
    run = measured(clip, start=0.5, end=1.0, progress=progress)
    assert np.allclose(times_of(run), np.arange(15, 31) / FPS)
    assert progress.begun == [("clip.mp4", 30), ("regions", 1)]
    assert progress.ends == 2
    assert run.contents.measurement.settings["part"] == "0.5 s to 1 s"
    run = measured(clip, start=0.5, seconds=0.5)
    assert np.allclose(times_of(run), np.arange(15, 30) / FPS)


def test_the_picture_is_the_first_of_the_part(clip: str) -> None:
    with VideoSource(Path(clip)) as source:
        expected = [frame.image for frame in source][13]
    first = measured(clip, start=13 / FPS, seconds=0.1).contents.image
    assert np.array_equal(first, expected)


def test_the_built_in_scene_ends_by_itself() -> None:
    size = SourceOptions(size=(160, 120))
    run = measured("test", seconds=1, source=size)
    assert len(times_of(run)) == 30
    assert (run.ending, run.lost) == ("end", False)


def test_a_live_source_is_measured_for_the_seconds(film: Callable[..., Film]) -> None:
    film()
    run = measured("film", seconds=0.3)
    times = times_of(run)
    assert times[0] == 0
    assert times[-1] < 0.3
    assert run.ending == "end"


def test_the_seconds_pass_without_frames_too(film: Callable[..., Film]) -> None:
    film(1, hold=0.5, error=SourceLost("after the measurement"))
    run = measured("film", seconds=0.1)
    assert len(times_of(run)) == 1
    assert (run.ending, run.lost) == ("end", False)


def test_ctrl_c_ends_a_measurement_with_its_result(film: Callable[..., Film]) -> None:
    film()

    def interrupt(steps: int) -> None:
        if steps == 12:
            raise KeyboardInterrupt

    progress = Count(interrupt)
    run = measured("film", progress=progress)
    assert run.ending == "interrupt"
    assert len(times_of(run)) == 11
    assert progress.ends == 2


def test_ctrl_c_before_the_first_frame_is_not_swallowed(film: Callable[..., Film]) -> None:
    film(0, error=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        measured("film")


def test_a_lost_source_is_reported_with_what_was_measured(film: Callable[..., Film]) -> None:
    film(20, error=SourceLost("film was unplugged"))
    run = measured("film")
    assert run.lost
    assert "film was unplugged" in run.contents.caveats
    assert 0 < len(times_of(run)) <= 20
    film(0, error=SourceLost("film was unplugged"))
    with pytest.raises(SourceLost):
        measured("film")


def test_missed_frames_and_oblong_pixels_are_noted(film: Callable[..., Film]) -> None:
    film(10, numbers=3, sample_aspect=Fraction(4, 3))
    notes = " ".join(measured("film").contents.measurement.notes)
    assert "frames of the source were missed" in notes
    assert "1.333 times as wide as high" in notes
    film(10, sample_aspect=Fraction(1000, 1003))
    assert "wide" not in " ".join(measured("film").contents.measurement.notes)


def test_a_part_without_frames_and_wrong_options(clip: str) -> None:
    with pytest.raises(SourceUnavailable, match="no frames after 9 s"):
        measured(clip, start=9.0)
    with pytest.raises(OptionError, match="must be later than --start"):
        measured(clip, start=2.0, end=2.0)
    with pytest.raises(OptionError, match="frames/s"):
        measured(clip, band=(1.0, 30.0))
    with pytest.raises(SourceUnavailable, match="no such file"):
        measured(str(Path(clip).with_name("absent.mp4")))


def test_the_python_function_returns_arrays(clip: str) -> None:
    import rtmag

    found = rtmag.measure(clip, regions={"left": (0, 0, 80, 120)}, band="1-5Hz", mm_per_px=0.5)
    left = found.region("left")
    assert left.displacement.shape == left.deviation.shape == (60, 2)
    assert left.peaks[0].hz == pytest.approx(3, abs=0.05)
    assert (found.scale, found.unit, found.band) == (0.5, "mm", (1, 5))
    assert rtmag.measure(Path(clip), grid=(2, 1), seconds=0.2).regions[1].name == "B1"


def test_observers_receive_every_frame_with_its_field(clip: str) -> None:
    class Observer:
        def __init__(self) -> None:
            self.frames: list[Frame] = []

        def add(self, frame: Frame) -> None:
            self.frames.append(frame)

    observer = Observer()
    run = measured(clip, start=0.5, seconds=0.5, observers=[observer])
    assert np.array_equal([frame.time for frame in observer.frames], times_of(run))
    first, *later = observer.frames
    assert first.field is not None
    assert first.field.displacement.shape == (30, 40, 2)
    assert not first.field.displacement.any()  # the reference
    assert max(np.abs(each.field.displacement).max() for each in later if each.field) > 0.05
