"""The list of what moves in a clip, as lines of text and as JSON."""

import json
from collections.abc import Sequence
from pathlib import Path

from rtmag.realtime.analysis.finding import Line
from rtmag.realtime.atomic import atomic_write
from rtmag.realtime.errors import SinkError
from rtmag.realtime.filters import Band
from rtmag.realtime.report.table import aligned

NOTHING_FOUND = "nothing stands above the noise"

HEAD = ("frequency", "amplitude", "share", "at x,y", "")


def found_lines(lines: Sequence[Line]) -> list[str]:
    """Return one line of text for each frequency, those that are not real after a heading."""
    real = [line for line in lines if line.real]
    false = [line for line in lines if not line.real]
    text = aligned([HEAD, *map(_row, real)]) if real else [NOTHING_FOUND]
    if false:
        text += ["not motion of the scene:", *aligned([_row(line) for line in false])]
    return text


def _row(line: Line) -> tuple[str, ...]:
    """Return the cells of a line of the table."""
    x, y = line.at
    return (
        f"{line.hz:.4g} Hz", f"{line.px:.3g} px", f"{100 * line.share:.2g} %",
        f"{x:.0f},{y:.0f}", line.note,
    )  # fmt: skip


def found_sentence(lines: Sequence[Line], band: Band | None) -> str:
    """Return what was found, for the user."""
    if band is None:
        return NOTHING_FOUND
    line = next(each for each in lines if each.real)
    x, y = line.at
    return (
        f"{line.hz:.4g} Hz with {line.px:.3g} px at {x:.0f},{y:.0f}; the band is "
        f"{band[0]:.4g}-{band[1]:.4g} Hz"
    )


def found_json(lines: Sequence[Line]) -> str:
    """Return the lines as JSON text: {"lines": [{"hz", "px", "share", "at", "real", "note"}]}."""
    return json.dumps({"lines": [line.data() for line in lines]}, indent=2)


def write_found(path: Path, lines: Sequence[Line]) -> None:
    """Write the lines as a JSON file.

    Raises:
        SinkError: the file cannot be written.
    """
    try:
        with atomic_write(path) as part:
            part.write_text(found_json(lines) + "\n", encoding="utf-8")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SinkError(f"cannot write {str(path)!r}: {reason}") from error
