"""Write the tables of README, pages and model cards: `python -m benchmarks.tables`.

A table is placed between `<!-- NAME -->` and `<!-- /NAME -->`. It is made from the file in
benchmarks/results that TABLES names. In a model card, `facts` is made from the model's own
metadata. A test checks that all documents are up to date.
"""

import json
import re
from pathlib import Path
from statistics import mean
from typing import Any

import typer

from benchmarks.scoreboard import (
    UNFINISHED,
    band_table,
    gain_table,
    quality_table,
    scales_table,
    scene_table,
)
from benchmarks.speeds import ENGINES, batch_table, fps_table
from benchmarks.stages import STAGES
from rtmag.realtime.engines.loading import load_engine
from rtmag.realtime.models import model_names

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"


OVERVIEW = {
    "input unchanged": ("no magnification", None),
    "Riesz pyramid": ("Riesz pyramid (2014), OpenCV", 1.0),
    "fast": ("rtmag `fast`", 1.0),
    "fast 1/2": ("rtmag `fast`, motion scale 1/2", 0.5),
    "standard": ("rtmag `standard`", 1.0),
    "oh2018": ("Oh et al. (2018), ONNX Runtime", 1.0),
}
"""Rows of the overview by method of the quality benchmark: label, and motion scale to time."""


def overview_table(document: dict[str, Any]) -> str:
    """Speed, similarity and gain of the methods in one table, for the README."""
    quality = json.loads((RESULTS / "quality.json").read_text())
    steps = {
        (row["model"], row["motion_scale"], row["width"]): f"{row['p50_ms']:.0f} ms"
        for row in document["rows"]
        if row["provider"] in ("cpu", "numpy")
    }
    middle = {row["method"]: row for row in quality["band"] if row["designed"] > 19.9}
    lines = ["| method | step at 640x480 | 1280x720 | SSIM, pairs / clips | gain at alpha 20 |"]
    lines.append("|---" * 5 + "|")
    for method, (label, scale) in OVERVIEW.items():
        model = method.partition(" 1/")[0]
        times = " | ".join(steps.get((model, scale, width), "") for width in (640, 1280))
        ssim = "not comparable" if method in UNFINISHED else _ssim(quality, method)
        gain = f"{middle[method]['gain']:.1f}" if method in middle else ""
        lines.append(f"| {label} | {times} | {ssim} | {gain} |")
    machine = document["machine"]
    lines.append(f"\nMedian times on {machine['cores']} cores of {machine['cpu']}.")
    return "\n".join(lines)


def live_table(document: dict[str, Any]) -> str:
    """Latency and quality of the whole live loop, by size and rate of the camera."""
    lines = [
        "| camera | model at the end | SSIM | recording | median latency | 95th percentile | 99th "
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
        f"\n{machine['cores']} cores of {machine['cpu']}. SSIM: mean of the sets / of the clips of "
        f"the quality benchmark; the unchanged input has {_ssim(quality, 'input unchanged')}."
    )
    return "\n".join(lines)


def _ssim(quality: dict[str, Any], described: str) -> str:
    """SSIM of an engine in the quality benchmark: mean of the sets' means / of the clips."""
    method = described.replace(", motion scale", "")
    sets: dict[str, list[float]] = {}
    for row in quality["pairs"]:
        if row["method"] == method:
            sets.setdefault(row["set"], []).append(row["ssim"])
    clips = [row["ssim"] for row in quality["sequences"] if row["method"] == method]
    return f"{mean(map(mean, sets.values())):.3f} / {mean(clips):.3f}" if clips else ""


