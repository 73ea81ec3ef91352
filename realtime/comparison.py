"""Two results of a benchmark side by side: `rtmag bench --compare`, and how results are read."""

import json
from pathlib import Path
from typing import Any

from rtmag.realtime.errors import OptionError

Key = tuple[str, str, float, int, int, int, bool]
"""Model, what runs it where that is not the same for all, motion scale, width, height, streams,
and whether those are taken at once."""


def report(document: dict[str, Any]) -> list[str]:
    """A line per row."""
    keys = _keys(document)
    lines = []
    wide = max(28, *(len(_named(key)) for key in keys))
    for key, row in zip(keys, document["rows"], strict=True):
        share = "" if row["floor_ms"] is None else f", {row['floor_share']:4.0%} of its floor"
        merit = "" if row.get("streams", 1) == 1 else f", {row['streams_fps']:.1f} streams x fps"
        lines.append(
            f"{_named(key):{wide}} {row['p50_ms']:8.2f} ms (95 %: {row['p95_ms']:.2f}, "
            f"99 %: {row['p99_ms']:.2f}) {row['fps']:7.1f} fps{merit}{share}, "
            f"{row['speed']:.1f} x {document['baseline']}"
        )
    return lines


def read_results(path: Path) -> dict[str, Any]:
    """What `rtmag bench --out` wrote.

    Raises:
        OptionError: the file is not there, or something else.
    """
    try:
        document = json.loads(path.read_text())
        assert document["benchmark"] == "fps"
        _keys(document), [float(row["p50_ms"]) for row in document["rows"]]
    except OSError as error:
        raise OptionError(f"cannot read {str(path)!r}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise OptionError(
            f"cannot compare {str(path)!r}: not a result of rtmag bench --out"
        ) from error
    return dict(document)


def compare(before: Path, after: Path) -> list[str]:
    """How many times faster the second result is, row by row.

    Raises:
        OptionError: a file is none of ours, or they have no row in common.
    """
    old, new = (read_results(path) for path in (before, after))
    times = {key: row["p50_ms"] for key, row in zip(_keys(old), old["rows"], strict=True)}
    common = [pair for pair in zip(_keys(new), new["rows"], strict=True) if pair[0] in times]
    if not common:
        raise OptionError(f"cannot compare {str(before)!r} and {str(after)!r}: no row in common")
    lines = []
    if old["machine"] != new["machine"]:
        lines.append("not the same machine: ratios say as much about it as about rtmag")
    for key, row in common:
        was, now = times[key], row["p50_ms"]
        lines.append(f"{_named(key):28} {was:8.2f} ms -> {now:8.2f} ms  {was / now:5.2f} x")
    return lines


def _keys(document: dict[str, Any]) -> list[Key]:
    """What tells the rows apart. One engine is not named, so that two results compare engines."""
    rows = document["rows"]
    several = len({row.get("provider") for row in rows}) > 1
    return [
        (
            str(row["model"]),
            str(row["provider"]) if several else "",
            float(row["motion_scale"]),
            int(row["width"]),
            int(row["height"]),
            int(row.get("streams", 1)),  # missing in results of before
            bool(row.get("together", False)),
        )
        for row in rows
    ]


def _named(key: Key) -> str:
    model, provider, scale, width, height, streams, together = key
    label = model if scale == 1 else f"{model} 1/{1 / scale:.0f}"
    several = "" if streams == 1 else f"{streams} streams"
    at_once = "at once" if together else ""
    return " ".join(filter(None, (label, provider, f"{width}x{height}", several, at_once)))
