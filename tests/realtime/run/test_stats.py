"""`--stats json`: a line per second and a summary."""

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from rtmag.realtime.cli.main import execute
from rtmag.realtime.controls import Controls
from rtmag.realtime.errors import SourceLost
from rtmag.realtime.run import live
from rtmag.realtime.run import report as stats
from rtmag.realtime.run.loop import Pipeline, run
from rtmag.realtime.run.report import Stats, Tally
from rtmag.realtime.sources.source import Status
from rtmag.realtime.view.keys import press
from tests.support.fakes import FakeMagnifier, FakeSource, FakeView

KEYS = set(Tally(live=True).snapshot(Status()))
SUMMARY = KEYS | {"ending", "seconds", "failures"}


@pytest.fixture
def lines() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def make_stats(lines: list[dict[str, Any]]) -> Callable[[], Stats]:
    return lambda: Stats(lambda line: lines.append(json.loads(line)))


def test_statistics_are_periodic_lines_and_a_summary(
    make_stats: Callable[[], Stats], lines: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stats, "STATS_INTERVAL", 0.05)
    source = FakeSource(60, live=True, every=0.01)
    written = make_stats()
    report = run(Pipeline(source, FakeMagnifier(), Controls(), stats=written))
    written.end(report)
    *during, last = lines
    assert 3 <= len(during) <= 13
    assert all(set(line) == KEYS for line in during)
    assert set(last) == SUMMARY
    frames = [line["frames"] for line in lines]
    assert frames == sorted(frames)
    assert (last["state"], last["ending"], last["frames"]) == ("ENDED", "end", report.frames)
    assert last["latency_ms"] == pytest.approx(report.latency_p50_ms, abs=0.01)


def test_statistics_continue_during_a_pause(
    make_stats: Callable[[], Stats], lines: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stats, "STATS_INTERVAL", 0.05)
    view = FakeView(" ")
    controls = Controls()
    threading.Timer(0.6, press, (controls, ord("q"))).start()
    source = FakeSource(None, live=True, every=0.01)
    report = run(Pipeline(source, FakeMagnifier(), controls, view=view, stats=make_stats()))
    assert report.ending == "quit"
    assert len(lines) >= 3
    assert lines[-1]["frames"] == lines[1]["frames"]


def test_failed_run_ends_with_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = FakeSource(3, live=True, every=0.02, error=SourceLost("gone"))
    monkeypatch.setattr(live, "open_source", lambda *_, **__: source)
    monkeypatch.setattr(stats, "STATS_INTERVAL", 60.0)  # no line before the end on a slow machine
    args = ["camera", "fake", "--view", "none", "--model", "fast", "--motion-scale", "1/4"]
    assert execute([*args, "--stats", "json"]) == 1
    captured = capsys.readouterr()
    lines = [json.loads(line) for line in captured.out.splitlines()]
    assert [(line["state"], line["ending"]) for line in lines] == [("FAILED", "failure")]
    assert captured.err.endswith("error: gone\n")


def test_stdout_has_only_statistics(capsys: pytest.CaptureFixture[str]) -> None:
    args = ["camera", "test", "--view", "none", "--model", "fast", "--motion-scale", "1/4"]
    shown = ["--size", "64x48", "--fps", "20", "--frames", "24", "--stats", "json"]
    assert execute([*args, *shown]) == 0
    captured = capsys.readouterr()
    lines = [json.loads(line) for line in captured.out.splitlines()]
    assert lines[-1]["frames"] == 24
    assert lines[-1]["ending"] == "end"
    assert len(lines) >= 2
    assert "fast" in captured.err
