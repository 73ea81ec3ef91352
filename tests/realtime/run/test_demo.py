"""The demo: its files and its measurements."""

from pathlib import Path
from typing import Any

import av
import pytest
from rich.console import Console

from rtmag.realtime.cli.progress import open_progress
from rtmag.realtime.engines.spec import EngineSpec
from rtmag.realtime.errors import OptionError
from rtmag.realtime.models import model_names
from rtmag.realtime.opencv import cv2
from rtmag.realtime.run.demo import Demo, Outcome
from tests.support.fakes import identity_model

needs_model = pytest.mark.skipif(
    "standard" not in model_names(), reason="no model inside the package"
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(identity_model(tmp_path_factory.mktemp("model") / "identity.onnx"))


def play(**options: Any) -> Outcome:
    return Demo(progress=open_progress("none", Console(), Console()), **options).run()


def test_demo_writes_a_video_and_slices(model: str) -> None:
    outcome = play(engine=EngineSpec(model=model), frames=10)
    assert outcome.files == [Path("rtmag-demo.mp4"), Path("rtmag-demo.png")]
    with av.open("rtmag-demo.mp4") as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (1280, 480)
        assert sum(1 for _ in container.decode(video=0)) == 10
    picture = cv2.imread("rtmag-demo.png")
    assert picture is not None
    assert picture.shape[1] > 900


def test_earlier_demo_is_not_overwritten(model: str) -> None:
    Path("rtmag-demo.png").write_bytes(b"precious")
    outcome = play(engine=EngineSpec(model=model), frames=2)
    assert outcome.files == [Path("rtmag-demo-2.mp4"), Path("rtmag-demo-2.png")]
    assert "wrote rtmag-demo-2.mp4" in outcome.lines
    assert Path("rtmag-demo.png").read_bytes() == b"precious"
    outcome = play(engine=EngineSpec(model=model), frames=2, overwrite=True)
    assert outcome.files[1].read_bytes() != b"precious"


@pytest.mark.parametrize(
    ("out", "video"),
    [
        ("new/folder/", "new/folder/rtmag-demo.mp4"),
        ("mine.v1", "mine.v1.mp4"),
        ("mine.mp4", "mine.mp4"),
    ],
)
def test_outputs_have_the_requested_paths(model: str, out: str, video: str) -> None:
    assert play(engine=EngineSpec(model=model), frames=1, out=out).files[0] == Path(video)


def test_identity_model_has_gain_one_and_adds_no_error(model: str) -> None:
    outcome = play(engine=EngineSpec(model=model), frames=105)
    for gain in outcome.gains:
        assert gain.ratio == pytest.approx(1, abs=0.15)
    before, after = outcome.noise
    assert before == after == pytest.approx(1.24, abs=0.1)


def test_short_demo_reports_no_gain(model: str) -> None:
    outcome = play(engine=EngineSpec(model=model), frames=5)
    assert all(gain.ratio is None for gain in outcome.gains)
    assert any("240 frames" in line for line in outcome.lines)


def test_invalid_alpha_is_refused_before_anything_is_written(model: str, tmp_path: Path) -> None:
    with pytest.raises(OptionError):
        play(engine=EngineSpec(model=model), frames=3, alpha=float("nan"))
    assert not list(tmp_path.glob("rtmag*"))


@needs_model
def test_gain_is_alpha_and_still_pixels_stay_still() -> None:
    outcome = play(frames=135)
    for gain in outcome.gains:
        assert gain.ratio == pytest.approx(20, rel=0.1), outcome.lines
    before, after = outcome.noise
    assert after - before < 1.5