def parity_table(document: dict[str, Any]) -> str:
    """Differences between engines and the network in float32."""
    lines = [
        "| model | engine | clip | alpha | SSIM to PyTorch in float32 | lowest SSIM | PSNR "
        "| mean difference | largest |"
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
    """Time of each stage: median and 95th percentile of the runs with a recording."""
    rows = [row for row in document["rows"] if row["sink"] != "none"]
    lines = ["| stage, median / 95th percentile | " + " | ".join(map(_camera, rows)) + " |"]
    lines.append("|---" * (len(rows) + 1) + "|")
    for stage in STAGES:
        took = [row["stages"].get(stage) for row in rows]
        cells = [f"{t['p50_ms']:.1f} / {t['p95_ms']:.1f} ms" if t else "" for t in took]
        lines.append(f"| {stage} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _camera(row: dict[str, Any]) -> str:
    return f"{row['width']}x{row['height']} at {row['fps']:g} fps"


FAULTS = {
    "server killed and started": "server killed and restarted",
    "cut": "connection cut, new ones refused",
    "everything swallowed": "packets dropped silently",
    "killed, started with another size": "server restarted with another picture size",
    "cut, long": "connection cut, new ones refused",
}
"""Fault of each case of benchmarks/streams.py, as the table names it."""


def streams_table(document: dict[str, Any]) -> str:
    """Recovery times of lost streams."""
    lines = ["| fault | duration | detected after | picture back after |", "|---" * 4 + "|"]
    for row in document["rows"]:
        if "recovered" in row:
            lasting = f"{row['outage']:.0f} s" if "outage" in row else ""
            noticed = f"{row['detected']:.1f} s" if "detected" in row else ""
            lines.append(
                f"| {FAULTS[row['case']]} | {lasting} | {noticed} | {row['recovered']:.1f} s |"
            )
    return "\n".join(lines)


def operators_table(document: dict[str, Any]) -> str:
    """Time of a step by kind of operator."""
    kinds = list(document["rows"][0]["ms"])
    lines = ["| step of | " + " | ".join(kinds) + " | convolution rate / matrix product rate |"]
    lines.append("|---" * (len(kinds) + 2) + "|")
    for row in document["rows"]:
        total = sum(row["ms"].values())
        cells = [f"{ms:.1f} ms, {ms / total:.0%}" for ms in row["ms"].values()]
        name = f"`{row['model']}`, {row['width']}x{row['height']}"
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {row['convolution_share']:.0%} |")
    return "\n".join(lines)


def memory_table(document: dict[str, Any]) -> str:
    """Peak memory of clips and live runs of several lengths."""
    rows = document["rows"]
    lengths = sorted({row["frames"] for row in rows})
    lines = ["| peak memory at {}x{} | ".format(*document["size"])]
    lines[0] += " | ".join(f"{count} frames" for count in lengths) + " |"
    lines.append("|---" * (len(lengths) + 1) + "|")
    peaks = {(r["command"], r["model"], r["frames"]): f"{r['peak_mb']:.0f} MB" for r in rows}
    for command, model in dict.fromkeys((row["command"], row["model"]) for row in rows):
        cells = [peaks.get((command, model, count), "") for count in lengths]
        lines.append(f"| `rtmag {command}`, `{model}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def start_table(document: dict[str, Any]) -> str:
    """Start times."""
    lines = ["| time until | best | median | CPU time |", "|---" * 4 + "|"]
    for row in document["rows"]:
        cells = " | ".join(f"{row[key]:.2f} s" for key in ("best_s", "median_s", "cpu_s"))
        lines.append(f"| {row['what']} | {cells} |")
    return "\n".join(lines)


MEASURES = {
    "region": "`rtmag measure`",
    "patch": "registration with the first frame",
    "pyidi": "pyIDI, LucasKanade",
}


def measure_table(document: dict[str, Any]) -> str:
    """Errors of measured frequencies and amplitudes, by the rate of H.264."""
    lines = [
        "| H.264 | method | things found | largest peak | false peaks | frequency, median / 95 % "
        "| amplitude, median / 95 % | within two deviations |"
    ]
    lines.append("|---" * 8 + "|")
    kinds = list(dict.fromkeys((row["codec"], row["method"]) for row in document["rows"]))
    for codec, method in kinds:
        rows = [r for r in document["rows"] if (r["codec"], r["method"]) == (codec, method)]
        found = [row for row in rows if row["found"]]
        hz = sorted(abs(row["hz_error"]) for row in found)
        px = sorted(abs(row["px_error"]) / row["px"] for row in found)
        inside = [
            mean(abs(row[f"{name}_error"]) < 2 * row[f"{name}_deviation"] for row in found)
            for name in ("hz", "px")
        ]
        lines.append(
            f"| {'none' if codec is None else f'{codec} kbit/s'} | {MEASURES[method]} "
            f"| {len(found)} of {len(rows)} | {sum(r['first'] for r in rows)} "
            f"| {sum(r['false'] for r in rows)} | {1000 * _at(hz, 0.5):.1f} / "
            f"{1000 * _at(hz, 0.95):.1f} mHz | {_at(px, 0.5):.1%} / {_at(px, 0.95):.1%} "
            f"| {inside[0]:.0%}, {inside[1]:.0%} |"
        )
    return "\n".join(lines)


def find_table(document: dict[str, Any]) -> str:
    """Frequencies found in the whole picture, by the rate of H.264, and in still scenes."""
    lines = ["| H.264 | scenes | first line is right | things found | false lines |"]
    lines.append("|---" * 5 + "|")
    rows = [(row["codec"] if row["hz"] else "still", row) for row in document["rows"]]
    for kind in dict.fromkeys(kind for kind, _ in rows):
        some = [row for each, row in rows if each == kind]
        things = sum(len(row["hz"]) for row in some)
        first = f"{sum(row['first'] for row in some)} | {sum(row['found'] for row in some)}"
        counts = f"{first} of {things}" if things else " | "
        name = "nothing moves" if kind == "still" else f"{kind} kbit/s" if kind else "none"
        false = sum(row["false"] for row in some)
        lines.append(f"| {name} | {len(some)} | {counts} | {false} |")
    return "\n".join(lines)


def _at(ordered: list[float], share: float) -> float:
    """The value below which this share of the ordered values lies."""
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


TABLES = {
    "overview": ("fps", overview_table),
    "fps": ("fps", fps_table),
    "batch": ("batch", batch_table),
    "live": ("live", live_table),
    "stages": ("live", stages_table),
    "parity": ("engine_parity", parity_table),
    "memory": ("memory", memory_table),
    "start": ("start", start_table),
    "operators": ("operators", operators_table),
    "streams": ("streams", streams_table),
    "measure": ("measure", measure_table),
    "find": ("find", find_table),
    "gain": ("quality", gain_table),
    "scales": ("quality", scales_table),
    "band": ("quality", band_table),
    "quality": ("quality", quality_table),
    "scene": ("quality", scene_table),
}
"""Results file and function of each table, by the name in its markers."""
PAGES = ("README.md", "realtime/README.md", "benchmarks/README.md")
DOCUMENTS: dict[Path, str | None] = {ROOT / page: None for page in PAGES} | {
    ROOT / "realtime" / "models" / f"{name}.md": name for name in model_names()
}
"""Documents with generated tables; a model card with the name of its model."""


def facts(model: str) -> str:
    """Origin of a shipped model, from its metadata."""
    metadata = load_engine(model, engine="onnx").metadata
    run = json.loads(metadata["rtmag.training"])
    rows = {
        "file": f"`{model}.onnx`, and `{model}.motion.onnx` for CPUs; opset 20, any size",
        "SHA-256 of the weights": f"`{metadata['rtmag.sha256']}`",
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
        rows["gain correction, small motion"] = (
            f"-{surplus:.0%} for motions of few pixels, which were shown too large"
        )
    if shortfall := run.get("shortfall"):
        rows["gain correction, large motion"] = (
            f"+{shortfall / 2:.1%} for motions of 50 px, which were shown too small"
        )
    lines = ["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in rows.items())]
    lines += ["", "| from step | commit | command |", "|---|---|---|"]
    lines += [
        f"| {part['from_step']} | `{part['commit']}` | `rtmag train {part['command']}` |"
        for part in run["parts"]
    ]
    return "\n".join(lines)


def update_tables(text: str, model: str | None = None) -> str:
    """Return a document with new tables; `model` is the model of a model card, otherwise None."""
    for name, (source, table) in TABLES.items():
        if f"<!-- {name} -->" in text:
            text = _put(text, name, table(json.loads((RESULTS / f"{source}.json").read_text())))
    return _put(text, "facts", facts(model)) if model else text


def _put(text: str, name: str, body: str) -> str:
    pattern = rf"(<!-- {name} -->).*?(<!-- /{name} -->)"
    return re.sub(pattern, lambda m: f"{m[1]}\n{body}\n{m[2]}", text, flags=re.DOTALL)


def main() -> None:
    """Write the tables of README, pages and model cards from the committed results."""
    for document, model in DOCUMENTS.items():
        document.write_text(update_tables(document.read_text(), model))


if __name__ == "__main__":
    typer.run(main)
