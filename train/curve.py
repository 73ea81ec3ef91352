"""A run's log as a picture: loss terms and learning rate over time."""

import csv
from pathlib import Path


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
