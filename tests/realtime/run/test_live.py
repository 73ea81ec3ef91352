"""`rtmag camera` with the built-in scene in place of a camera."""

import re
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from rtmag.realtime.cli import console as log
from rtmag.realtime.cli.options import make_controls
from rtmag.realtime.controls import Controls, Layout
from rtmag.realtime.engines.spec import EngineSpec
from rtmag.realtime.errors import OptionError, SinkUnavailable, SourceLost, SourceUnavailable
from rtmag.realtime.filters import Temporal
from rtmag.realtime.frame import Frame, Image
from rtmag.realtime.presets import PRESETS
from rtmag.realtime.run import live, provenance
from rtmag.realtime.run.live import LiveOptions, run_live
from rtmag.realtime.sections import Sections, State
from rtmag.realtime.sources.reconnecting import ReconnectingSource
from rtmag.realtime.sources.source import SourceOptions
from rtmag.realtime.view.viewer import Facts
from tests.support.fakes import FakeEngine, FakeSource, FakeView, SlowEngine, identity_model


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(identity_model(tmp_path_factory.mktemp("model") / "identity.onnx"))


def make(
    model: str, controls: Controls | None = None, **options: Any
) -> tuple[LiveOptions, list[str]]:
    notes: list[str] = []
    usual: dict[str, Any] = {"view": "none", "source": SourceOptions(size=(64, 48)), "limit": 8}
    usual |= {"notice": notes.append, "engine": EngineSpec(model=model)}
    return LiveOptions(controls=controls or Controls(), **usual | options), notes


def test_live_run_works_without_a_view(model: str) -> None:
    made, notes = make(model)
    report = run_live("test", made)
    assert report.frames == 8
    assert report.latency_p50_ms is not None
    assert notes[0] == "looking for motion since the first frame, shown 20 times"
    assert "identity on" in notes[1]


class Whitening(FakeEngine):
    """Returns white pictures, so that magnified pixels can be recognised."""

    def step(
        self, image: Image, alpha: float, sections: Sections, state: State | None
    ) -> tuple[Image, State]:
        return np.full_like(image, 255), np.zeros((1, 2, 1, 1), np.float32)


