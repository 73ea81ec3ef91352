"""Names of output files, and checks that no existing file is overwritten by accident.

The checks use os.path, because it returns False for names that are too long and for folders that
cannot be read, where pathlib raises an error. The reason is reported when the file is opened.
"""

import os
from collections.abc import Collection
from pathlib import Path

from rtmag.realtime.errors import OptionError, SinkUnavailable, SourceUnavailable
from rtmag.realtime.media.encoder import FILE_TYPES
from rtmag.realtime.sources.opening import is_pattern

SIGNATURE = "rtmag "
"""First characters of the comment in every output of `rtmag file`."""


def output_path(source: Path, alpha: float, folder: Path | None = None) -> Path:
    """Return the name of the output for an input: clip.mov becomes clip.mag20.mov.

    File types that cannot be written, and folders of pictures, become .mp4.

    Args:
        source: video file, folder of pictures or glob pattern.
        alpha: magnification factor, a part of the name.
        folder: folder of the output; by default the folder of the source.
    """
    if is_pattern(source.name) and not os.path.lexists(source):
        source = source.parent  # a pattern that matches pictures in this folder
    if source.name in ("", ".."):
        source = source.resolve()
    is_folder = os.path.isdir(source)
    keep = source.suffix.lower() in FILE_TYPES and not is_folder
    name = source.name if is_folder else source.stem
    return (folder or source.parent) / f"{name}.mag{alpha:g}{source.suffix if keep else '.mp4'}"


def unused_prefix(prefix: Path, suffixes: tuple[str, ...]) -> Path:
    """Return the first of PREFIX, PREFIX-2, PREFIX-3 ... that no file has with these suffixes."""
    candidate, number = prefix, 1
    while any(with_suffix(candidate, suffix).exists() for suffix in suffixes):
        number += 1
        candidate = prefix.with_name(f"{prefix.name}-{number}")
    return candidate


def with_suffix(prefix: Path, suffix: str) -> Path:
    """Append a suffix to the prefix; dots in its name are kept."""
    return prefix.with_name(prefix.name + suffix)


def check_suffix(output: Path, suffixes: Collection[str] = FILE_TYPES) -> None:
    """Check that the suffix is one of those that can be written.

    Args:
        output: path of the output file.
        suffixes: by default those of video files; empty: any.

    Raises:
        OptionError: the suffix is unknown.
    """
    if suffixes and output.suffix.lower() not in suffixes:
        raise OptionError(
            f"cannot write {str(output)!r}: the name must end in one of {', '.join(suffixes)}"
        )


def check_free(
    output: Path,
    *,
    overwrite: bool,
    source: Path | None = None,
    suffixes: Collection[str] = FILE_TYPES,
) -> None:
    """Check that an output file can be created without damage to an existing file.

    Args:
        output: path of the output file.
        overwrite: True if an existing regular file may be replaced.
        source: path of the input, which is never replaced.
        suffixes: those that are allowed; by default those of video files; empty: any.

    Raises:
        OptionError: the output is the input, or its file type is unknown.
        SinkUnavailable: it exists and `overwrite` is False, or its folder does not exist.
    """
    failure = f"cannot write {str(output)!r}"
    exists = os.path.exists(output)
    if exists and source is not None and os.path.exists(source) and output.samefile(source):
        raise OptionError(f"{failure}: it is the input")
    if os.path.isdir(output):
        raise SinkUnavailable(f"{failure}: it is a folder")
    check_suffix(output, suffixes)
    if os.path.lexists(output):
        if not os.path.isfile(output):
            raise SinkUnavailable(f"{failure}: it is not a regular file")
        if not overwrite:
            raise SinkUnavailable(f"{failure}: it exists; use --overwrite to replace it")
    if not os.path.isdir(output.parent):
        raise SinkUnavailable(f"{failure}: no such folder: {str(output.parent)!r}")


def made_by_rtmag(path: Path) -> bool:
    """True if a file is an output of `rtmag file`, according to its comment."""
    from rtmag.realtime.media.container import open_container

    try:
        with open_container(path) as container:
            tags = {key.lower(): value for key, value in container.metadata.items()}
            return tags.get("comment", "").startswith(SIGNATURE)
    except SourceUnavailable:
        return False


def make_folder(folder: Path) -> None:
    """Create a folder and its parents if they are missing.

    Raises:
        SinkUnavailable: the operating system refuses; the message has its reason.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = (error.strerror or "refused by the operating system").lower()
        raise SinkUnavailable(f"cannot create the folder {str(folder)!r}: {reason}") from error
