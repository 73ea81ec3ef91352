"""Reports of a training run: progress on stderr, log.csv, and a plot of log.csv."""

import csv
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from rtmag.realtime.cli.console import notice
from rtmag.realtime.environment import no_font_cache

with no_font_cache():
    from matplotlib.figure import Figure

FIRST_LINE = 10.0  # seconds until the first line of progress, if stderr is not a terminal

LINE_EVERY = 30.0  # seconds between later lines


class ProgressReport:
    """Progress of one stage on stderr: a bar on a terminal, otherwise a line every 30 seconds.

    Args:
        title: Name of the stage, such as `rendering scenes`.
        start: Share of the work that a resumed run has already done, 0 to 1.
        enabled: False in all processes except the first; nothing is reported.
    """

    def __init__(self, title: str, *, start: float = 0.0, enabled: bool = True) -> None:
        self.title, self.start, self.enabled = title, start, enabled
        self._bar: Progress | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        self._next = self._began + FIRST_LINE
        if self.enabled and sys.stderr.isatty():
            columns = (
                TextColumn("{task.description}", markup=False), BarColumn(),
                TextColumn("{task.percentage:>3.0f}%"), TimeElapsedColumn(), TextColumn("left:"),
                TimeRemainingColumn(), TextColumn("{task.fields[note]}", markup=False),
            )  # fmt: skip
            self._bar = self._stack.enter_context(Progress(*columns, console=Console(stderr=True)))
            self._task = self._bar.add_task(self.title, total=1.0, note="")
            self._bar.update(self._task, completed=self.start)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def update(self, share: float, detail: str) -> None:
        """Report that `share` of the work, 0 to 1, is done; `detail` is a count or a loss."""
        if self._bar is not None:
            self._bar.update(self._task, completed=share, note=detail)
        elif self.enabled and time.monotonic() >= self._next:
            self._next = time.monotonic() + LINE_EVERY
            notice(f"{self.title}: {share:.0%} ({detail}){self._left(share)}")

    def _left(self, share: float) -> str:
        done = share - self.start
        if done <= 0:
            return ""
        seconds = (time.monotonic() - self._began) * max(1 - share, 0) / done
        return f", about {duration(seconds)} left"


def duration(seconds: float) -> str:
    """A length of time in words: `40 s`, `6 min`, `2.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class Log:
    """The file log.csv: means of the loss terms since the previous line, and the code's commit.

    Args:
        path: The file; its folder is created if missing.
        append: True to continue an existing file, False to empty it.
    """

    def __init__(self, path: Path, *, append: bool) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.sums, self.steps = path, dict[str, torch.Tensor](), 0
        self._has_header = False
        if not (append and path.exists()):
            path.write_text("")

    def collect(self, terms: dict[str, torch.Tensor]) -> None:
        """Add the loss terms of one step."""
        for name, value in terms.items():
            self.sums[name] = self.sums.get(name, torch.zeros_like(value)) + value.detach()
        self.steps += 1

    def write(self, history: dict[str, Any], lr: float) -> str:
        """Append a line; returns the step and the loss for the progress report."""
        means = {name: f"{(value / self.steps).item():.5f}" for name, value in self.sums.items()}
        row = {"step": history["step"], "seconds": history["seconds"], "lr": f"{lr:.2e}", **means}
        row["commit"] = history.get("commit", "")
        if not self._has_header:
            self._write_header(list(row), history["step"])
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, list(row)).writerow(row)
        self.sums, self.steps = {}, 0
        return f"step {row['step']}, loss {means['total']}"

    def _write_header(self, columns: list[str], step: int) -> None:
        """Write the column names, unless the file has them.

        A file with other columns, from a version with other loss terms, is renamed and kept.
        """
        with self.path.open(newline="") as file:
            existing = next(csv.reader(file), None)
        if existing not in (None, columns):
            self.path.rename(self.path.with_name(f"{self.path.stem}-until-{step}.csv"))
        if existing != columns:
            with self.path.open("w", newline="") as file:
                csv.writer(file).writerow(columns)
        self._has_header = True


def plot(log: Path, out: Path, *, title: str) -> None:
    """Plot the smoothed loss terms and the learning rate over time.

    Args:
        log: The run's log.csv. If it has no rows, no plot is written.
        out: The PNG file to write.
        title: Title of the plot.
    """
    with log.open(newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        return
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    for name in rows[0]:
        if name not in ("step", "seconds", "lr", "commit"):
            present = [row for row in rows if row[name]]  # older lines may lack a newer term
            minutes = [float(row["seconds"]) / 60 for row in present]
            axes.plot(minutes, smooth([float(row[name]) for row in present]), label=name)
    axes.set(xlabel="minutes", ylabel="loss, smoothed", yscale="log", title=title)
    axes.grid(alpha=0.3)
    right = axes.twinx()
    minutes = [float(row["seconds"]) / 60 for row in rows]
    right.plot(minutes, [float(row["lr"]) for row in rows], "k:", linewidth=1)
    right.set(ylabel="learning rate (dotted)")
    axes.legend()
    figure.savefig(out, dpi=110)


def smooth(values: list[float], keep: float = 0.97) -> list[float]:
    """Exponential moving average, without bias towards zero at the start."""
    out, total, weight = [], 0.0, 0.0
    for value in values:
        total = keep * total + (1 - keep) * value
        weight = keep * weight + (1 - keep)
        out.append(total / weight)
    return out