@pytest.mark.parametrize(
    ("layout", "width", "white"),
    [("magnified", 64, 1.0), ("side", 128, 0.5), ("split", 64, 0.5), ("original", 64, 0.0)],
)
def test_recording_starts_with_the_first_frame(
    layout: Layout, width: int, white: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file has the layout of the controls and its settings next to it."""
    monkeypatch.setattr(live, "choose", lambda *_: Whitening())
    path = tmp_path / "out.mp4"
    made, notes = make("white", record=path, controls=Controls(layout=layout))
    run_live("test", made)
    assert notes[2].endswith("out.mp4")
    with av.open(str(path)) as container:
        pictures = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    assert [picture.shape for picture in pictures] == [(48, width, 3)] * 8
    for picture in pictures[1:]:  # the first frame has no rate yet and is not magnified
        assert (picture > 250).mean() == pytest.approx(white, abs=0.1)
    assert provenance.read_settings(path)["layout"] == layout


@pytest.mark.parametrize(("wanted", "scale"), [(None, 0.25), (1.0, 1.0)])
def test_motion_scale_adapts_unless_the_user_gave_one(
    wanted: float | None, scale: float, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "choose", lambda *_: SlowEngine(lambda: 0.15))
    made, _ = make(model, limit=40, engine=EngineSpec(model="slow", motion_scale=wanted))
    run_live("test", made)
    assert made.controls.motion_scale == scale


def test_key_r_records_to_numbered_files(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = FakeView("......".join("rrrr"))
    monkeypatch.setattr("rtmag.realtime.run.recording._RECORDING_INTERVAL", 0.0)
    monkeypatch.setattr(live, "WindowSink", lambda title, controls: view)
    (tmp_path / "rtmag-camera.mp4").write_bytes(b"precious")
    run_live("test", make(model, view="window", limit=40)[0])
    assert (tmp_path / "rtmag-camera.mp4").read_bytes() == b"precious"
    assert (tmp_path / "rtmag-camera-2.mp4").exists()
    assert (tmp_path / "rtmag-camera-3.mp4").exists()


def test_no_recording_starts_on_a_full_disk(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rtmag.realtime.sinks.background.LEAST_FREE", 1 << 60)
    with pytest.raises(SinkUnavailable, match="are free"):
        run_live("test", make(model, record=tmp_path / "out.mp4")[0])
    assert list(tmp_path.iterdir()) == []


def test_invalid_options_are_refused_before_the_run(model: str, tmp_path: Path) -> None:
    there = tmp_path / "out.mp4"
    there.touch()
    with pytest.raises(SinkUnavailable, match="--overwrite"):
        run_live("test", make(model, record=there)[0])
    with pytest.raises(OptionError, match="fps"):
        run_live("test", make(model, Controls(filter=Temporal(5, 20)))[0])
    with pytest.raises(OptionError, match="needs more than 28 frames/s, and there are 8"):
        run_live("test", make(model, machine(), source=SourceOptions(size=(64, 48), fps=8.0))[0])
    with pytest.raises(SourceUnavailable):
        run_live("97", make(model)[0])


def machine() -> Controls:
    return Controls(filter=PRESETS["machine"].filter, preset="machine")


def test_a_preset_is_cut_to_the_rate_of_the_camera_and_says_so(model: str, tmp_path: Path) -> None:
    source, path = SourceOptions(size=(64, 48), fps=25.0), tmp_path / "out.mp4"
    made, notes = make(model, machine(), record=path, limit=16, source=source)
    run_live("test", made)
    assert provenance.read_settings(path)["fh"] == pytest.approx(12.25, rel=0.05)
    (note,) = [note for note in notes if "in place of 5-14 Hz" in note]
    assert re.match(r"5-1[12]\.?\d? Hz in place of 5-14 Hz: 2\d\.?\d? frames/s cannot", note)


@pytest.mark.parametrize(
    ("controls", "line"),
    [
        (
            make_controls(live=True),
            "looking for motion of 0.4-3 Hz, shown 10 times; --mode static magnifies everything "
            "since the first frame",
        ),
        (make_controls(preset="breath", live=True), "of 10-40 bpm, shown 10 times"),
        (make_controls(mode="dynamic", alpha=5, live=True), "since the previous frame, shown 5"),
        (make_controls(drift=0.2, live=True), "faster than 0.2 Hz, shown 20 times"),
    ],
)
def test_the_motion_that_is_looked_for_is_shown_and_printed(
    controls: Controls, line: str, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = GreetedView()
    monkeypatch.setattr(live, "WindowSink", lambda title, controls: view)
    made, notes = make(model, controls, view="window")
    run_live("test", made)
    assert line in notes[0]
    assert view.notices == {notes[0].partition(";")[0] + "; key m: other modes"}


class GreetedView(FakeView):
    """A view that keeps the notices."""

    def __init__(self) -> None:
        super().__init__()
        self.notices: set[str] = set()

    def show(self, original: Frame, magnified: Frame, controls: Controls, facts: Facts) -> None:
        self.notices.add(facts.notice)
        super().show(original, magnified, controls, facts)


def test_slow_motion_from_a_live_source_has_the_bands_of_its_scene(model: str) -> None:
    controls = Controls(filter=Temporal(36, 38))
    made, _ = make(model, controls, capture_fps=240.0)
    run_live("test", made)
    assert controls.fps == 240


@pytest.mark.parametrize("as_json", [False, True])
def test_lost_source_is_reported_once(
    as_json: bool, model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = FakeSource(5, live=True, every=0.02, error=SourceLost("unplugged"))
    sources = iter([lost, FakeSource(10, live=True, every=0.02)])
    monkeypatch.setattr(
        live, "open_source", lambda *_, **__: ReconnectingSource(lambda: next(sources))
    )
    made, _ = make(model, limit=None, notice=log.notice)
    log.configure(verbose=True, as_json=as_json)
    try:
        report = run_live("0", made)
    finally:
        log.configure(verbose=False, as_json=False)
    assert report.frames > 5
    said = capsys.readouterr().err.splitlines()
    (line,) = [line for line in said if "reconnecting" in line.lower()]
    assert "fake: reconnecting; unplugged" in line
    assert ('"level": "warning"' if as_json else "warning: ") in line
    for state, times in (("running", 2), ("ended", 1)):
        assert sum(f"fake: {state}" in line.lower() for line in said) == times
