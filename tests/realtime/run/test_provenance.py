"""Settings next to an output, and outputs repeated from them."""

import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rtmag.realtime.cli.main import execute
from rtmag.realtime.controls import Controls
from rtmag.realtime.engines.spec import EngineSpec
from rtmag.realtime.errors import OptionError, SinkError
from rtmag.realtime.filters import Dynamic, Static, Temporal
from rtmag.realtime.run.live import Recorder, run_live
from rtmag.realtime.run.provenance import (
    merge_options,
    read_settings,
    settings_path,
    write_settings,
)
from tests.realtime.run.test_live import make
from tests.support.fakes import ENVIRONMENT, identity_model

MakeClip = Callable[..., Path]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    identity_model(tmp_path / "identity.onnx")


def magnify(*args: str) -> int:
    return execute(["file", *args, "--progress", "none"])


def test_settings_are_written_next_to_the_output(clip: MakeClip, tmp_path: Path) -> None:
    """All settings that the frames depend on; no folders, no temporary files (S05, S06)."""
    clip("in.mp4", frames=4)
    source = str(tmp_path / "in.mp4")
    model = str(tmp_path / "identity.onnx")
    band = ["--fl", "1", "--fh", "3", "--order", "2", "--capture-fps", "60"]
    assert magnify(source, "-o", "out.mp4", "--model", model, "--alpha", "7", *band) == 0
    text = Path("out.mp4.json").read_text()
    assert str(tmp_path) not in text
    note = json.loads(text)
    expected = {
        "source": "in.mp4", "size": [64, 48], "alpha": 7, "mode": "temporal", "fl": 1, "fh": 3,
        "order": 2, "drift": None, "capture_fps": 60, "layout": "magnified",
        "model": "identity.onnx", "motion_scale": "1",
    }  # fmt: skip
    assert {name: note[name] for name in expected} == expected
    assert note["fps"] == pytest.approx(30)
    assert not list(tmp_path.glob("*.part*"))


