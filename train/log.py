"""What a run tells: a bar on the terminal, lines in log.csv."""

import csv
import sys
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn


def progress_bar(*, enabled: bool) -> Progress:
    """A bar with elapsed time and a note; silent off a terminal."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(), TextColumn("{task.fields[note]}"),
        disable=not enabled or not sys.stderr.isatty(),
    )  # fmt: skip


class Log:
    """log.csv: means of the loss terms since the last line, and the commit of the code."""

    def __init__(self, path: Path, *, append: bool) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.sums, self.steps = path, dict[str, torch.Tensor](), 0
        self.begun = False
        if not (append and path.exists()):
            path.write_text("")

    def collect(self, terms: dict[str, torch.Tensor]) -> None:
        """Add one step's terms."""
        for name, value in terms.items():
            self.sums[name] = self.sums.get(name, torch.zeros_like(value)) + value.detach()
        self.steps += 1

    def write(self, history: dict[str, Any], lr: float) -> str:
        """Append a line; returns what the progress bar says."""
        means = {name: f"{(value / self.steps).item():.5f}" for name, value in self.sums.items()}
        row = {"step": history["step"], "seconds": history["seconds"], "lr": f"{lr:.2e}", **means}
        row["commit"] = history.get("commit", "")
        if not self.begun:
            self._begin(list(row), history["step"])
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, list(row)).writerow(row)
        self.sums, self.steps = {}, 0
        return f"step {row['step']}  loss {means['total']}"

    def _begin(self, columns: list[str], step: int) -> None:
        """Head the file; a log of other terms, which an older version began, is kept beside it."""
        with self.path.open(newline="") as file:
            found = next(csv.reader(file), None)
        if found not in (None, columns):
            self.path.rename(self.path.with_name(f"{self.path.stem}-until-{step}.csv"))
        if found != columns:
            with self.path.open("w", newline="") as file:
                csv.writer(file).writerow(columns)
        self.begun = True


def plot(log: Path, out: Path, *, title: str) -> None:
    """Draw log.csv (train/checkpoint.py) as a PNG.

    Args:
        log: The run's log.csv.
        out: The picture to write.
        title: What stands above it.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    with log.open(newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        return
    minutes = [float(row["seconds"]) / 60 for row in rows]
    figure, axes = pyplot.subplots(figsize=(8, 4), layout="constrained")
    for name in rows[0]:
        if name not in ("step", "seconds", "lr", "commit"):
            # A term that came later has no value before.
            known = [row for row in rows if row[name]]
            x = [float(row["seconds"]) / 60 for row in known]
            axes.plot(x, smoothed([float(row[name]) for row in known]), label=name)
    axes.set(xlabel="minutes", ylabel="loss, smoothed", yscale="log", title=title)
    axes.grid(alpha=0.3)
    right = axes.twinx()
    right.plot(minutes, [float(row["lr"]) for row in rows], "k:", linewidth=1)
    right.set(ylabel="learning rate (dotted)")
    axes.legend()
    figure.savefig(out, dpi=110)
    pyplot.close(figure)


def smoothed(values: list[float], keep: float = 0.97) -> list[float]:
    """Exponential moving average, unbiased at the start."""
    out, total, weight = [], 0.0, 0.0
    for value in values:
        total = keep * total + (1 - keep) * value
        weight = keep * weight + (1 - keep)
        out.append(total / weight)
    return out
