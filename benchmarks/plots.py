"""Plot SSIM over motion, noise and alpha: `python -m benchmarks.plots RESULTS.json OUT.png`."""

import json
from pathlib import Path
from typing import Any

import typer

from benchmarks.scoreboard import UNFINISHED

AXES = {
    "axial": "motion magnified to 10 px (px)",
    "noise": "noise (grey levels) at 0.05 px, alpha 200",
    "alpha": "alpha at 0.1 px",
}


def draw(document: dict[str, Any], out: Path) -> None:
    """One panel per set, one line per method."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(
        1, len(AXES), figsize=(15, 4), sharey=True, layout="constrained"
    )
    methods = list(dict.fromkeys(row["method"] for row in document["pairs"]))
    for panel, (name, axis) in zip(panels, AXES.items(), strict=True):
        for method in methods:
            rows = [r for r in document["pairs"] if (r["set"], r["method"]) == (name, method)]
            style = "-o" if method in document["models"] else ":" if "1/" in method else "--"
            label = UNFINISHED.get(method, method)
            panel.plot([r["at"] for r in rows], [r["ssim"] for r in rows], style, ms=3, label=label)
        panel.set(xscale="log", xlabel=axis, ylim=(0, 1))
        panel.grid(alpha=0.3)
    panels[0].set(ylabel="SSIM to the truth")
    figure.legend(*panels[0].get_legend_handles_labels(), fontsize=8, loc="outside right center")
    figure.savefig(out, dpi=90)
    pyplot.close(figure)


def main(results: Path, out: Path) -> None:
    """Plot a file of results."""
    draw(json.loads(results.read_text()), out)


if __name__ == "__main__":
    typer.run(main)
