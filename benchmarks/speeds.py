"""The tables that are made of results of `python -m benchmarks.fps`."""

from typing import Any

AT_ONCE = "-streams"
"""How names end of graphs that take several streams in one run."""
ENGINES = {
    "cpu": "ONNX Runtime",
    "openvino": "OpenVINO",
    "cuda": "ONNX Runtime, CUDA",
    "torch cpu": "PyTorch",
    "torch cuda": "PyTorch, CUDA",
    "numpy": "NumPy, OpenCV",
}


def fps_table(document: dict[str, Any]) -> str:
    """Milliseconds per step of one stream and model, how near to the floor, how much faster."""
    lines = [
        "| model | engine | motion scale | size | median step | 95 % below | 99 % below "
        f"| frames per second | floor | its share | speed over `{document['baseline']}` |"
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
        f"{versions['onnxruntime']}; the floor is made of "
        f"{rates['gemm'] / 1e9:.0f} billion multiply-accumulates a second in a large matrix "
        f"product and {rates['copy'] / 1e9:.0f} GB/s in a large copy. Speed is over `{baseline}` "
        "on the same engine; that of the classical methods, over it where it is fastest."
    )
    return "\n".join(lines)


def batch_table(document: dict[str, Any]) -> str:
    """What a stream costs beside others: each in a step of its own, or all in one."""
    rows = [row for row in document["rows"] if row["model"] != document["baseline"]]
    # Of graphs that take several at once, the rest is there to be compared with in the result.
    rows = [r for r in rows if r["macs_per_px"] and r["together"] == r["model"].endswith(AT_ONCE)]
    counts = sorted({row["streams"] for row in rows})
    cells: dict[tuple[Any, ...], dict[int, str]] = {}
    for row in rows:
        model, taken = row["model"].removesuffix(AT_ONCE), ("in turn", "at once")[row["together"]]
        size = f"{row['width']}x{row['height']}"
        key = size, model, _engine(row), -row["motion_scale"], taken
        told = f"{row['stream_ms']:.1f} ms, {row['streams_fps']:.1f}"
        cells.setdefault(key, {})[row["streams"]] = told
    lines = ["| model | engine | motion scale | size | streams are taken | "]
    lines[0] += " | ".join(f"{n} stream{'s' * (n > 1)}" for n in counts) + " |"
    lines.append("|---" * (5 + len(counts)) + "|")
    for key in sorted(cells, key=lambda key: (*key[:-1], key[-1] == "at once")):
        size, model, engine, scale, taken = key
        told = " | ".join(cells[key].get(n, "") for n in counts)
        lines.append(f"| `{model}` | {engine} | {-scale:g} | {size} | {taken} | {told} |")
    machine = document["machine"]
    lines.append(f"\n{machine['cores']} cores of {machine['cpu']}.")
    return "\n".join(lines)


def _engine(row: dict[str, Any]) -> str:
    """What ran it, and in which precision where the result tells."""
    return ", ".join(filter(None, (ENGINES[row["provider"]], row.get("precision"))))
