"""How far the work has come: a bar on a terminal, plain lines elsewhere, JSON for programs."""

import json
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from rtmag.realtime.cli.console import NOBODY_READS, hush
from rtmag.realtime.cli.options import ProgressKind
from rtmag.realtime.run.report import Progress

_LINE_EVERY = 5.0

_JSON_EVERY = 1.0


class Output(Console):
    """A console for programs to read; when they no longer do, the work ends quietly."""

    def on_broken_pipe(self) -> None:
        """End with the code for that; rich's own is that of a failure."""
        hush()
        raise SystemExit(NOBODY_READS)


def open_progress(kind: ProgressKind, console: Console, output: Console) -> Progress:
    """Progress on `console`; JSON lines go to `output`."""
    if kind == "none":
        return _Quiet()
    if kind == "json":
        return _Lines(output, _JSON_EVERY, as_json=True)
    return _Bar(console) if console.is_terminal else _Lines(console, _LINE_EVERY, as_json=False)


class _Quiet:
    def begin(self, name: str, frames: int | None) -> None:
        pass

    def step(self) -> None:
        pass

    def end(self) -> None:
        pass


class _Bar:
    def __init__(self, console: Console) -> None:
        self._console = console

    def begin(self, name: str, frames: int | None) -> None:
        self._start, self._count = time.monotonic(), 0
        self._progress = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._task = self._progress.add_task(name, total=frames, rate="")
        self._progress.start()

    def step(self) -> None:
        self._count += 1
        rate = self._count / max(time.monotonic() - self._start, 1e-6)
        self._progress.update(self._task, advance=1, rate=f"{rate:.1f} fps")

    def end(self) -> None:
        self._progress.stop()


class _Lines:
    def __init__(self, console: Console, every: float, *, as_json: bool) -> None:
        self._console, self._every, self._as_json = console, every, as_json

    def begin(self, name: str, frames: int | None) -> None:
        self._name, self._frames, self._count = name, frames, 0
        self._start = self._told = time.monotonic()

    def step(self) -> None:
        self._count += 1
        if time.monotonic() - self._told >= self._every:
            self._tell()

    def end(self) -> None:
        if self._as_json:
            self._tell()

    def _tell(self) -> None:
        self._told = time.monotonic()
        fps = self._count / max(self._told - self._start, 1e-6)
        left = None
        if self._frames is not None and fps > 0:
            left = max(self._frames - self._count, 0) / fps
        if self._as_json:
            told: dict[str, object] = {
                "file": self._name, "frame": self._count, "frames": self._frames,
                "fps": round(fps, 2), "eta_s": None if left is None else round(left, 1),
            }  # fmt: skip
            line = json.dumps(told)
        else:
            line = f"{self._name}: {self._count}/{self._frames or '?'} frames, {fps:.1f} fps"
            line += f", {left:.0f} s left" if left is not None else ""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)
