"""Copy what describes a file and its tracks: title, date, place, chapters, languages, flags.

Metadata about codecs and containers are left out, as they are not true of another file. FFmpeg
writes what the container of the output can hold.
"""

from fractions import Fraction

from av.container import InputContainer, OutputContainer
from av.stream import Stream

_TECHNICAL = {
    "comment",
    "compatible_brands",
    "duration",
    "encoder",
    "major_brand",
    "minor_version",
    "software",
}
"""Metadata of a file that are not copied. The comment is that of the program that writes a file."""

_OF_TRACKS = ("language", "title", "handler_name")
"""Metadata of a track that are copied."""


def copy_file_metadata(source: InputContainer, output: OutputContainer, shift: float) -> None:
    """Copy metadata and chapters of a file to an output whose header is not written yet.

    Args:
        source: the file.
        output: the container to write to.
        shift: seconds added to the times of chapters.
    """
    for key, value in source.metadata.items():
        if key.lower() not in _TECHNICAL:
            output.metadata[key.lower()] = value
    chapters = source.chapters()
    for chapter in chapters:
        base: Fraction = chapter["time_base"] or Fraction(1)
        chapter["start"] = max(chapter["start"] + round(shift / base), 0)
        chapter["end"] = max(chapter["end"] + round(shift / base), 0)
    output.set_chapters(chapters)


def copy_track_metadata(source: Stream, target: Stream) -> None:
    """Copy language, title and flags of a track, such as that of the default track."""
    tags = {key.lower(): value for key, value in source.metadata.items()}
    target.metadata.update({key: tags[key] for key in _OF_TRACKS if key in tags})
    target.disposition = source.disposition


def left_out(container: InputContainer) -> list[str]:
    """Return what an output does not have of the tracks of a file, as phrases."""
    phrases = []
    count = len(container.streams.subtitles)
    if count:
        phrases.append(
            f"has {count} subtitle track{'s' * (count > 1)}, which the output does not have"
        )
    if any("timecode" in map(str.lower, stream.metadata) for stream in container.streams):
        phrases.append("has a timecode, which the output does not have")
    return phrases
