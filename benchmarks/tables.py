"""Writes the tables of README and model card from results: `python -m benchmarks.tables`.

A table stands between `<!-- NAME -->` and `<!-- /NAME -->`, and comes from the file in
benchmarks/results that TABLES names; in a model's card, `facts` comes from the model itself. A test
holds the documents to both.
"""

import json
import re
from pathlib import Path
from statistics import mean
from typing import Any

import typer

from benchmarks.scoreboard import band_table, gain_table, quality_table, scales_table, scene_table
from benchmarks.speeds import ENGINES, batch_table, fps_table
from benchmarks.stages import STAGES
from rtmag.realtime.engines.loading import load_engine
from rtmag.realtime.models import model_names

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def live_table(document: dict[str, Any]) -> str:
    """What becomes of a camera's pictures on their way to the screen, and how good they are."""
    lines = [
        "| camera | ended with | SSIM | recorded | latency, median | 95 % below | 99 % below "
        "| late or dropped | CPU per frame |"
    ]
    lines.append("|---" * 9 + "|")
    quality = json.loads((RESULTS / "quality.json").read_text())
    for row in document["rows"]:
        recorded = "" if row["sink"] == "none" else row["sink"]
        lines.append(
            f"| {_camera(row)} | `{row['engine']}` | {_ssim(quality, row['engine'])} | {recorded} "
            f"| {row['p50_ms']:.0f} ms | {row['p95_ms']:.0f} ms | {row['p99_ms']:.0f} ms "
            f"| {row['late_percent']:.1f} % | {row['cpu_ms']:.0f} ms |"
        )
    machine = document["machine"]
    lines.append(
        f"\n{machine['cores']} cores of {machine['cpu']}. SSIM: of the quality benchmark, mean of "
        f"its sets / clips; the input unchanged has {_ssim(quality, 'input unchanged')}."
    )
    return "\n".join(lines)


def _ssim(quality: dict[str, Any], described: str) -> str:
    """What an engine has in the quality benchmark: mean of the sets' means / of the clips."""
    method = described.replace(", motion at", "")
    sets: dict[str, list[float]] = {}
    for row in quality["pairs"]:
        if row["method"] == method:
            sets.setdefault(row["set"], []).append(row["ssim"])
    clips = [row["ssim"] for row in quality["sequences"] if row["method"] == method]
    return f"{mean(map(mean, sets.values())):.3f} / {mean(clips):.3f}" if clips else ""


def parity_table(document: dict[str, Any]) -> str:
    """How near engines come to the network in float32."""
    lines = [
        "| model | engine | clip | alpha | SSIM to PyTorch in float32 | its least | PSNR | "
        "mean difference | largest |"
    ]
    lines.append("|---" * 9 + "|")
    for row in document["rows"]:
        lines.append(
            f"| `{row['model']}` | {ENGINES[row['provider']]} | {row['clip']} | {row['alpha']:g} "
            f"| {row['ssim']:.4f} | {row['ssim_least']:.4f} | {row['psnr']:.0f} dB "
            f"| {row['mean']:.3f} | {row['worst']} |"
        )
    return "\n".join(lines)


