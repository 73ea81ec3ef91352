"""The files of a measurement: checked before the run, written under a temporary name after it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Literal, TextIO

from rtmag.realtime.atomic import atomic_write
from rtmag.realtime.errors import OptionError, SinkError, requires_extra
from rtmag.realtime.opencv import cv2
from rtmag.realtime.report.contents import ReportContents
from rtmag.realtime.report.data import write_csv, write_json
from rtmag.realtime.sinks.paths import check_free, unused_prefix, with_suffix
from rtmag.realtime.sinks.pipe import STDOUT
from rtmag.realtime.view.motion_map import MapKind

Kind = Literal["csv", "json", "uff", "plot", "report", "map", "phase"]

_TEXTS = {"csv": write_csv, "json": write_json}
"""The kinds that can go to standard output."""

_SUFFIXES = {
    "plot": (".png", ".pdf"), "map": (".png",), "phase": (".png",), "report": (".html", ".htm"),
}  # fmt: skip
"""Suffixes of the kinds that do not allow any."""


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """The files to write, in this order."""

    paths: Mapping[Kind, Path]
    """By kind; `-` is standard output, for CSV and JSON."""
    overwrite: bool = False
    """True to replace files that exist."""

    def check(self, source: str) -> None:
        """Check before a run that all files can be written.

        Args:
            source: name or path of the input, which is never replaced.

        Raises:
            OptionError: a suffix is not that of the kind, a file is the input, or two are the same.
            SinkUnavailable: a file exists and `overwrite` is False, or its folder does not exist.
            MissingExtra: a library is missing.
        """
        kinds: dict[Path, Kind] = {}
        for kind, path in self.paths.items():
            if _is_piped(kind, path):
                continue
            _writer(kind)
            check_free(
                path,
                overwrite=self.overwrite,
                source=Path(source),
                suffixes=_SUFFIXES.get(kind, ()),
            )
            other = kinds.setdefault(path.resolve(), kind)
            if other != kind:
                raise OptionError(f"cannot write {str(path)!r} twice: by --{other} and --{kind}")

    def write(self, contents: ReportContents, print_text: Callable[[str], None]) -> Iterator[Path]:
        """Write all files and yield the path of each when it is complete.

        A file that has appeared since `check` is kept; the new one has a number in its name.

        Args:
            contents: of all files.
            print_text: receives the text for standard output.

        Raises:
            SinkError: a file cannot be written.
        """
        for kind, path in self.paths.items():
            if _is_piped(kind, path):
                text = StringIO()
                _TEXTS[kind](contents, text)
                print_text(text.getvalue().removesuffix("\n"))
                continue
            if path.exists() and not self.overwrite:
                path = with_suffix(unused_prefix(path.with_suffix(""), (path.suffix,)), path.suffix)
            try:
                with atomic_write(path) as part:
                    _writer(kind)(contents, part)
            except OSError as error:
                reason = (error.strerror or str(error)).lower()
                raise SinkError(f"cannot write {str(path)!r}: {reason}") from error
            yield path


def _is_piped(kind: Kind, path: Path) -> bool:
    return kind in _TEXTS and str(path) == STDOUT


def _writer(kind: Kind) -> Callable[[ReportContents, Path], None]:
    """Return the function that writes a kind of file.

    Raises:
        MissingExtra: it needs a library that is not installed.
    """
    if kind in _TEXTS:
        return partial(_write_text, _TEXTS[kind])
    if kind == "map" or kind == "phase":
        return partial(_write_map, "amplitude" if kind == "map" else kind)
    with requires_extra(f"--{kind}", "uff" if kind == "uff" else "plot"):
        if kind == "uff":
            from rtmag.realtime.report.uff import write_uff

            return write_uff
        if kind == "plot":
            from rtmag.realtime.report.plots import write_plot

            return write_plot
        from rtmag.realtime.report.page import write_page

        return write_page


def _write_map(kind: MapKind, contents: ReportContents, path: Path) -> None:
    if contents.draw_map is None:
        raise OptionError(f"cannot draw the map {str(path)!r}: no displacement was measured")
    path.write_bytes(cv2.imencode(".png", contents.draw_map(kind))[1].tobytes())


def _write_text(
    write: Callable[[ReportContents, TextIO], None], contents: ReportContents, path: Path
) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        write(contents, file)
