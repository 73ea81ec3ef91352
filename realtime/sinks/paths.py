"""What outputs are called. Nothing that exists is written over unless that was asked for.

Questions about paths are asked of os.path, which answers no where pathlib raises: names too long,
folders that may not be read. Whoever opens the file then tells the reason.
"""

import os
from pathlib import Path

from rtmag.realtime.errors import OptionError, SinkUnavailable, SourceUnavailable
from rtmag.realtime.media.encoder import FILE_TYPES
from rtmag.realtime.sources.opening import is_pattern

SIGNATURE = "rtmag "
"""How the comment in every output of `rtmag file` begins."""


def beside(source: Path, alpha: float, folder: Path | None = None) -> Path:
    """The output's name for an input: clip.mov -> clip.mag20.mov, in its folder or another.

    A kind of file that cannot be written becomes an mp4, and so does a folder of images.
    """
    if is_pattern(source.name) and not os.path.lexists(source):
        source = source.parent  # a pattern: pictures of this folder
    if source.name in ("", ".."):
        source = source.resolve()
    folder_of_pictures = os.path.isdir(source)
    keep = source.suffix.lower() in FILE_TYPES and not folder_of_pictures
    name = source.name if folder_of_pictures else source.stem
    return (folder or source.parent) / f"{name}.mag{alpha:g}{source.suffix if keep else '.mp4'}"


def numbered(prefix: Path, suffixes: tuple[str, ...]) -> Path:
    """The prefix, or prefix-2, prefix-3 ..., for which none of the suffixes exists yet."""
    candidate, number = prefix, 1
    while any(with_suffix(candidate, suffix).exists() for suffix in suffixes):
        number += 1
        candidate = prefix.with_name(f"{prefix.name}-{number}")
    return candidate


def with_suffix(prefix: Path, suffix: str) -> Path:
    """The prefix with a suffix added; dots in its name stay."""
    return prefix.with_name(prefix.name + suffix)


def check_kind(output: Path) -> None:
    """Refuse a name whose ending says no kind of video that can be written.

    Raises:
        OptionError: another ending.
    """
    if output.suffix.lower() not in FILE_TYPES:
        kinds = ", ".join(FILE_TYPES)
        raise OptionError(f"cannot write {str(output)!r}: the name must end in one of {kinds}")


def check_free(output: Path, *, overwrite: bool, source: Path | None = None) -> None:
    """Refuse an output that exists, is the input itself or has no folder to lie in.

    Raises:
        OptionError: the output is the input, or its kind is unknown.
        SinkUnavailable: it exists and `overwrite` is not given, or its folder does not exist.
    """
    named = f"cannot write {str(output)!r}"
    there = os.path.exists(output)
    if there and source is not None and os.path.exists(source) and output.samefile(source):
        raise OptionError(f"{named}: it is the input")
    if os.path.isdir(output):
        raise SinkUnavailable(f"{named}: it is a folder")
    check_kind(output)
    if os.path.lexists(output):
        if not os.path.isfile(output):
            raise SinkUnavailable(f"{named}: it is not a regular file")
        if not overwrite:
            raise SinkUnavailable(f"{named}: it exists; use --overwrite to replace it")
    if not os.path.isdir(output.parent):
        raise SinkUnavailable(f"{named}: no such folder: {str(output.parent)!r}")


def made_by_rtmag(path: Path) -> bool:
    """Whether a file is an output of ours, which its comment tells."""
    from rtmag.realtime.media.container import open_container

    try:
        with open_container(path) as container:
            tags = {key.lower(): value for key, value in container.metadata.items()}
            return tags.get("comment", "").startswith(SIGNATURE)
    except SourceUnavailable:
        return False


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, where they are missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = (error.strerror or "the system refused it").lower()
        raise SinkUnavailable(f"cannot make the folder {str(folder)!r}: {reason}") from error
