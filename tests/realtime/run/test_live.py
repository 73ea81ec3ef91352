"""A live source before one's eyes, here the built-in scene in place of a camera."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from rtmag.realtime.cli import console as log
from rtmag.realtime.controls import Controls, Layout
from rtmag.realtime.engines.loading import EngineSpec
from rtmag.realtime.errors import OptionError, SinkUnavailable, SourceLost, SourceUnavailable
from rtmag.realtime.filters import Temporal
from rtmag.realtime.frame import Image
from rtmag.realtime.run import live, provenance
from rtmag.realtime.run.live import Live
from rtmag.realtime.sections import Sections, State
from rtmag.realtime.sources.reconnecting import ReconnectingSource
from rtmag.realtime.sources.source import SourceOptions
from tests.support.fakes import Burdened, FakeEngine, FakeSource, FakeView, identity_model


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(identity_model(tmp_path_factory.mktemp("model") / "identity.onnx"))


def make(model: str, controls: Controls | None = None, **options: Any) -> tuple[Live, list[str]]:
    notes: list[str] = []
    usual: dict[str, Any] = {"view": "none", "wanted": SourceOptions(size=(64, 48)), "limit": 8}
    controls = controls or Controls()
    made = Live(
        controls=controls, note=notes.append, engine=EngineSpec(model=model), **usual | options
    )
    return made, notes


def test_it_runs_without_a_view(model: str) -> None:
    made, notes = make(model)
    report = made.run("test")
    assert report.frames == 8
    assert report.latency_p50_ms is not None
    assert "identity on" in notes[0]


class Whitening(FakeEngine):
    """Gives white pictures, so that it can be told which are its own."""

    def step(
        self, image: Image, alpha: float, sections: Sections, state: State | None
    ) -> tuple[Image, State]:
        return np.full_like(image, 255), np.zeros((1, 2, 1, 1), np.float32)


@pytest.mark.parametrize(
    ("layout", "width", "white"),
    [("magnified", 64, 1.0), ("side", 128, 0.5), ("split", 64, 0.5), ("original", 64, 0.0)],
)
def test_it_records_from_the_start(
    layout: Layout, width: int, white: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The original, the magnified picture or both, and beside them how they were made."""
    monkeypatch.setattr(live, "choose", lambda *_: Whitening())
    path = tmp_path / "out.mp4"
    made, notes = make("white", record=path, controls=Controls(layout=layout))
    made.run("test")
    assert notes[1].endswith("out.mp4")
    with av.open(str(path)) as container:
        pictures = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    assert [picture.shape for picture in pictures] == [(48, width, 3)] * 8
    for picture in pictures[1:]:  # before the second one there is no rate, and no step
        assert (picture > 250).mean() == pytest.approx(white, abs=0.1)
    assert provenance.read_note(path)["layout"] == layout


@pytest.mark.parametrize(("wanted", "scale"), [(None, 0.25), (1.0, 1.0)])
def test_motion_scale_follows_the_machine_unless_somebody_chose_it(
    wanted: float | None, scale: float, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "choose", lambda *_: Burdened(lambda: 0.15))
    made, _ = make(model, limit=40)
    made.engine = EngineSpec(model="slow", motion_scale=wanted)
    made.run("test")
    assert made.controls.motion_scale == scale


def test_the_key_r_records_to_names_of_its_own(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = FakeView("......".join("rrrr"))
    monkeypatch.setattr(live, "WindowSink", lambda title: view)
    (tmp_path / "rtmag-camera.mp4").write_bytes(b"precious")
    make(model, view="window", limit=40)[0].run("test")
    assert (tmp_path / "rtmag-camera.mp4").read_bytes() == b"precious"
    assert (tmp_path / "rtmag-camera-2.mp4").exists()
    assert (tmp_path / "rtmag-camera-3.mp4").exists()


def test_no_recording_begins_on_a_full_disk(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rtmag.realtime.sinks.background.LEAST_FREE", 1 << 60)
    with pytest.raises(SinkUnavailable, match="are free"):
        make(model, record=tmp_path / "out.mp4")[0].run("test")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_work_is_refused_before_it_begins(model: str, tmp_path: Path) -> None:
    there = tmp_path / "out.mp4"
    there.touch()
    with pytest.raises(SinkUnavailable, match="--overwrite"):
        make(model, record=there)[0].run("test")
    with pytest.raises(OptionError, match="fps"):
        make(model, Controls(filter=Temporal(5, 20)))[0].run("test")
    with pytest.raises(SourceUnavailable):
        make(model)[0].run("97")


@pytest.mark.parametrize("as_json", [False, True])
def test_a_lost_source_is_told_once(
    as_json: bool, model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = FakeSource(5, live=True, every=0.02, error=SourceLost("unplugged"))
    sources = iter([lost, FakeSource(10, live=True, every=0.02)])
    monkeypatch.setattr(
        live, "open_source", lambda *_, **__: ReconnectingSource(lambda: next(sources))
    )
    made, _ = make(model, limit=None)
    made.note = log.notice
    log.configure(verbose=True, as_json=as_json)
    try:
        report = made.run("0")
    finally:
        log.configure(verbose=False, as_json=False)
    assert report.frames > 5
    said = capsys.readouterr().err.splitlines()
    (line,) = [line for line in said if "reconnecting" in line.lower()]
    assert "fake: reconnecting; unplugged" in line
    assert ('"level": "warning"' if as_json else "warning: ") in line
    for state, times in (("running", 2), ("ended", 1)):
        assert sum(f"fake: {state}" in line.lower() for line in said) == times
