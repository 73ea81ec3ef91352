"""How long one step takes: each model and motion scale at each size, interleaved in one process.

Regimes: this times the engine's step alone (picture in, picture out, state carried), on moving
pictures, without capture or display. Rounds alternate between the models, so that whatever else the
machine does hits all of them; medians are compared. `oh2018` is exported untrained when no file is
given: its speed does not depend on its weights.

    python -m benchmarks.fps [--model NAME|PATH]... [--size 640x480]... [--quick] [--out FILE.json]

The last line of stdout is one JSON document.
"""

import json
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from rtmag.realtime.engine import OnnxEngine, load_engine
from rtmag.realtime.errors import ModelIncompatible
from rtmag.realtime.filters import State, Temporal
from rtmag.realtime.installed import rtmag_version
from rtmag.realtime.models import model_names
from rtmag.realtime.options import parse_size, scale_of
from rtmag.realtime.providers import runtime, usable_cores
from rtmag.realtime.scene import SceneSource

BASELINE = "oh2018"


def untrained(name: str, folder: Path) -> Path:
    """Export a network with random weights, to time it."""
    import torch

    from rtmag.export.onnx_target import export_onnx
    from rtmag.train import checkpoint
    from rtmag.train.config import CONFIGS
    from rtmag.train.model import build

    net = build(CONFIGS[name])
    optimizer = torch.optim.Adam(net.parameters())
    checkpoint.save(folder / name, net, checkpoint.averaged(net), optimizer, {"step": 0})
    export_onnx(folder / name, folder / f"{name}.onnx", name=name)
    return folder / f"{name}.onnx"


def processor() -> str:
    """What the operating system calls the CPU."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def machine() -> dict[str, Any]:
    """Where and with what a benchmark ran."""
    return {
        "machine": {"cpu": processor(), "cores": usable_cores(), "system": platform.platform()},
        "versions": {
            "rtmag": rtmag_version(),
            "numpy": np.__version__,
            "onnxruntime": runtime().__version__,
        },
    }


def scaled(model: str, threads: int | None = None) -> dict[str, OnnxEngine]:
    """The model that looks for motion in smaller pictures, by scale; none if it cannot."""
    engines = {}
    for label in ("1/2", "1/4"):
        try:
            engine = load_engine(model, threads=threads, motion_scale=scale_of(label) or 1.0)
        except ModelIncompatible:
            return {}
        engine.name += f" {label}"
        engines[label] = engine
    return engines


def time_steps(
    engines: dict[str, OnnxEngine], size: tuple[int, int], rounds: int, warm: int = 3
) -> dict[str, list[float]]:
    """Milliseconds of each step, per model, taking turns."""
    with SceneSource(size, frames=16) as scene:
        images = [frame.image for frame in scene]
    sections = Temporal(0.5, 3).sections(30.0)
    states: dict[str, State | None] = dict.fromkeys(engines)
    times: dict[str, list[float]] = {name: [] for name in engines}
    for turn in range(rounds + warm):
        for name, engine in engines.items():
            began = time.perf_counter_ns()
            _, states[name] = engine.step(images[turn % 16], 20.0, sections, states[name])
            if turn >= warm:
                times[name].append((time.perf_counter_ns() - began) / 1e6)
    return times


def row(name: str, size: tuple[int, int], times: list[float], reference: float) -> dict[str, Any]:
    """One line of the table."""
    p50, p95, p99 = (float(np.percentile(times, p)) for p in (50, 95, 99))
    return {
        "model": name, "width": size[0], "height": size[1], "p50_ms": round(p50, 2),
        "p95_ms": round(p95, 2), "p99_ms": round(p99, 2), "fps": round(1000 / p50, 1),
        f"speed_over_{BASELINE}": round(reference / p50, 2),
    }  # fmt: skip


def main(
    model: Annotated[list[str] | None, typer.Option(help="Name or path; repeatable.")] = None,
    size: Annotated[list[str] | None, typer.Option(help="WxH; repeatable.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Steps timed per model and size.")] = 30,
    threads: Annotated[int | None, typer.Option(help="CPU threads.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="For smoke only.")] = False,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON here.")] = None,
) -> None:
    """Time the models against oh2018."""
    sizes = [parse_size(each) or (640, 480) for each in size or ["640x480"]]
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        models = model or model_names()
        paths = {Path(m).stem: m for m in models}
        if len(paths) < len(models):
            raise typer.BadParameter("models need file names that differ")
        if BASELINE not in paths:
            paths[BASELINE] = str(untrained(BASELINE, Path(folder)))
        engines = {n: load_engine(p, threads=threads) for n, p in paths.items()}
        for name, path in paths.items():
            coarse = {} if quick else scaled(path, threads)
            engines |= {f"{name} {label}": engine for label, engine in coarse.items()}
    rows = []
    for extent in [(160, 120)] if quick else sizes:
        times = time_steps(engines, extent, 3 if quick else rounds)
        reference = statistics.median(times[BASELINE])
        for name in engines:
            rows.append(row(name, extent, times[name], reference))
            print(
                "{model:12} {width}x{height}  p50 {p50_ms:8.2f} ms  {fps:7.1f} fps".format(
                    **rows[-1]
                )
            )
    document = {
        "benchmark": "fps",
        "provider": next(iter(engines.values())).provider,
        **machine(),
        "commits": {
            n: json.loads(e.metadata["rtmag.training"]).get("commit", "untrained")
            for n, e in engines.items()
        },
        "rows": rows,
    }
    if out:
        out.write_text(json.dumps(document, indent=2) + "\n")
    print(json.dumps(document))


if __name__ == "__main__":
    typer.run(main)
