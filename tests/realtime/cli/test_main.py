"""The command line: each error is one line and an exit code."""

import sys
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from rtmag.realtime.cli.app import app
from rtmag.realtime.cli.main import execute
from tests.support.fakes import identity_model

MakeClip = Callable[..., Path]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(identity_model(tmp_path_factory.mktemp("model") / "identity.onnx"))


def failure_of(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str]:
    """Exit code and the line of a command that fails."""
    code = execute(list(args))
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    return code, printed.err.strip()


def test_without_a_command_it_prints_a_short_welcome(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert execute([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 8
    for word in ("demo", "camera", "file VIDEO", "measure VIDEO", "doctor", "--help"):
        assert any(f"rtmag {word}" in line for line in lines)


def test_help_lists_every_command() -> None:
    shown = CliRunner().invoke(app, ["--help"]).output
    for name in ("demo", "camera", "cameras", "file", "train", "export", "doctor", "--version"):
        assert name in shown


@pytest.mark.parametrize("name", ["demo", "camera", "cameras", "file", "doctor"])
def test_every_command_has_help(name: str) -> None:
    result = CliRunner().invoke(app, [name, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["--version"]) == 0
    assert capsys.readouterr().out.startswith("rtmag ")


@pytest.mark.parametrize(
    "args",
    [
        ["nonsense"], ["file"], ["file", "--alpha", "x", "a"], ["--x"],
        ["file", "a", "--motion-scale", "3"],
    ],
)  # fmt: skip
def test_wrong_usage_exits_2(args: list[str]) -> None:
    assert execute(args) == 2


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["file", "none.mp4"], "no such file"),
        (["file", "empty.mp4"], "empty.mp4"),
        (["file", "text.mp4"], "text.mp4"),
        (["file", "cut.mp4"], "cut.mp4"),
        (["file", "sound.mp4"], "sound.mp4"),
        (["file", "in.mp4", "--alpha", "nan"], "finite"),
        (
            ["file", "in.mp4", "--fl", "5", "--fh", "20"],
            "needs more than 40 frames/s, and there are 30",
        ),
        (["file", "in.mp4", "there.mp4"], "exists"),
        (["file", "in.mp4", "-o", "there.mp4"], "--overwrite"),
        (["file", "in.mp4", "-o", "in.mp4", "--overwrite"], "it is the input"),
        (["file", "in.mp4", "new.xyz"], "xyz"),
        (["file", "in.mp4", "no/such/folder/out.mp4"], "folder"),
        (["file", "in.mp4", "--model", "text.mp4"], "text.mp4"),
        (["file", "in.mp4", "--model", "none.onnx"], "none.onnx"),
        (["file", "in.mp4", "--motion-scale", "1/2"], "supports motion scale 1 only"),
        (["file", "rtsp://a/b"], "use rtmag stream ADDRESS"),
        (["camera", "--size", "big"], "640x480"),
        (["camera", "97", "--view", "none"], "camera"),
        (["camera", "no such camera", "--view", "none"], "no such camera"),
        (["camera", "test", "--view", "none", "--record", "there.mp4"], "--overwrite"),
        (["camera", "test", "--view", "none", "--fl", "5", "--fh", "20"], "fps"),
        (["demo", "--alpha", "inf"], "finite"),
    ],
)
def test_bad_input_is_one_line_and_exits_2(
    args: list[str],
    words: str,
    clip: MakeClip,
    model: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """I01, I10."""
    whole = clip("in.mp4").read_bytes()
    clip("there.mp4", frames=2)
    Path("empty.mp4").touch()
    Path("text.mp4").write_text("hello\n")
    Path("cut.mp4").write_bytes(whole[: len(whole) // 2])
    with av.open("sound.mp4", "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    if "--model" not in args and args[0] == "file":
        args = [*args, "--model", model]
    code, message = failure_of(capsys, *args)
    assert code == 2, message
    assert words in message
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_no_camera_is_one_line_with_a_hint(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rtmag.realtime.sources.camera.list_cameras", list)
    code, message = failure_of(capsys, "cameras")
    assert code == 2
    assert "rtmag demo" in message


def test_no_display_is_one_line(
    model: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux has machines without a display")
    code, message = failure_of(capsys, "camera", "test", "--model", model)
    assert code == 2
    assert "display" in message


def test_an_input_that_starts_with_a_dash_needs_a_path(
    clip: MakeClip, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    clip("-x.mp4", frames=3)
    assert execute(["file", "./-x.mp4", "--model", model, "--progress", "none"]) == 0
    assert capsys.readouterr().out.strip() == "-x.mag20.mp4"


def test_a_file_is_magnified_and_its_path_printed(
    clip: MakeClip, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    clip("in.mp4", frames=6)
    assert execute(["file", "in.mp4", "out.mp4", "--model", model]) == 0
    assert capsys.readouterr().out == "out.mp4\n"


def test_a_camera_ends_with_its_report(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    args = ["camera", "test", "--view", "none", "--model", model, "--size", "64x48"]
    assert execute([*args, "--frames", "5"]) == 0
    assert capsys.readouterr().out.startswith("5 frames in ")


def test_debug_anywhere_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["file", "none.mp4", "--debug"]) == 2
    printed = capsys.readouterr().err
    assert "Traceback" in printed
    assert printed.splitlines()[-1].startswith("error: ")


def test_a_bug_in_rtmag_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*args: object) -> None:
        raise ZeroDivisionError("two\nlines")

    monkeypatch.setattr("rtmag.realtime.sources.camera.list_cameras", break_down)
    code, message = failure_of(capsys, "cameras")
    assert code == 1
    hint = "(a bug in rtmag; --debug prints the traceback)"
    assert message == f"error: ZeroDivisionError: two lines {hint}"


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("Failed to allocate memory for requested buffer of size 132710400"),
        RuntimeError("Exception from core.cpp:117:\nFailed to allocate 83232384 bytes of memory"),
        RuntimeError("Exception from allocator.cpp:79:\nstd::bad_alloc\n"),
    ],
)
def test_lack_of_memory_is_reported_with_a_hint(
    error: Exception, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("rtmag.realtime.sources.camera.list_cameras", fail)
    code, message = failure_of(capsys, "cameras")
    assert code == 1
    assert "not enough memory" in message
    assert "--motion-scale" in message