def stages_table(document: dict[str, Any]) -> str:
    """How long each stage takes: median and 95th percentile, of the runs that record."""
    rows = [row for row in document["rows"] if row["sink"] != "none"]
    lines = ["| stage, median / 95 % below | " + " | ".join(map(_camera, rows)) + " |"]
    lines.append("|---" * (len(rows) + 1) + "|")
    for stage in STAGES:
        took = [row["stages"].get(stage) for row in rows]
        cells = [f"{t['p50_ms']:.1f} / {t['p95_ms']:.1f} ms" if t else "" for t in took]
        lines.append(f"| {stage} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _camera(row: dict[str, Any]) -> str:
    return f"{row['width']}x{row['height']} at {row['fps']:g} fps"


def streams_table(document: dict[str, Any]) -> str:
    """How long lost streams take to come back."""
    lines = ["| what happens | lasting | noticed after | picture again after |", "|---" * 4 + "|"]
    for row in document["rows"]:
        if "recovered" in row:
            lasting = f"{row['outage']:.0f} s" if "outage" in row else ""
            noticed = f"{row['detected']:.1f} s" if "detected" in row else ""
            lines.append(f"| {row['case']} | {lasting} | {noticed} | {row['recovered']:.1f} s |")
    return "\n".join(lines)


def operators_table(document: dict[str, Any]) -> str:
    """Where the time of a step goes."""
    kinds = list(document["rows"][0]["ms"])
    lines = ["| step of | " + " | ".join(kinds) + " | convolution, of the product's rate |"]
    lines.append("|---" * (len(kinds) + 2) + "|")
    for row in document["rows"]:
        total = sum(row["ms"].values())
        cells = [f"{ms:.1f} ms, {ms / total:.0%}" for ms in row["ms"].values()]
        name = f"`{row['model']}`, {row['width']}x{row['height']}"
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {row['convolution_share']:.0%} |")
    return "\n".join(lines)


def memory_table(document: dict[str, Any]) -> str:
    """The most memory that clips and live runs of several lengths take."""
    rows = document["rows"]
    lengths = sorted({row["frames"] for row in rows})
    lines = ["| most memory at {}x{} | ".format(*document["size"])]
    lines[0] += " | ".join(f"{count} frames" for count in lengths) + " |"
    lines.append("|---" * (len(lengths) + 1) + "|")
    peaks = {(r["command"], r["model"], r["frames"]): f"{r['peak_mb']:.0f} MB" for r in rows}
    for command, model in dict.fromkeys((row["command"], row["model"]) for row in rows):
        cells = [peaks.get((command, model, count), "") for count in lengths]
        lines.append(f"| `rtmag {command}`, `{model}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def start_table(document: dict[str, Any]) -> str:
    """How long until something is there."""
    lines = ["| until | best of several | median | time of the CPU |", "|---" * 4 + "|"]
    for row in document["rows"]:
        cells = " | ".join(f"{row[key]:.2f} s" for key in ("best_s", "median_s", "cpu_s"))
        lines.append(f"| {row['what']} | {cells} |")
    return "\n".join(lines)


TABLES = {
    "fps": ("fps", fps_table),
    "batch": ("batch", batch_table),
    "live": ("live", live_table),
    "stages": ("live", stages_table),
    "parity": ("engine_parity", parity_table),
    "memory": ("memory", memory_table),
    "start": ("start", start_table),
    "operators": ("operators", operators_table),
    "streams": ("streams", streams_table),
    "gain": ("quality", gain_table),
    "scales": ("quality", scales_table),
    "band": ("quality", band_table),
    "quality": ("quality", quality_table),
    "scene": ("quality", scene_table),
}
"""Each with the results it is made of."""
DOCUMENTS = {ROOT / "README.md": None} | {
    ROOT / "realtime" / "models" / f"{name}.md": name for name in model_names()
}
"""Each with the model whose card it is."""


def facts(model: str) -> str:
    """How a shipped model came about, as it says itself."""
    metadata = load_engine(model, engine="onnx").metadata
    run = json.loads(metadata["rtmag.training"])
    rows = {
        "file": f"`{model}.onnx`, and `{model}.motion.onnx` for CPUs; opset 20, any size",
        "weights' sha256": f"`{metadata['rtmag.sha256']}`",
        "training": f"{run['step']} steps of {run['batch']} samples of {run['crop']} px, "
        f"{run['seconds'] / 60:.0f} minutes, Adam with a cosine from {run['lr']:g}",
        "machine": f"{run['device']}, {run['precision']}, torch {run['torch']}",
        "data": run["data"],
        "seed, commit": f"{run['seed']}, `{run['commit']}`",
        "log, curve": f"`{model}.csv`, `{model}-curve.png`",
        "licence": "MIT",
    }
    if "blended" in run:
        point = run["blended"]
        rows["weights"] = (
            f"{point['share']:.0%} of the way from step {point['from_step']} to the end"
        )
    if surplus := run.get("surplus"):
        rows["taken off"] = (
            f"{surplus:.0%} of motions of few pixels, measured to be shown too large"
        )
    if shortfall := run.get("shortfall"):
        rows["added"] = f"{shortfall / 2:.1%} to motions of 50 px, measured to be shown too small"
    lines = ["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in rows.items())]
    lines += ["", "| from step | commit | command |", "|---|---|---|"]
    lines += [
        f"| {part['from_step']} | `{part['commit']}` | `rtmag train {part['command']}` |"
        for part in run["parts"]
    ]
    return "\n".join(lines)


def filled(text: str, model: str | None = None) -> str:
    """A document with every table made anew; `model` is whose card it is."""
    for name, (source, table) in TABLES.items():
        path = RESULTS / f"{source}.json"
        if path.exists():
            text = _put(text, name, table(json.loads(path.read_text())))
    return _put(text, "facts", facts(model)) if model else text


def _put(text: str, name: str, body: str) -> str:
    pattern = rf"(<!-- {name} -->).*?(<!-- /{name} -->)"
    return re.sub(pattern, lambda m: f"{m[1]}\n{body}\n{m[2]}", text, flags=re.DOTALL)


def main() -> None:
    """Write the tables of README and model cards anew, from the committed results."""
    for document, model in DOCUMENTS.items():
        document.write_text(filled(document.read_text(), model))


if __name__ == "__main__":
    typer.run(main)
