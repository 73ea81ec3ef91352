"""Writes the README's tables from committed results: `python -m benchmarks.tables`.

A table stands between `<!-- NAME -->` and `<!-- /NAME -->`, and comes from
benchmarks/results/NAME.json. A test holds the README to the JSON.
"""

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def fps_table(document: dict[str, Any]) -> str:
    """Milliseconds per step and model, and how many times faster than oh2018."""
    lines = [
        "| model | size | median step | 95 % below | frames per second | speed over `oh2018` |"
    ]
    lines.append("|---|---|---|---|---|---|")
    for row in document["rows"]:
        lines.append(
            f"| `{row['model']}` | {row['width']}x{row['height']} | {row['p50_ms']:.1f} ms "
            f"| {row['p95_ms']:.1f} ms | {row['fps']:.1f} | {row['speed_over_oh2018']:.1f} |"
        )
    machine, versions = document["machine"], document["versions"]
    lines.append(
        f"\n{machine['cores']} cores of {machine['cpu']}, ONNX Runtime "
        f"{versions['onnxruntime']}, provider {document['provider']}."
    )
    return "\n".join(lines)


def gain_table(document: dict[str, Any]) -> str:
    """Realised over asked magnification: a row per motion, a column per alpha."""
    rows = document["rows"]
    alphas = sorted({row["alpha"] for row in rows})
    gains = {(row["motion"], row["alpha"]): f"{row['gain']:.2f}" for row in rows}
    lines = ["| motion | " + " | ".join(f"alpha {alpha:g}" for alpha in alphas) + " |"]
    lines.append("|---" * (len(alphas) + 1) + "|")
    for motion in sorted({row["motion"] for row in rows}):
        cells = [gains.get((motion, alpha), "") for alpha in alphas]
        lines.append(f"| {motion:g} px | " + " | ".join(cells) + " |")
    return "\n".join(lines)


TABLES = {"fps": fps_table, "gain": gain_table}


def filled(text: str) -> str:
    """The README with every table made anew."""
    for name, table in TABLES.items():
        path = RESULTS / f"{name}.json"
        if path.exists():
            body = table(json.loads(path.read_text()))
            pattern = rf"(<!-- {name} -->).*?(<!-- /{name} -->)"
            text = re.sub(pattern, lambda m, b=body: f"{m[1]}\n{b}\n{m[2]}", text, flags=re.DOTALL)
    return text


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(filled(readme.read_text()))
