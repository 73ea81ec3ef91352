"""Arguments of `rtmag file` as jobs: one input and one output each.

A folder or a pattern of videos becomes a job for each video. A folder or a pattern of pictures is
one input.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rtmag.realtime.errors import OptionError, SourceUnavailable
from rtmag.realtime.sinks.paths import made_by_rtmag, output_path
from rtmag.realtime.sinks.pipe import STDOUT
from rtmag.realtime.sources.image_folder import is_picture, natural_key
from rtmag.realtime.sources.opening import is_pattern, matching_files
from rtmag.realtime.sources.source import scheme_of

_VIDEO_SUFFIXES = (
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg",
    ".vob", ".flv", ".wmv", ".asf", ".3gp", ".3g2", ".ogv", ".mxf", ".nut", ".y4m", ".gif", ".dv",
    ".h264", ".264", ".hevc", ".h265", ".265", ".mjpeg", ".mjpg", ".m2v", ".ivf", ".obu",
)  # fmt: skip
"""Suffixes of the files that are taken from a folder or a pattern of videos."""


@dataclass(frozen=True, slots=True)
class Job:
    """One input and its output."""

    source: Path
    output: Path
    folder: Path | None = None
    """Folder to make for the output; None: it exists."""


def plan(
    paths: Sequence[str], output: str | None, alpha: float, notice: Callable[[str], None]
) -> list[Job]:
    """Return a job for each input.

    Args:
        paths: inputs. The second of two paths is the output if it does not exist or was written by
            rtmag. Any other existing file may be a second input: the arguments are ambiguous.
        output: a folder, or a file if there is one input; None: next to each input.
        alpha: part of the names of the outputs.
        notice: prints the names of inputs that are left out.

    Raises:
        OptionError: the arguments are ambiguous, or two inputs would have the same output.
        SourceUnavailable: an input is the address of a stream.
    """
    if output is None and len(paths) == 2 and not _matches(paths[1]):
        paths, output = _split(*paths)
    _refuse_addresses(paths, output)
    paths = _without_outputs([each for path in paths for each in _expand(path, notice)], notice)
    if output is None:
        return _distinct([Job(Path(path), output_path(Path(path), alpha)) for path in paths])
    target = Path(output)
    if output == STDOUT:
        if len(paths) != 1:
            raise OptionError(
                f"-o - writes one video to stdout, got {len(paths)} inputs; give -o FOLDER"
            )
        return [Job(Path(paths[0]), target)]
    if len(paths) == 1 and not target.is_dir() and target.suffix and not output.endswith("/"):
        return [Job(Path(paths[0]), target)]
    if target.exists() and not target.is_dir():
        raise OptionError(f"-o {output!r} is a file: several inputs need a folder, give -o FOLDER")
    return _distinct([Job(Path(p), output_path(Path(p), alpha, target), target) for p in paths])


def _split(first: str, second: str) -> tuple[list[str], str]:
    """Return the input and the output that two paths mean."""
    if os.path.isfile(second) and not made_by_rtmag(Path(second)):
        raise OptionError(
            f"{second!r} exists: to magnify both files give -o FOLDER, "
            f"to replace it give -o {second!r} --overwrite"
        )
    return [first], second


def _refuse_addresses(paths: Sequence[str], output: str | None) -> None:
    """Raise an error if a path is an address; it is not repeated, as it may have a password."""
    for path in paths:
        if (scheme := scheme_of(path)) is not None:
            raise SourceUnavailable(
                f"cannot open {scheme}://... as a file: it is an address; use rtmag stream "
                "ADDRESS, or download it first"
            )
    if output is not None and (scheme := scheme_of(output)) is not None:
        raise OptionError(f"cannot write to {scheme}://...: the output must be a file")


def _is_only_pattern(path: str) -> bool:
    """True if a path is a pattern, and neither an address nor the name of a file."""
    return is_pattern(path) and not os.path.lexists(path) and scheme_of(path) is None


def _matches(path: str) -> bool:
    """True if a path is a pattern of files that exist; '100%done.mp4' may be a new file."""
    return _is_only_pattern(path) and bool(matching_files(path))


def _expand(path: str, notice: Callable[[str], None]) -> list[str]:
    """Return the videos of a folder or a pattern; the path itself if it has pictures or neither."""
    if os.path.isdir(path):
        found = _content(Path(path))
    elif _is_only_pattern(path):
        found = matching_files(path)
    else:
        return [path]
    videos = [str(file) for file in sorted(found, key=natural_key) if _is_video(file)]
    if not videos or not any(map(is_picture, found)):
        return videos or [path]
    notice(
        f"warning: {path!r} contains pictures and videos; the pictures are magnified, "
        "give the names of the videos to magnify them"
    )
    return [path]


def _content(folder: Path) -> list[Path]:
    """Return the files of a folder that are not hidden; none if it cannot be read."""
    try:
        return [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError:
        return []


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in _VIDEO_SUFFIXES and os.path.isfile(path)


def _without_outputs(paths: list[str], notice: Callable[[str], None]) -> list[str]:
    """Return several inputs without the outputs of earlier runs, unless all of them are outputs."""
    made = [path for path in paths if made_by_rtmag(Path(path))] if len(paths) > 1 else []
    if len(made) in (0, len(paths)):
        return paths
    for path in made:
        notice(f"skipped: {path!r} is an output of rtmag")
    return [path for path in paths if path not in made]


def _distinct(jobs: list[Job]) -> list[Job]:
    """Return the jobs; raises OptionError if two of them have the same output."""
    seen: dict[Path, Path] = {}
    for job in jobs:
        if job.output in seen:
            pair = f"{str(seen[job.output])!r} and {str(job.source)!r}"
            raise OptionError(
                f"{pair} would both be written to {str(job.output)!r}: magnify them separately"
            )
        seen[job.output] = job.source
    return jobs
