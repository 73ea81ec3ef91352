"""Progress of a run: a bar on a terminal, plain lines elsewhere, JSON lines for programs."""

import json
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from rtmag.realtime.cli.console import EXIT_BROKEN_PIPE, discard_unwritable_output, is_json
from rtmag.realtime.cli.options import ProgressKind
from rtmag.realtime.log import visible
from rtmag.realtime.run.report import NoProgress, Progress

_LINE_INTERVAL = 5.0
"""Seconds between lines of text."""

_JSON_INTERVAL = 1.0
"""Seconds between lines of JSON."""


class StdoutConsole(Console):
    """Standard output for programs. If the reader closes it, the run ends without a message."""

    def on_broken_pipe(self) -> None:
        """Exit with the code of a broken pipe; Rich would exit with 1."""
        discard_unwritable_output()
        raise SystemExit(EXIT_BROKEN_PIPE)


def progress_of(kind: ProgressKind) -> Progress:
    """The progress display of a command; `auto` is none if standard error has JSON records only."""
    if kind == "auto" and is_json():
        kind = "none"
    return open_progress(kind, Console(stderr=True), StdoutConsole())


def open_progress(kind: ProgressKind, console: Console, output: Console) -> Progress:
    """The progress display of this kind.

    Args:
        kind: `auto` is a bar on a terminal and lines of text elsewhere.
        console: Receives the bar or the lines of text.
        output: Receives the lines of JSON.
    """
    if kind == "none":
        return NoProgress()
    if kind == "json":
        return _Lines(output, _JSON_INTERVAL, as_json=True)
    return _Bar(console) if console.is_terminal else _Lines(console, _LINE_INTERVAL, as_json=False)


class _Bar:
    def __init__(self, console: Console) -> None:
        self._console = console

    def begin(self, name: str, frames: int | None) -> None:
        self._start, self._count = time.monotonic(), 0
        self._progress = RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._task = self._progress.add_task(visible(name), total=frames, rate="")
        self._progress.start()

    def step(self) -> None:
        self._count += 1
        rate = self._count / max(time.monotonic() - self._start, 1e-6)
        self._progress.update(self._task, advance=1, rate=f"{rate:.1f} fps")

    def end(self) -> None:
        self._progress.stop()


class _Lines:
    def __init__(self, console: Console, interval: float, *, as_json: bool) -> None:
        self._console, self._interval, self._as_json = console, interval, as_json

    def begin(self, name: str, frames: int | None) -> None:
        self._name, self._frames, self._count = name, frames, 0
        self._start = self._printed = time.monotonic()

    def step(self) -> None:
        self._count += 1
        if time.monotonic() - self._printed >= self._interval:
            self._print()

    def end(self) -> None:
        if self._as_json:
            self._print()

    def _print(self) -> None:
        self._printed = time.monotonic()
        fps = self._count / max(self._printed - self._start, 1e-6)
        left = None
        if self._frames is not None and fps > 0:
            left = max(self._frames - self._count, 0) / fps
        if self._as_json:
            record: dict[str, object] = {
                "file": self._name, "frame": self._count, "frames": self._frames,
                "fps": round(fps, 2), "eta_s": None if left is None else round(left, 1),
            }  # fmt: skip
            line = json.dumps(record)
        else:
            line = (
                f"{visible(self._name)}: {self._count}/{self._frames or '?'} frames, {fps:.1f} fps"
            )
            line += f", {left:.0f} s left" if left is not None else ""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)