def test_like_repeats_settings_and_new_options_replace_them(clip: MakeClip, tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        clip(name, frames=4)
    model = ["--model", "identity.onnx"]
    assert magnify("a.mp4", *model, "--alpha", "7", "--fl", "1", "--fh", "3") == 0
    assert magnify("b.mp4", "--like", "a.mag7.mp4") == 0
    assert magnify("c.mp4", "--like", "a.mag7.mp4", "--alpha", "9", "--drift", "0.2") == 0
    first, second = read_settings(tmp_path / "a.mag7.mp4"), read_settings(tmp_path / "b.mag7.mp4")
    assert second == first | {"source": "b.mp4"}
    third = read_settings(tmp_path / "c.mag9.mp4")
    assert (third["mode"], third["drift"], third["fl"], third["alpha"]) == ("static", 0.2, None, 9)


@pytest.mark.parametrize(
    "controls",
    [
        Controls(alpha=7, filter=Temporal(1, 3, order=2)),
        Controls(alpha=9, filter=Static(drift=0.2), layout="side"),
        Controls(alpha=5, filter=Dynamic(), layout="split"),
        Controls(alpha=0.5, layout="difference"),
    ],
    ids=lambda controls: controls.layout,
)
def test_like_repeats_a_live_recording(
    controls: Controls, clip: MakeClip, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Source, size and rate differ; all options are repeated."""
    spec = EngineSpec(model="fast", motion_scale=0.5)
    options, _ = make("fast", controls, record=Path("live.mp4"), engine=spec)
    run_live("test", options)
    clip("in.mp4", frames=4, size=(32, 32))
    assert magnify("in.mp4", "-o", "again.mp4", "--like", "live.mp4") == 0
    assert "weights" not in capsys.readouterr().err
    recorded, again = read_settings(tmp_path / "live.mp4"), read_settings(tmp_path / "again.mp4")
    own = {"source": "in.mp4", "size": [32, 32], "fps": again["fps"], "scene_changes": []}
    assert again == recorded | own
    assert (recorded["size"], recorded["motion_scale"]) == ([64, 48], "1/2")
    parameters = dict.fromkeys(("fl", "fh", "order", "drift")) | controls.filter.parameters()
    expected = {"alpha": controls.alpha, "mode": controls.filter.mode, "layout": controls.layout}
    assert recorded | expected | parameters == recorded
    assert not list(tmp_path.glob("*.part*"))


def test_like_repeats_a_recording_after_a_kill(clip: MakeClip, tmp_path: Path) -> None:
    """An incomplete file has its settings next to it, as a complete one has."""
    code = "from rtmag.realtime.cli.main import main; main()"
    command = ["camera", "test", "--view", "none", "--model", "fast", "--alpha", "7"]
    run = [sys.executable, "-c", code, *command, "--record", "live.mp4"]
    part = tmp_path / "live.part.mp4"
    with subprocess.Popen(run, env=ENVIRONMENT, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not (part.exists() and part.stat().st_size):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.kill()
    assert not Path("live.mp4").exists()
    clip("in.mp4", frames=4)
    assert magnify("in.mp4", "-o", "again.mp4", "--like", "live.part.mp4") == 0
    assert read_settings(tmp_path / "again.mp4")["alpha"] == read_settings(part)["alpha"] == 7


def test_a_recording_without_a_frame_leaves_no_settings(tmp_path: Path) -> None:
    options, _ = make("none", record=Path("live.mp4"))
    writer = Recorder(options, 30.0, dict)()
    assert settings_path(tmp_path / "live.part.mp4").exists()
    writer.close()
    assert not list(tmp_path.glob("live*"))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"mode": "temporal", "fl": 1, "fh": 3}, {"fl": 2}, {"mode": "temporal", "fl": 2, "fh": 3}),
        ({"mode": "temporal", "fl": 1, "fh": 3}, {"mode": "dynamic"}, {"mode": "dynamic"}),
        ({"mode": "static", "drift": 1.0}, {"fl": 1, "fh": 3}, {"fl": 1, "fh": 3}),
        ({"alpha": 5, "model": None}, {}, {"alpha": 5}),
    ],
)
def test_options_of_different_filters_do_not_mix(
    old: dict[str, object], new: dict[str, object], expected: dict[str, object]
) -> None:
    assert merge_options(old, new) == expected


def test_other_weights_than_before_give_a_warning(
    clip: MakeClip, capsys: pytest.CaptureFixture[str]
) -> None:
    clip("a.mp4", frames=4)
    assert magnify("a.mp4", "-o", "one.mp4", "--model", "identity.onnx") == 0
    note = json.loads(Path("one.mp4.json").read_text()) | {"model_sha256": "0" * 64}
    Path("one.mp4.json").write_text(json.dumps(note))
    assert magnify("a.mp4", "-o", "two.mp4", "--like", "one.mp4") == 0
    assert "has other weights than before" in capsys.readouterr().err


@pytest.mark.parametrize("text", [None, "no json", "[1]", "{}"])
def test_missing_settings_are_refused(
    text: str | None, clip: MakeClip, capsys: pytest.CaptureFixture[str]
) -> None:
    clip("a.mp4", frames=2)
    if text is not None:
        Path("old.mp4.json").write_text(text)
    assert magnify("a.mp4", "--like", "old.mp4") == 2
    assert "no settings in 'old.mp4.json'" in capsys.readouterr().err


SETTINGS = {"rtmag": "1", "source": "a", "mode": "static", "layout": "side", "model": "fast"}


@pytest.mark.parametrize("alpha", ["many", int("9" * 4000), float("inf"), 1e300])
def test_invalid_settings_in_the_file_are_refused(clip: MakeClip, alpha: object) -> None:
    clip("a.mp4", frames=2)
    Path("old.mp4.json").write_text(json.dumps(SETTINGS | {"alpha": alpha}))
    assert magnify("a.mp4", "--like", "old.mp4") == 2


@pytest.mark.parametrize("text", ["precious", '{"rtmag": "mine", "alpha": 3}', "[" * 100_000])
def test_files_of_other_programs_are_not_overwritten(tmp_path: Path, text: str) -> None:
    output = tmp_path / "out.mp4"
    settings_path(output).write_text(text)
    with pytest.raises(SinkError, match="another file is there"):
        write_settings(output, SETTINGS | {"alpha": 1})
    assert settings_path(output).read_text() == text
    with pytest.raises(OptionError):
        read_settings(output)
    with pytest.raises(SinkError, match="no such file"):
        write_settings(tmp_path / "no" / "out.mp4", SETTINGS | {"alpha": 1})


@pytest.mark.skipif(os.name != "posix", reason="needs named pipes and devices")
@pytest.mark.parametrize("kind", ["pipe", "device", "huge"])
def test_settings_that_are_not_a_small_regular_file_are_left_alone(
    tmp_path: Path, kind: str
) -> None:
    path = settings_path(tmp_path / "out.mp4")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        with path.open("wb") as file:
            file.truncate(1 << 32)  # sparse
    before = os.lstat(path)
    with pytest.raises(SinkError, match="another file is there"):
        write_settings(tmp_path / "out.mp4", SETTINGS | {"alpha": 1})
    with pytest.raises(OptionError, match="no settings"):
        read_settings(tmp_path / "out.mp4")
    assert os.path.samestat(before, os.lstat(path))


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX permissions")
def test_outputs_have_the_permissions_of_the_umask(clip: MakeClip, tmp_path: Path) -> None:
    """S06: temporary files have no wider permissions than the output."""
    clip("in.mp4", frames=2)
    before = os.umask(0o077)
    try:
        assert magnify("in.mp4", "-o", "out.mp4", "--model", "identity.onnx") == 0
    finally:
        os.umask(before)
    for name in ("out.mp4", "out.mp4.json"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
