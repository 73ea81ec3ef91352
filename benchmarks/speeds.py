"""Tables made from the results of `python -m benchmarks.fps`."""

from typing import Any

STREAMS_SUFFIX = "-streams"
"""Suffix of the names of graphs that take several streams in one run."""
ENGINES = {
    "cpu": "ONNX Runtime",
    "openvino": "OpenVINO",
    "cuda": "ONNX Runtime, CUDA",
    "torch cpu": "PyTorch",
    "torch cuda": "PyTorch, CUDA",
    "numpy": "NumPy, OpenCV",
}


def fps_table(document: dict[str, Any]) -> str:
    """Time per step of one stream by model, with its lower bound and speed-up."""
    lines = [
        "| model | engine | motion scale | size | median step | 95th percentile | 99th "
        f"| fps | bound | bound / step | speed-up over `{document['baseline']}` |"
    ]
    lines.append("|---" * 11 + "|")
    rows = [row for row in document["rows"] if row.get("streams", 1) == 1]
    for row in rows:
        network = row["macs_per_px"] is not None
        name = f"`{row['model']}`" if network else row["model"]
        floor = f"{row['floor_ms']:.1f} ms | {row['floor_share']:.0%}" if network else " | "
        lines.append(
            f"| {name} | {_engine(row)} "
            f"| {row['motion_scale']:g} | {row['width']}x{row['height']} "
            f"| {row['p50_ms']:.1f} ms | {row['p95_ms']:.1f} ms | {row['p99_ms']:.1f} ms "
            f"| {row['fps']:.1f} | {floor} | {row['speed']:.1f} |"
        )
    machine, versions, rates = document["machine"], document["versions"], document["floor"]
    baseline = document["baseline"]
    lines.append(
        f"\n{machine['cores']} cores of {machine['cpu']}, ONNX Runtime "
        f"{versions['onnxruntime']}. The bound is the roofline of this machine: "
        f"{rates['gemm'] / 1e9:.0f} billion multiply-accumulates per second (large matrix "
        f"product) and {rates['copy'] / 1e9:.0f} GB/s (large copy). The speed-up compares with "
        f"`{baseline}` on the same engine; for classical methods, on its fastest engine."
    )
    return "\n".join(lines)


def batch_table(document: dict[str, Any]) -> str:
    """Cost of a stream among several: one step for each, or one run for all."""
    rows = [row for row in document["rows"] if row["model"] != document["baseline"]]
    # The result also holds graphs for several streams that were stepped one after another.
    rows = [
        r for r in rows if r["macs_per_px"] and r["together"] == r["model"].endswith(STREAMS_SUFFIX)
    ]
    counts = sorted({row["streams"] for row in rows})
    cells: dict[tuple[Any, ...], dict[int, str]] = {}
    for row in rows:
        model, order = (
            row["model"].removesuffix(STREAMS_SUFFIX),
            ("one after another", "one run")[row["together"]],
        )
        size = f"{row['width']}x{row['height']}"
        key = size, model, _engine(row), -row["motion_scale"], order
        cell = f"{row['stream_ms']:.1f} ms, {row['streams_fps']:.1f}"
        cells.setdefault(key, {})[row["streams"]] = cell
    lines = ["| model | engine | motion scale | size | streams run | "]
    lines[0] += " | ".join(f"{n} stream{'s' * (n > 1)}" for n in counts) + " |"
    lines.append("|---" * (5 + len(counts)) + "|")
    for key in sorted(cells, key=lambda key: (*key[:-1], key[-1] == "one run")):
        size, model, engine, scale, order = key
        cell = " | ".join(cells[key].get(n, "") for n in counts)
        lines.append(f"| `{model}` | {engine} | {-scale:g} | {size} | {order} | {cell} |")
    machine = document["machine"]
    lines.append(f"\n{machine['cores']} cores of {machine['cpu']}.")
    return "\n".join(lines)


def _engine(row: dict[str, Any]) -> str:
    """Engine, and its precision if the result has it."""
    return ", ".join(filter(None, (ENGINES[row["provider"]], row.get("precision"))))
