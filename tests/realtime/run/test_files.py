"""`rtmag file`: planning, outputs, errors and interruption."""

import json
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from rtmag.realtime.cli.progress import open_progress
from rtmag.realtime.controls import Controls
from rtmag.realtime.engines.spec import EngineSpec
from rtmag.realtime.errors import OptionError, SinkClosed, SinkUnavailable, SourceUnavailable
from rtmag.realtime.filters import Dynamic, Temporal
from rtmag.realtime.frame import Frame
from rtmag.realtime.opencv import cv2
from rtmag.realtime.presets import PRESETS
from rtmag.realtime.run.files import FileBatch
from rtmag.realtime.run.jobs import plan
from rtmag.realtime.run.provenance import read_settings
from rtmag.realtime.sinks.video_file import VideoSink
from tests.support.fakes import identity_model
from tests.support.scenes import SIZE, filmed, sway

MakeClip = Callable[..., Path]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(identity_model(tmp_path_factory.mktemp("model") / "identity.onnx"))


class LoggedBatch:
    """A batch that keeps its messages."""

    def __init__(self, model: str, controls: Controls | None = None, **options: Any) -> None:
        self.notes: list[str] = []
        self.done: list[Path] = []
        self.batch = FileBatch(
            controls=controls or Controls(alpha=20),
            progress=open_progress("none", Console(), Console()),
            notice=self.notes.append,
            done=self.done.append,
            engine=EngineSpec(model=model),
            **options,
        )

    def run(self, *paths: Path, output: Path | None = None) -> int:
        names = [str(path) for path in paths]
        return self.batch.run(
            plan(
                names,
                None if output is None else str(output),
                self.batch.controls.alpha,
                self.notes.append,
            )
        )


