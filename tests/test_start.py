"""The start: help and the first frame come at once. The best of several, for machines are busy."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import ENVIRONMENT

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _from_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT)])
    monkeypatch.setitem(os.environ, "PYTHONPATH", ENVIRONMENT["PYTHONPATH"])


def best(start: Callable[[], float], enough: float) -> float:
    """Seconds of the fastest of up to eight starts; the first that is fast enough will do."""
    least = float("inf")
    for _ in range(8):
        least = min(least, start())
        if least < enough:
            break
    return least


def test_help_is_there_at_once() -> None:
    """0.3 s on two idle cores; see the committed result."""
    from benchmarks.start import help_seconds

    assert best(help_seconds, 0.6) < 0.6


def test_the_first_frame_of_a_file_comes_soon(tmp_path: Path) -> None:
    from benchmarks.memory import write_clip
    from benchmarks.start import first_frame_seconds

    clip = write_clip(tmp_path / "clip.mp4", (640, 480), 30)
    assert best(lambda: first_frame_seconds(clip, (640, 480)), 1.5) < 1.5
