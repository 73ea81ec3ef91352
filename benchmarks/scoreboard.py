"""Tables made from the results of the quality benchmark (benchmarks/quality.py)."""

from statistics import mean
from typing import Any

UNFINISHED = {"oh2018": "oh2018, training not converged"}
"""Methods with this label in the quality table; the other tables leave them out."""


def gain_table(document: dict[str, Any]) -> str:
    """Measured gain over alpha: a row per model and motion, a column per alpha."""
    models = [name for name in document["models"] if name not in UNFINISHED]
    rows = [row for row in document["gain"] if row["method"] in models]
    alphas = sorted({row["alpha"] for row in rows})
    gains = {
        (r["method"], r["motion"], r["alpha"]): f"{r['gain']:.2f} ({r['worst']:.2f})" for r in rows
    }
    lines = ["| model | motion | " + " | ".join(f"alpha {alpha:g}" for alpha in alphas) + " |"]
    lines.append("|---" * (len(alphas) + 2) + "|")
    for model in models:
        for motion in sorted({row["motion"] for row in rows}):
            cells = [gains[model, motion, alpha] for alpha in alphas]
            lines.append(f"| `{model}` | {motion:g} px | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def scales_table(document: dict[str, Any]) -> str:
    """Range of the same gains for each motion scale."""
    gains = _by_method(_finished(document["gain"]))
    names = [name for name in gains if name.partition(" ")[0] in document["models"]]
    lines = ["| model, motion scale | averages over pictures | single pictures |", "|---|---|---|"]
    for name in names:
        means = [row["gain"] for row in gains[name]]
        singles = [row["worst"] for row in gains[name]] + means
        lines.append(
            f"| {name} | {min(means):.2f} to {max(means):.2f} "
            f"| {min(singles):.2f} to {max(singles):.2f} |"
        )
    return "\n".join(lines)


def band_table(document: dict[str, Any]) -> str:
    """Designed and measured gains along each band at alpha 20, for one object and for two."""
    alone, pairs = (_finished(document[part]) for part in ("band", "beside"))
    bands = dict.fromkeys((row["fl"], row["fh"], row["order"]) for row in alone)
    return "\n\n".join(_along(band, _of(alone, band), _of(pairs, band)) for band in bands)


def _along(
    band: tuple[float, float, int], alone: list[dict[str, Any]], pairs: list[dict[str, Any]]
) -> str:
    fl, fh, order = band
    rates = list(dict.fromkeys(row["hz"] for row in alone))
    inner, outer = dict.fromkeys(row["hz"] for row in pairs)
    named = [f"{hz:.3g} Hz" for hz in rates]
    named += [f"{inner:.3g} Hz, next to {outer:g} Hz", f"{outer:g} Hz, next to {inner:.3g} Hz"]
    lines = [f"| gain, `--fl {fl:g} --fh {fh:g} --order {order}` | " + " | ".join(named) + " |"]
    lines.append("|---" * (len(named) + 1) + "|")
    gains = _by_method([*alone, *pairs])
    designed = [f"{row['designed']:.2f}" for row in next(iter(gains.values()))]
    lines.append("| as designed | " + " | ".join(designed) + " |")
    for method, rows in gains.items():
        cells = [f"{row['gain']:.2f}" for row in rows]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _of(rows: list[dict[str, Any]], band: tuple[float, float, int]) -> list[dict[str, Any]]:
    return [row for row in rows if (row["fl"], row["fh"], row["order"]) == band]


def _by_method(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    methods = dict.fromkeys(row["method"] for row in rows)
    return {name: [row for row in rows if row["method"] == name] for name in methods}


def quality_table(document: dict[str, Any]) -> str:
    """SSIM and MAE of every method, averaged over each set, and errors of still pixels."""
    pairs, sequences = document["pairs"], document["sequences"]
    sets = list(dict.fromkeys(row["set"] for row in pairs))
    names = [*sets, "clips", "leak", "flicker", "flicker near motion", "alpha 1"]
    lines = ["| SSIM / MAE of 255 | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for steadiness in document["steadiness"]:
        method = steadiness["method"]
        groups = [[r for r in pairs if (r["method"], r["set"]) == (method, s)] for s in sets]
        clips = [row for row in sequences if row["method"] == method]
        cells = [
            f"{_mean(rows, 'ssim'):.3f} / {255 * _mean(rows, 'mae'):.1f}"
            for rows in [*groups, clips]
        ]
        still = next(rows for name, rows in zip(sets, groups, strict=True) if name == "static")
        cells += [f"{_mean(still, 'leak'):.1f}", f"{steadiness['flicker']:.2f}"]
        cells += [f"{row['flicker']:.2f}" for row in clips if row["filter"] == "temporal"]
        name = UNFINISHED.get(method, method)
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {steadiness['identity']} |")
    return "\n".join(lines)


def scene_table(document: dict[str, Any]) -> str:
    """Gains and errors in the scene of `rtmag demo`."""
    rows = _finished(document["scene"])
    things = list(rows[0]["gain"])
    lines = [
        "| scene of `rtmag demo`, alpha 20 | "
        + " | ".join(f"gain of the {thing}" for thing in things)
        + " | error of still pixels before | after |"
    ]
    lines.append("|---" * (len(things) + 3) + "|")
    for row in rows:
        gains = " | ".join(f"{times:.1f}" for times in row["gain"].values())
        lines.append(f"| `{row['method']}` | {gains} | {row['noise']:.2f} | {row['shown']:.2f} |")
    return "\n".join(lines)


def _finished(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["method"] not in UNFINISHED]


def _mean(rows: list[dict[str, Any]], name: str) -> float:
    return float(mean(row[name] for row in rows))
