"""Measure the time of a step by kind of operator, on the CPU of this machine.

    python -m benchmarks.operators [--model NAME|PATH]... [--size 640x480] [--out FILE.json]

ONNX Runtime's profiler gives the time of each operator of the graph; the times are summed by kind.
The picture is the time in which OpenCV warps the frame. The last line of stdout is one JSON
document.
"""

import json
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import typer

from rtmag.realtime.bench.roofline import best_rates, measure_cpu
from rtmag.realtime.bench.timing import training_commit
from rtmag.realtime.cli.options import parse_size
from rtmag.realtime.engines.contract import MOTION
from rtmag.realtime.engines.loading import load_engine
from rtmag.realtime.engines.onnx_providers import NAMES, import_onnxruntime, session_options
from rtmag.realtime.engines.warp import warp
from rtmag.realtime.environment import machine
from rtmag.realtime.filters import Temporal
from rtmag.realtime.models import model_names, read_model
from rtmag.realtime.sources.scene.scene import SceneSource

KINDS = {
    "convolution": ("Conv", "FusedConv"),
    "filter and sums": ("MatMul", "ReduceSum", "ReduceMean", "AveragePool", "Pow", "Exp", "Div"),
    "padding and layout": (
        *("Pad", "Cast", "Transpose", "Reshape", "Concat", "Split", "Slice", "Gather", "Resize"),
        *("ConvTranspose", "DepthToSpace", "SpaceToDepth"),
        *("ReorderInput", "ReorderOutput", "Unsqueeze", "Squeeze"),
    ),
}
REST = "other arithmetic"
PICTURE = "picture (OpenCV)"
WARM = 5
"""Steps of warm-up."""


def kind_of(operator: str) -> str:
    """Kind of an operator."""
    return next((kind for kind, names in KINDS.items() if operator in names), REST)


def profile_steps(
    motion: bytes, channels: int, size: tuple[int, int], threads: int | None, rounds: int
) -> dict[str, float]:
    """Median milliseconds per step by kind of operator, and for the picture."""
    width, height = size
    with SceneSource(size, frames=1) as scene:
        image = next(iter(scene)).image
    inputs: dict[str, Any] = {
        "image": image,
        "alpha": np.array(20, np.float32),
        "sections": Temporal(0.5, 3).sections(30.0),
        "reset": np.array(0, np.float32),
        "state": np.zeros((1, 2 * channels, height // 4, width // 4), np.float32),
    }
    pictures = []
    with tempfile.TemporaryDirectory() as folder:
        session = _session(motion, threads, Path(folder))
        for _ in range(rounds + WARM):
            flow, inputs["state"] = session.run([*MOTION], inputs)
            began = time.perf_counter()
            warp(image, flow)
            pictures.append(1e3 * (time.perf_counter() - began))
        events = json.loads(Path(session.end_profiling()).read_text())
    took = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            took[event["args"]["op_name"], event["name"]].append(event["dur"] / 1e3)
    sums = dict.fromkeys([*KINDS, REST], 0.0)
    for (operator, _), times in took.items():
        sums[kind_of(operator)] += median(times[WARM:])
    return sums | {PICTURE: median(pictures[WARM:])}


def _session(motion: bytes, threads: int | None, folder: Path) -> Any:
    """Open a session as the engine does, with profiling."""
    options = session_options("cpu", threads)
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    return import_onnxruntime().InferenceSession(motion, options, providers=[NAMES["cpu"]])


def main(
    model: Annotated[list[str] | None, typer.Option(help="Name or path; repeatable.")] = None,
    size: Annotated[str, typer.Option(help="WxH, multiples of 16.")] = "640x480",
    rounds: Annotated[int, typer.Option(min=1, help="Timed steps per model.")] = 60,
    threads: Annotated[int | None, typer.Option(help="CPU threads.")] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON to this file.")] = None,
) -> None:
    """Measure the time of a step by kind of operator."""
    extent = parse_size(size) or (640, 480)
    rows, commits, rates = [], {}, {"cpu": measure_cpu()}
    for name in model or model_names():
        engine = load_engine(name, engine="onnx", threads=threads)
        _, motion, _ = read_model(name)
        assert motion is not None
        channels, macs = (int(engine.metadata[f"rtmag.{key}"]) for key in ("channels", "macs"))
        took = profile_steps(motion, channels, extent, threads, rounds)
        rates = best_rates(rates, {"cpu": measure_cpu()})
        rate = macs * extent[0] * extent[1] / took["convolution"] * 1e3
        rows.append({
            "model": engine.name, "width": extent[0], "height": extent[1],
            "ms": {kind: round(ms, 2) for kind, ms in took.items()},
            "convolution_share": round(rate / rates["cpu"].gemm, 3),
        })  # fmt: skip
        commits[engine.name] = training_commit(engine)
    document = {"benchmark": "operators", **machine(), "commits": commits, "rows": rows}
    if out:
        out.write_text(json.dumps(document, indent=2) + "\n")
    print(json.dumps(document))


if __name__ == "__main__":
    typer.run(main)
