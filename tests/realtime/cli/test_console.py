"""Notices and log records on standard error, as text and as JSON."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from rtmag.realtime.cli import console
from rtmag.realtime.cli.main import execute
from rtmag.realtime.log import logger
from tests.support.fakes import ENVIRONMENT

CAMERA = [
    "camera", "test", "--view", "none", "--size", "64x48", "--frames", "3", "--motion-scale", "1/4",
]  # fmt: skip
SECRET = "rtsp://admin:canary@10.0.0.1/live"


@pytest.fixture(autouse=True)
def _log_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    console.configure(verbose=False, as_json=False)


def records(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_without_flags_only_notices_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(CAMERA) == 0
    choosing, looking, title = capsys.readouterr().err.splitlines()
    assert choosing.startswith("choosing a model for 64x48")
    assert looking.startswith("looking for motion of 0.4-3 Hz")
    assert title.startswith("the built-in scene, ")


@pytest.mark.parametrize("flag", ["-v", "--verbose"])
@pytest.mark.parametrize("place", [0, len(CAMERA)])
def test_verbose_logs_the_choice_of_the_model(
    flag: str, place: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute([*CAMERA[:place], flag, *CAMERA[place:]]) == 0
    records = capsys.readouterr().err.splitlines()
    assert any("debug: motion_scale = 1/4 (command line)" in record for record in records)
    assert any(" debug: standard at motion scale 0.25 takes " in record for record in records)
    assert any(record.startswith("the built-in scene") for record in records)


def test_log_json_prints_one_record_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute([*CAMERA, "--log-json"]) == 0
    lines = records(capsys)
    assert len(lines) == 3
    line = lines[-1]
    assert set(line) == {"time", "level", "message"}
    assert {each["level"] for each in lines} == {"info"}
    assert datetime.fromisoformat(line["time"]).utcoffset() is not None
    assert execute(["file", "none.mp4", "--log-json", "--debug"]) == 2
    trace, error = records(capsys)
    assert "Traceback" in trace["message"]
    assert error["level"] == "error"
    assert error["message"].startswith("cannot open 'none.mp4'")


def test_log_json_prints_no_progress(
    clip: Callable[..., Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rtmag.realtime.cli.progress._LINE_INTERVAL", 0.0)
    clip("in.mp4", frames=4)
    args = ["file", "in.mp4", "none.mp4", "--model", "fast", "--motion-scale", "1/4", "-o", "out"]
    assert execute([*args, "--log-json"]) == 1
    assert [line["level"] for line in records(capsys)] == ["error", "info"]


def test_log_json_with_verbose_prints_debug_records(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute([*CAMERA, "--log-json", "-v"]) == 0
    assert {line["level"] for line in records(capsys)} == {"debug", "info"}


@pytest.mark.parametrize("as_json", [False, True])
def test_no_output_contains_credentials(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """S05: notices, messages and tracebacks."""
    console.configure(verbose=True, as_json=as_json)
    console.notice(f"error: {SECRET} refused")
    logger().warning("lost %s", SECRET)
    try:
        raise ValueError(SECRET)
    except ValueError:
        logger().exception("failed")
    printed = capsys.readouterr().err
    assert "canary" not in printed
    assert printed.count("10.0.0.1") == 3
    if as_json:
        last = json.loads(printed.splitlines()[-1])
        assert "ValueError" in last["traceback"]


def test_configure_can_turn_the_log_off(capsys: pytest.CaptureFixture[str]) -> None:
    before = list(logger().handlers)
    console.configure(verbose=True, as_json=False)
    console.configure(verbose=False, as_json=False)
    assert logger().handlers == before
    logger().debug("a record")
    assert capsys.readouterr().err == ""


def test_the_library_installs_no_handler_that_writes() -> None:
    code = "import logging, rtmag.realtime; print(logging.getLogger('rtmag').handlers)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]" or "NullHandler" in done.stdout


def test_a_closed_stderr_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone:
        def write(self, text: str) -> None:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Gone())
    console.notice("hello")
    console.configure(verbose=True, as_json=True)
    console.notice("hello")


@pytest.mark.parametrize(
    ("name", "encoding", "printed"),
    [
        ("日本", "cp1252", r"\u65e5\u672c"),
        ("\U0001f3a5", "latin-1", r"\U0001f3a5"),
        ("a\udcff", "utf-8", r"a\udcff"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="names of other systems are text")
def test_a_name_that_cannot_be_printed_does_not_end_a_batch(
    name: str, encoding: str, printed: str, clip: Callable[..., Path], tmp_path: Path
) -> None:
    """As on Windows, when standard output is redirected."""
    clip(f"{name}.mp4", frames=2)
    clip("plain.mp4", frames=2)
    command = [sys.executable, "-m", "rtmag", "file", "--model", "none", "--progress", "none"]
    done = subprocess.run(
        [*command, f"{name}.mp4", "plain.mp4", "-o", "both"],
        env={**ENVIRONMENT, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "1"},
        cwd=tmp_path,
        capture_output=True,
    )
    assert (done.returncode, done.stderr.decode(errors="replace")) == (0, "2 of 2 files done\n")
    lines = done.stdout.decode(encoding).splitlines()
    assert lines == [str(Path("both", f"{each}.mag20.mp4")) for each in (printed, "plain")]
    assert sorted(path.name for path in (tmp_path / "both").glob("*.mp4")) == sorted(
        [f"{name}.mag20.mp4", "plain.mag20.mp4"]
    )
