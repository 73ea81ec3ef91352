"""Results of `rtmag bench`: print one, read one, compare two (`rtmag bench --compare`)."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from rtmag.realtime.errors import OptionError
from rtmag.realtime.regular_file import read_regular


class Key(NamedTuple):
    """The properties that identify a row of a result.

    Provider and precision are empty if the rows are distinct without them. So two results on
    different runtimes or in different precisions can be compared.
    """

    model: str
    provider: str
    precision: str
    scale: float
    width: int
    height: int
    streams: int
    together: bool
    """True if all streams were computed in one run."""

    def __str__(self) -> str:
        label = self.model if self.scale == 1 else f"{self.model} 1/{1 / self.scale:.0f}"
        size = f"{self.width}x{self.height}"
        streams = "" if self.streams == 1 else f"{self.streams} streams"
        together = "in one run" if self.together else ""
        parts = (label, self.provider, self.precision, size, streams, together)
        return " ".join(filter(None, parts))


def report(document: dict[str, Any]) -> list[str]:
    """Lines to print, one per row of a result of `rtmag bench`."""
    keys = [key._replace(precision="") for key in _keys(document)]  # printed at the line's end
    lines = []
    width = max(28, *(len(str(key)) for key in keys))
    for key, row in zip(keys, document["rows"], strict=True):
        share = ""
        if row["floor_ms"] is not None:
            share = f", {row['floor_share']:4.0%} of the roofline"
        total = "" if row.get("streams", 1) == 1 else f", {row['streams_fps']:.1f} streams x fps"
        precision = f", {row['precision']}" if row.get("precision") else ""
        lines.append(
            f"{key!s:{width}} {row['p50_ms']:8.2f} ms (95 %: {row['p95_ms']:.2f}, "
            f"99 %: {row['p99_ms']:.2f}) {row['fps']:7.1f} fps{total}{share}, "
            f"{row['speed']:.1f} x {document['baseline']}{precision}"
        )
    return lines


def read_results(path: Path) -> dict[str, Any]:
    """Read a file that `rtmag bench --out` wrote.

    Raises:
        OptionError: the file does not exist, or is not such a file.
    """
    try:
        document = json.loads(read_regular(path, 1 << 24))
        if document["benchmark"] != "fps":
            raise ValueError("another benchmark")
        _keys(document), [float(row["p50_ms"]) for row in document["rows"]]
    except OSError as error:
        raise OptionError(f"cannot read {str(path)!r}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise OptionError(
            f"cannot compare {str(path)!r}: not a result of rtmag bench --out"
        ) from error
    return dict(document)


def compare(before: Path, after: Path) -> list[str]:
    """The speed of the second result relative to the first, row by row.

    Raises:
        OptionError: a file is not a result, or the results have no row in common.
    """
    old, new = (read_results(path) for path in (before, after))
    times = {key: row["p50_ms"] for key, row in zip(_keys(old), old["rows"], strict=True)}
    common = [pair for pair in zip(_keys(new), new["rows"], strict=True) if pair[0] in times]
    if not common:
        raise OptionError(f"cannot compare {str(before)!r} and {str(after)!r}: no row in common")
    lines = []
    if old["machine"] != new["machine"]:
        lines.append("warning: the results are from different machines")
    for key, row in common:
        old_ms, new_ms = times[key], row["p50_ms"]
        lines.append(f"{key!s:28} {old_ms:8.2f} ms -> {new_ms:8.2f} ms  {old_ms / new_ms:5.2f} x")
    return lines


def _keys(document: dict[str, Any]) -> list[Key]:
    """The key of each row.

    The provider is included if there are several, and the precision if keys would be equal without.
    """
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
            streams=int(row.get("streams", 1)),  # absent in older results
            together=bool(row.get("together", False)),
        )
        for row in rows
    ]
    return [
        key._replace(precision=row.get("precision") or "") if keys.count(key) > 1 else key
        for key, row in zip(keys, rows, strict=True)
    ]
