"""Progress on a terminal, in a log file and for a program."""

import json
from io import StringIO

import pytest
from rich.console import Console

from rtmag.realtime.cli import progress
from rtmag.realtime.cli.options import ProgressKind


def shown(kind: ProgressKind, *, terminal: bool = False, frames: int | None = 4) -> tuple[str, str]:
    notes, output = StringIO(), StringIO()
    console = Console(file=notes, force_terminal=terminal, width=100)
    bar = progress.open_progress(kind, console, Console(file=output, width=20))
    for name in ("[a].mp4", "b.mp4"):
        bar.begin(name, frames)
        for _ in range(4):
            bar.step()
        bar.end()
    return notes.getvalue(), output.getvalue()


def test_progress_none_prints_nothing() -> None:
    assert shown("none", terminal=True) == ("", "")


def test_a_terminal_gets_a_bar() -> None:
    notes, output = shown("auto", terminal=True)
    assert "4/4" in notes
    assert "fps" in notes
    assert output == ""


def test_a_log_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown("auto") == ("", "")
    monkeypatch.setattr(progress, "_LINE_INTERVAL", 0.0)
    lines = shown("auto")[0].splitlines()
    assert len(lines) == 8
    assert lines[1].startswith("[a].mp4: 2/4 frames, ")
    assert lines[1].endswith(" s left")
    assert "2/? frames" in shown("auto", frames=None)[0]


def test_programs_get_json_lines() -> None:
    notes, output = shown("json")
    assert notes == ""
    first, second = map(json.loads, output.splitlines())
    assert (first["file"], first["frame"], first["frames"], first["eta_s"]) == ("[a].mp4", 4, 4, 0)
    assert second["file"] == "b.mp4"
    assert second["fps"] > 0
