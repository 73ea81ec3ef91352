"""Two results of a benchmark side by side: `rtmag bench --compare`, and how results are read."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from rtmag.realtime.errors import OptionError


class Key(NamedTuple):
    """What tells a row apart; what is the same for all is empty, so that results compare that."""

    model: str
    provider: str
    precision: str
    scale: float
    width: int
    height: int
    streams: int
    together: bool

    def __str__(self) -> str:
        label = self.model if self.scale == 1 else f"{self.model} 1/{1 / self.scale:.0f}"
        size = f"{self.width}x{self.height}"
        several = "" if self.streams == 1 else f"{self.streams} streams"
        at_once = "at once" if self.together else ""
        said = (label, self.provider, self.precision, size, several, at_once)
        return " ".join(filter(None, said))


def report(document: dict[str, Any]) -> list[str]:
    """A line per row."""
    keys = [key._replace(precision="") for key in _keys(document)]  # told of each below
    lines = []
    wide = max(28, *(len(str(key)) for key in keys))
    for key, row in zip(keys, document["rows"], strict=True):
        share = "" if row["floor_ms"] is None else f", {row['floor_share']:4.0%} of its floor"
        merit = "" if row.get("streams", 1) == 1 else f", {row['streams_fps']:.1f} streams x fps"
        told = f", {row['precision']}" if row.get("precision") else ""
        lines.append(
            f"{key!s:{wide}} {row['p50_ms']:8.2f} ms (95 %: {row['p95_ms']:.2f}, "
            f"99 %: {row['p99_ms']:.2f}) {row['fps']:7.1f} fps{merit}{share}, "
            f"{row['speed']:.1f} x {document['baseline']}{told}"
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
        lines.append(f"{key!s:28} {was:8.2f} ms -> {now:8.2f} ms  {was / now:5.2f} x")
    return lines


def _keys(document: dict[str, Any]) -> list[Key]:
    """A key of each row. One engine is not named, nor a precision that others tell apart."""
    rows = document["rows"]
    several = len({row.get("provider") for row in rows}) > 1
    keys = [
        Key(
            model=str(row["model"]),
            provider=str(row["provider"]) if several else "",
            precision="",
            scale=float(row["motion_scale"]),
            width=int(row["width"]),
            height=int(row["height"]),
            streams=int(row.get("streams", 1)),  # missing in results of before
            together=bool(row.get("together", False)),
        )
        for row in rows
    ]
    return [
        key._replace(precision=row.get("precision") or "") if keys.count(key) > 1 else key
        for key, row in zip(keys, rows, strict=True)
    ]
