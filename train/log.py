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
