"""Start times of the help and of the first frame of a file, beside those of the libraries alone.

A limit in seconds depends on the machine. Each start is compared with a process that loads the
same libraries and does nothing else, measured in turn with it.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.fakes import ENVIRONMENT

TYPER_HELP = """
import typer
app = typer.Typer()
app.command("a")(lambda x=1: None)
app.command("b")(lambda y=1: None)
app(["--help"])
"""
VIDEO_LIBRARIES = "import numpy, cv2, av, typer, scipy.signal, onnxruntime"


@pytest.fixture(autouse=True)
def _from_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "PYTHONPATH", ENVIRONMENT["PYTHONPATH"])


def times_longer(start: Callable[[], None], code: str, enough: float) -> float:
    """Ratio of the shortest start to the shortest process that runs `code`, each of up to eight.

    Stops at the first ratio below `enough`. CPU time counts where it is shorter than the elapsed
    time, because other processes delay the start.
    """
    from benchmarks.start import time_start

    def reference() -> None:
        subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=True)

    def measure(run: Callable[[], None]) -> float:
        took = time_start(run)
        return min(took.seconds, took.cpu or took.seconds)  # Windows counts no children

    ours = theirs = float("inf")
    for _ in range(8):
        theirs = min(theirs, measure(reference))
        ours = min(ours, measure(start))
        if ours < enough * theirs:
            break
    return ours / theirs


@pytest.mark.alone
def test_help_takes_little_longer_than_typer_alone() -> None:
    """It takes 1.6 times as long on idle cores."""
    from benchmarks.start import await_help

    assert times_longer(await_help, TYPER_HELP, 2.5) < 2.5


@pytest.mark.alone
def test_the_first_frame_of_a_file_takes_little_longer_than_its_libraries(tmp_path: Path) -> None:
    """It takes 0.9 times as long with OpenVINO, 1.4 times with ONNX Runtime."""
    from benchmarks.memory import write_clip
    from benchmarks.start import await_first_frame

    clip = write_clip(tmp_path / "clip.mp4", (640, 480), 30)
    ratio = times_longer(lambda: await_first_frame(clip, (640, 480)), VIDEO_LIBRARIES, 2.0)
    assert ratio < 2.0