def count(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_output_written_by_rtmag_may_be_the_second_path(
    clip: MakeClip, model: str, tmp_path: Path
) -> None:
    source, output = clip(), tmp_path / "out.mp4"
    assert LoggedBatch(model).run(source, output) == 0
    before = output.read_bytes()
    with pytest.raises(SinkUnavailable, match="--overwrite"):
        LoggedBatch(model).run(source, output)
    assert output.read_bytes() == before
    assert LoggedBatch(model, Controls(alpha=3), overwrite=True).run(source, output) == 0
    assert output.read_bytes() != before
    with pytest.raises(OptionError, match="-o"):
        LoggedBatch(model, overwrite=True).run(output, source)


def test_output_has_all_frames_and_no_temporary_file_is_left(
    clip: MakeClip, model: str, tmp_path: Path
) -> None:
    logged = LoggedBatch(model)
    assert logged.run(clip("in.mp4", frames=12)) == 0
    assert logged.done == [tmp_path / "in.mag20.mp4"]
    assert count(logged.done[0]) == 12
    assert not list(tmp_path.glob("*.part*"))


def test_frames_are_encoded_in_the_background(
    clip: MakeClip, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = set()
    add = VideoSink.write

    def write(sink: VideoSink, frame: Frame) -> None:
        threads.add(threading.current_thread().name)
        add(sink, frame)

    monkeypatch.setattr(VideoSink, "write", write)
    logged = LoggedBatch(model)
    assert logged.run(clip("in.mp4", frames=12)) == 0
    assert threads == {"rtmag writer"}
    assert count(logged.done[0]) == 12


def test_layout_side_is_twice_as_wide(clip: MakeClip, model: str) -> None:
    logged = LoggedBatch(model, Controls(layout="side"))
    logged.run(clip("in.mp4", frames=3))
    with av.open(str(logged.done[0])) as container:
        assert container.streams.video[0].width == 128


def test_settings_are_in_the_comment_of_the_file(clip: MakeClip, model: str) -> None:
    logged = LoggedBatch(model, Controls(alpha=7, filter=Dynamic()))
    logged.run(clip("in.mp4", frames=3))
    with av.open(str(logged.done[0])) as container:
        assert "alpha 7, dynamic, model identity" in container.metadata["comment"]


def test_sound_is_copied_unless_audio_is_off(clip: MakeClip, model: str, tmp_path: Path) -> None:
    source = clip("in.mp4", frames=10, audio=["aac"])
    for audio, name in ((True, "with.mp4"), (False, "without.mp4")):
        LoggedBatch(model, audio=audio).run(source, output=tmp_path / name)
        with av.open(str(tmp_path / name)) as container:
            assert bool(container.streams.audio) is audio


def test_batch_continues_after_an_error(clip: MakeClip, model: str, tmp_path: Path) -> None:
    empty = tmp_path / "empty.mp4"
    empty.touch()
    logged = LoggedBatch(model)
    folder = tmp_path / "new" / "folder"
    assert logged.run(clip("a.mp4"), empty, clip("b.mp4"), output=folder) == 1
    assert [path.name for path in logged.done] == ["a.mag20.mp4", "b.mag20.mp4"]
    assert logged.notes[0].startswith("error: ")
    assert "empty.mp4" in logged.notes[0]
    assert logged.notes[-1] == "2 of 3 files done"


def test_batch_continues_after_a_bug(
    clip: MakeClip, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever one file provokes, the others are done."""
    logged = LoggedBatch(model)

    class Failing:
        def begin(self, name: str, frames: int | None) -> None:
            if name == "a.mp4":
                raise ZeroDivisionError("odd")

        def step(self) -> None: ...
        def end(self) -> None: ...

    logged.batch.progress = Failing()
    assert logged.run(clip("a.mp4"), clip("b.mp4"), output=tmp_path / "out/") == 1
    assert [path.name for path in logged.done] == ["b.mag20.mp4"]
    assert logged.notes == [
        f"error: {str(tmp_path / 'a.mp4')!r}: ZeroDivisionError: odd (a bug in rtmag; --debug with "
        "this file alone prints the traceback)",
        "1 of 2 files done",
    ]


def test_a_closed_output_ends_the_batch(clip: MakeClip, model: str, tmp_path: Path) -> None:
    logged = LoggedBatch(model)

    def closed(path: Path) -> None:
        raise SinkClosed("standard output is closed")

    logged.batch.done = closed
    with pytest.raises(SinkClosed):
        logged.run(clip("a.mp4"), clip("b.mp4"), output=tmp_path / "out/")
    assert not (tmp_path / "out" / "b.mag20.mp4").exists()


def test_notes_of_the_source_are_warnings(clip: MakeClip, model: str, tmp_path: Path) -> None:
    logged = LoggedBatch(model, fps=10)
    assert logged.run(clip("a.mp4", frames=2)) == 0
    assert logged.notes == [
        "warning: 'a.mp4' has timestamps, so its frame rate is not set by --fps"
    ]


def test_pictures_are_played_at_the_given_rate(model: str, tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    for index in range(6):
        assert cv2.imwrite(str(tmp_path / "f" / f"{index}.png"), np.full((48, 64), 90, np.uint8))
    controls = Controls(filter=Temporal(10, 20))
    logged = LoggedBatch(model, controls)
    with pytest.raises(OptionError, match="and there are 30: "):
        logged.run(tmp_path / "f")
    assert "30 frames/s are assumed, --fps sets another" in logged.notes[0]
    logged = LoggedBatch(model, controls, fps=100)
    assert logged.run(tmp_path / "f", output=tmp_path / "out.mp4") == 0
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert [frame.time for frame in container.decode(video=0)] == pytest.approx(
            [index / 100 for index in range(6)]
        )


def test_a_stack_is_named_directly(model: str, tmp_path: Path) -> None:
    pages = [np.full((48, 64), 20 * index, np.uint8) for index in range(5)]
    assert cv2.imwritemulti(str(tmp_path / "stack.tif"), pages)
    logged = LoggedBatch(model)
    assert logged.run(tmp_path / "stack.tif") == 0
    assert logged.done == [tmp_path / "stack.mag20.mp4"]
    assert count(logged.done[0]) == 5


def test_error_of_a_single_file_is_raised(model: str, tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match="no such file"):
        LoggedBatch(model).run(tmp_path / "none.mp4")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceUnavailable, match="it contains no pictures"):
        LoggedBatch(model).run(tmp_path / "empty")
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(SourceUnavailable):
        LoggedBatch(model).run(tmp_path / "text.mp4")
    assert not list(tmp_path.glob("*mag20*"))


@pytest.mark.parametrize("name", ["0", "test"])
def test_an_input_is_always_a_file_name(
    name: str, clip: MakeClip, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceUnavailable, match="no such file"):
        LoggedBatch(model).run(Path(name))
    clip("in.mp4", frames=4).rename(name)
    assert LoggedBatch(model).run(Path(name)) == 0
    assert count(tmp_path / f"{name}.mag20.mp4") == 4


def test_outputs_are_replaced_only_with_overwrite(
    clip: MakeClip, model: str, tmp_path: Path
) -> None:
    source, output = clip("in.mp4", frames=5), tmp_path / "out.mp4"
    output.write_bytes(b"precious")
    with pytest.raises(SinkUnavailable, match="--overwrite"):
        LoggedBatch(model).run(source, output=output)
    skipping = LoggedBatch(model, skip_existing=True)
    assert skipping.run(source, output=output) == 0
    assert "skipped" in skipping.notes[0]
    assert output.read_bytes() == b"precious"
    assert LoggedBatch(model, overwrite=True).run(source, output=output) == 0
    assert count(output) == 5


def test_band_above_nyquist_is_refused_before_the_model_is_loaded(
    clip: MakeClip, tmp_path: Path
) -> None:
    controls = Controls(filter=Temporal(5, 20))
    with pytest.raises(OptionError, match="needs more than 40 frames/s, and there are 30:"):
        LoggedBatch("no model is needed for this", controls).run(clip("in.mp4"))
    assert not list(tmp_path.glob("*mag*"))


def test_changes_of_the_scene_are_told_once_and_listed(
    clip: MakeClip, model: str, tmp_path: Path
) -> None:
    scenes = [picture for seed in (1, 7, 3) for picture in filmed(sway(20, seed))]
    source = clip("cuts.mp4", frames=60, size=SIZE, picture=lambda index, _: scenes[index])
    batch = LoggedBatch(model)
    assert batch.run(source, tmp_path / "out.mp4") == 0
    assert batch.notes == [
        "warning: 'cuts.mp4': the scene changed after 0.67 s: motion is measured from a new "
        "reference since"
    ]
    settings = json.loads((tmp_path / "out.mp4.json").read_text())
    assert settings["scene_changes"] == [0.667, 1.333]
    again = LoggedBatch(model)
    assert again.run(clip("still.mp4", frames=5), tmp_path / "still.out.mp4") == 0
    assert again.notes == []
    assert json.loads((tmp_path / "still.out.mp4.json").read_text())["scene_changes"] == []


def test_a_preset_is_cut_to_the_rate_of_each_file_and_can_be_repeated(
    clip: MakeClip, model: str, tmp_path: Path
) -> None:
    controls = Controls(filter=PRESETS["machine"].filter, preset="machine")
    batch = LoggedBatch(model, controls)
    slow, fast = clip("slow.mp4", frames=5, fps=Fraction(20)), clip("fast.mp4", frames=5)
    assert batch.run(slow, fast, output=tmp_path) == 0
    cut = "5-9.8 Hz in place of 5-14 Hz: 20 frames/s cannot show faster motion"
    assert [line for line in batch.notes if "in place" in line] == [cut]
    highest = [read_settings(tmp_path / f"{name}.mag20.mp4")["fh"] for name in ("slow", "fast")]
    assert highest == [pytest.approx(9.8), 14]


def test_a_rate_that_falls_within_a_file_cuts_the_band_and_says_so(
    clip: MakeClip, model: str
) -> None:
    ticks = [*range(60), *range(60, 360, 3)]  # 30 frames/s, then 10
    path = clip(frames=len(ticks), ticks=ticks, time_base=Fraction(1, 30))
    logged = LoggedBatch(model, Controls(filter=Temporal(1, 8)))
    assert logged.run(path) == 0
    (note,) = [line for line in logged.notes if "in place of" in line]
    assert note == "1-4.9 Hz in place of 1-8 Hz: 10 frames/s cannot show faster motion"


def test_bands_of_slow_motion_refer_to_its_capture_rate(clip: MakeClip, model: str) -> None:
    controls = Controls(filter=Temporal(36, 38, order=2))
    assert LoggedBatch(model, controls, capture_fps=240).run(clip("in.mp4", frames=5)) == 0


def swaying(times: NDArray[np.float64], hz: float) -> Callable[..., NDArray[np.uint8]]:
    """Make a drawing for `Clip`: waves that sway to the left and right by 0.2 px."""

    def draw(index: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        y, x = np.mgrid[0 : size[1], 0 : size[0]].astype(float)
        x -= 0.2 * np.sin(2 * np.pi * hz * times[index])
        waves = 128 + 40 * np.sin(x / 3) + 30 * np.sin((x + y) / 4) + 20 * np.cos((x - y) / 2.5)
        return np.repeat(np.rint(waves)[..., None], 3, axis=2).astype(np.uint8)

    return draw


def sway_of(path: Path) -> NDArray[np.float64]:
    """Displacement of each picture to the right of the first one, in pixels."""
    with av.open(str(path)) as container:
        pictures = [
            frame.to_ndarray(format="gray").astype(float) for frame in container.decode(video=0)
        ]
    base = pictures[0]
    slope = np.gradient(base, axis=1)[8:-8, 8:-8]
    moved = [((base - picture)[8:-8, 8:-8] * slope).sum() for picture in pictures]
    return np.asarray(np.array(moved) / (slope**2).sum())


@pytest.mark.parametrize(
    ("name", "ticks_per_second", "steps"),
    [("phone.mov", 600, [2.5]), ("fast.mkv", 1000, [2.5]), ("odd.mp4", 600, [2, 3, 2, 3, 3, 2])],
)
def test_times_that_are_rounded_or_uneven_keep_the_gain(
    name: str, ticks_per_second: int, steps: list[float], clip: MakeClip, tmp_path: Path
) -> None:
    """With the model `fast`, at alpha 5: a band of 10 % around the motion."""
    ticks = np.concatenate([[0], np.cumsum(np.resize(steps, 119))])
    times = ticks / ticks_per_second
    hz = 0.15 / float(np.diff(times).mean())
    clock = {"video_track_timescale": str(ticks_per_second)} if "phone" in name else {}
    source = clip(
        name,
        size=(96, 64),
        fps=Fraction(240),
        ticks=np.rint(ticks).astype(int).tolist(),
        time_base=Fraction(1, ticks_per_second),
        picture=swaying(times, hz),
        container=clock,
        options={"crf": "4"},
    )
    controls = Controls(alpha=5, filter=Temporal(hz / 1.1, hz * 1.1, 2))
    logged = LoggedBatch("fast", controls)
    assert logged.run(source, output=tmp_path / "out.mp4") == 0
    waves = np.stack([f(2 * np.pi * hz * times[60:]) for f in (np.sin, np.cos, np.ones_like)], 1)
    sways = np.stack([sway_of(path)[60:] for path in (source, tmp_path / "out.mp4")], 1)
    lines, rest, *_ = np.linalg.lstsq(waves, sways, rcond=None)
    before, after = np.hypot(*lines[:2])
    assert after / before == pytest.approx(5, rel=0.15)
    assert np.sqrt(rest[1] / 60) < 0.1  # px


def test_a_band_of_the_fast_part_of_a_file_is_magnified_there(clip: MakeClip, model: str) -> None:
    ticks = np.cumsum([0, *[8] * 60, *[1] * 40, *[8] * 60]).tolist()
    source = clip("in.mp4", fps=Fraction(240), ticks=ticks, time_base=Fraction(1, 240))
    logged = LoggedBatch(model, Controls(filter=Temporal(36, 38, 2)))
    assert logged.run(source) == 0
    assert count(logged.done[0]) == len(ticks)
    start = "warning: 'in.mp4' has 30 frames per second, and 240 in some parts: the band"
    assert logged.notes[0].startswith(start)
    with pytest.raises(OptionError, match="more than 242 frames/s, and there are 240:"):
        LoggedBatch(model, Controls(filter=Temporal(110, 121))).run(source)


@pytest.mark.parametrize("several", [True, False])
def test_ctrl_c_keeps_the_incomplete_file_and_prints_its_path(
    several: bool, clip: MakeClip, model: str, tmp_path: Path
) -> None:
    logged = LoggedBatch(model)
    steps = 0

    class Interrupting:
        def begin(self, name: str, frames: int | None) -> None: ...
        def end(self) -> None: ...
        def step(self) -> None:
            nonlocal steps
            steps += 1
            if steps == 6:
                raise KeyboardInterrupt

    logged.batch.progress = Interrupting()
    inputs = [clip("a.mp4"), clip("b.mp4")] if several else [clip("a.mp4")]
    assert logged.run(*inputs, output=tmp_path / "out/") == 130
    part = tmp_path / "out" / "a.mag20.part.mp4"
    assert str(part) in logged.notes[0]
    assert count(part) == 6
    assert logged.done == []
    assert not (tmp_path / "out" / "b.mag20.mp4").exists()


def test_frames_before_damage_are_magnified(clip: MakeClip, model: str, tmp_path: Path) -> None:
    whole = clip("in.mkv", frames=60).read_bytes()
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(whole[: len(whole) * 2 // 3])
    logged = LoggedBatch(model)
    assert logged.run(broken) == 0
    assert 5 < count(logged.done[0]) < 60


def test_a_gap_that_is_left_out_is_reported(clip: MakeClip, model: str, tmp_path: Path) -> None:
    day = 30 * 108_000
    clip("gap.mp4", ticks=[0, 1, 2, day, day + 1])
    batch = LoggedBatch(model)
    assert batch.run(tmp_path / "gap.mp4", output=tmp_path / "out.mp4") == 0
    assert batch.notes == [
        "warning: the clock of 'gap.mp4' jumps once, back or by more than half a day; "
        "the frames follow each other without a gap there"
    ]
    assert count(tmp_path / "out.mp4") == 5
