"""Pictures as sources: the files of a folder, and the pages of TIFF stacks.

All pictures of more than 8 bits are scaled alike, by the range of values that the sequence uses,
see rtmag.realtime.media.depth.
"""

import os
import re
import struct
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.errors import SourceUnavailable
from rtmag.realtime.frame import Frame, Image
from rtmag.realtime.media.depth import SAMPLES, ValueRange, depth_note, used_range
from rtmag.realtime.media.image_size import (
    ANIMATED_WEBP,
    MAX_PIXELS,
    image_size,
    is_animation,
    too_large,
)
from rtmag.realtime.media.tiff import SIGNATURES, Directory, read_directories, select_page
from rtmag.realtime.opencv import cv2, quiet
from rtmag.realtime.sources.source import (
    DEFAULT_FPS,
    BaseSource,
    StoredFrame,
    StoredSource,
    check_rate,
)

_STACKS = (".tif", ".tiff")
"""Suffixes of files that may contain several pictures."""

_ANIMATIONS = (".png", ".webp")
"""Suffixes of files that may be animations."""

SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".bmp", *_STACKS, ".webp", ".jp2", ".pbm", ".pgm", ".ppm", ".pnm",
)  # fmt: skip
"""Suffixes of the files that are read; others are ignored."""

_MAX_BYTES = (1 << 31) - 1
"""Size of the largest file that OpenCV can decode."""


class _Picture(NamedTuple):
    path: Path
    page: Directory | None = None
    """A page of a TIFF file; None: the file is one picture."""


class ImageFolderSource(BaseSource):
    """Pictures in the natural order of their names: 'b10' comes after 'b9'.

    The pages of a TIFF file are pictures; its thumbnails are not. Pictures that are unreadable or
    too large are skipped and counted in `damaged`; the times of the other frames do not change.
    `notes` names an assumed frame rate, gaps in the numbers of the files, animations (left out),
    and pictures of more than 8 bits, which are scaled.

    Args:
        paths: a folder, whose hidden files are passed over, or the picture files.
        fps: pictures per second; 30 by default.
        max_pixels: larger pictures are not decoded.

    Raises:
        OptionError: `fps` is not a positive number.
        SourceUnavailable: there is no picture, or none can be read; the message says why.
    """

    live = False
    damaged = 0
    start = 0.0
    seekable = True

    def __init__(
        self,
        paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        *,
        fps: float | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        check_rate(fps)
        files = self._find_files(paths)
        self._pictures = [picture for file in files for picture in _pictures_of(file)]
        self.fps: float | None = fps or DEFAULT_FPS
        self.frames: int | None = len(self._pictures)
        self._dt = 1 / self.fps
        self.highest_fps: float | None = self.fps
        self.seconds = self.frames * self._dt
        """Seconds from the first picture to the end of the last."""
        self._max_pixels = max_pixels
        self._refusal: str | None = None
        self._stack: tuple[Path, NDArray[np.uint8]] | None = None
        """The last file with several pages, and its content."""
        self._range: ValueRange | None = None
        """The values of pictures of more than 8 bits that become black and white."""
        self._closed = False
        if fps is None:
            self.notes += (
                f"has no frame rate; {self.fps:g} frames/s are assumed, --fps sets another",
            )
        self._note_gaps(files)
        first = next(
            (image for image in map(self._read, self._pictures) if image is not None), None
        )
        if first is None:
            reason = self._refusal or f"cannot open {self.name!r}: none of its pictures can be read"
            raise SourceUnavailable(reason)
        self.size = (first.shape[1], first.shape[0])

    def _find_files(
        self, paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
    ) -> list[Path]:
        """Return the picture files in order, and set the name of the source."""
        if isinstance(paths, (str, os.PathLike)):
            self.name = str(paths)
            files = [file for file in _files_of(Path(paths)) if not file.name.startswith(".")]
        else:
            files = [Path(path) for path in paths]
            single = len(files) == 1
            self.name = str(files[0] if single else files[0].parent) if files else "no pictures"
        found = sorted((file for file in files if is_picture(file)), key=natural_key)
        files = [file for file in found if not _is_animated(file)]
        if len(files) < len(found):
            first = next(file.name for file in found if file not in files)
            self.notes += (
                f"contains animations, which are left out ({len(found) - len(files)}, such as "
                f"{first!r}): an animated PNG is read by its own name; {ANIMATED_WEBP}",
            )
        if not files:
            suffixes = ", ".join(SUFFIXES)
            reason = f"it contains no pictures ({suffixes})"
            raise SourceUnavailable(
                f"cannot open {self.name!r}: {self.notes[0] if self.notes else reason}"
            )
        return files

    def _note_gaps(self, files: Sequence[Path]) -> None:
        missing, last = missing_numbers(files)
        if missing:
            self.notes += (
                f"has gaps: by their numbers {missing} pictures are missing, the first after "
                f"{last!r}; the others follow one another without a pause",
            )

    def __iter__(self) -> Iterator[Frame]:
        """Yield the pictures, from the first."""
        self.damaged = 0
        for index, picture in enumerate(self._pictures):
            if self._closed:
                return
            image = self._read(picture)
            if image is None:
                self.damaged += 1
            else:
                yield Frame(image, index * self._dt, index)

    @property
    def stored(self) -> StoredSource:
        """This source."""
        return self

    def read_from(self, time: float) -> Generator[StoredFrame | None, None, None]:
        """Yield the picture that is shown at this time, or the first one, and all later ones."""
        first = max(min(int(time / self._dt) + 1, len(self._pictures) - 1), 0)
        while first > 0 and first * self._dt > time:
            first -= 1
        for index, picture in enumerate(self._pictures[first:], first):
            if self._closed:
                return
            yield StoredFrame(index * self._dt, partial(self._read, picture))

    def _read(self, picture: _Picture) -> Image | None:
        """Return a picture as (H, W, 3) uint8 BGR; None if it is unreadable or too large."""
        image = self._decode(picture)
        if image is None:
            return None
        if image.dtype != np.uint8:
            if self._range is None:
                self._range = self._measure_range(image)
            image = self._range.to_8bit(image)
        return np.asarray(image, np.uint8)

    def _measure_range(self, first: NDArray[Any]) -> ValueRange:
        """Return the range of values of all pictures, measured from some of them, and note it."""
        count = len(self._pictures)
        chosen = {number * count // SAMPLES for number in range(SAMPLES)}
        images = (self._decode(self._pictures[index]) for index in sorted(chosen))
        deep = (image for image in images if image is not None and image.dtype != np.uint8)
        found = used_range([first, *deep])
        self.notes += (depth_note(8 * first.dtype.itemsize, found),)
        return found

    def _decode(self, picture: _Picture) -> NDArray[Any] | None:
        """Return a picture as (H, W, 3) BGR of any type; None if it is unreadable or too large."""
        with quiet():
            try:
                data = self._load(picture)
                return None if data is None else _decoded(data)
            except Exception:  # a damaged picture may fail anywhere; the others are not affected
                return None

    def _load(self, picture: _Picture) -> NDArray[np.uint8] | None:
        """Return a file whose first picture is the wanted one; None if it is refused."""
        path, page = picture
        if not path.is_file():  # a named pipe would block
            return None
        if not self._is_allowed(path, _size_of(path) if page is None else page.size):
            return None
        if page is None:
            return np.fromfile(path, np.uint8)  # OpenCV cannot open every name on Windows
        if self._stack is None or self._stack[0] != path:
            self._stack = path, np.fromfile(path, np.uint8)
        data = self._stack[1]
        select_page(data, page.offset)
        return data

    def _is_allowed(self, path: Path, size: tuple[int, int] | None) -> bool:
        """True if a picture may be decoded; the first reason for refusal is kept."""
        refusal = None if size is None else too_large(*size, self._max_pixels)
        if path.stat().st_size > _MAX_BYTES:
            refusal = "it has more than 2 GiB; split it into several files"
        if refusal is not None and self._refusal is None:
            self._refusal = f"cannot open {str(path)!r}: {refusal}"
        return size is not None and refusal is None

    def close(self) -> None:
        """End the iteration."""
        self._closed = True


def _size_of(path: Path) -> tuple[int, int] | None:
    with path.open("rb") as file:
        return image_size(file)


def _is_animated(path: Path) -> bool:
    """True if a file is an animation, of which only the first picture would be decoded."""
    if path.suffix.lower() not in _ANIMATIONS or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return is_animation(file)
    except OSError:
        return False


def is_picture(path: Path) -> bool:
    """True if the suffix is that of a picture."""
    return path.suffix.lower() in SUFFIXES


def is_stack(path: Path) -> bool:
    """True if the suffix is that of a file that may contain several pictures."""
    return path.suffix.lower() in _STACKS


def missing_numbers(files: Sequence[Path]) -> tuple[int, str]:
    """Return how many pictures are missing by their numbers, and the name before the first gap.

    Names without suffix must differ in their last number only, and most numbers must have the same
    distance. Otherwise nothing counts as missing, because the numbers may be times of day.
    """
    parts = [re.fullmatch(r"(.*?)(\d+)(\D*)", file.stem) for file in files]
    if None in parts or len({(part[1], part[3]) for part in parts if part}) != 1:
        return 0, ""
    numbers = [int(part[2]) for part in parts if part]
    steps = [after - before for before, after in pairwise(numbers)]
    usual = min(steps, default=0)
    if usual < 1 or 2 * steps.count(usual) < len(steps):
        return 0, ""
    gaps = [round(step / usual) - 1 for step in steps]
    first = next((index for index, gap in enumerate(gaps) if gap), 0)
    return sum(gaps), files[first].name


def _decoded(data: NDArray[np.uint8]) -> NDArray[Any] | None:
    """Decode the first picture of a file to (H, W, 3) BGR of any type; None if that fails."""
    image = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if image is None and data[:4].tobytes() in SIGNATURES:
        # Grey TIFF of floating-point or 32-bit numbers is decoded only without conversion.
        image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    if image is None:
        return None
    image = image.reshape(*image.shape[:2], -1)
    return np.asarray(image[..., :3] if image.shape[2] > 2 else image[..., [0, 0, 0]])


def _pictures_of(path: Path) -> list[_Picture]:
    """Return the pages of a TIFF file; any other file is one picture."""
    if not is_stack(path) or not path.is_file():
        return [_Picture(path)]
    try:
        with path.open("rb") as file:
            found = read_directories(file)
    except (struct.error, ValueError, OverflowError, OSError):
        found = []
    pages = [directory for directory in found if directory.is_page] or found[:1]
    return [_Picture(path, page) for page in pages] or [_Picture(path)]


def _files_of(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise SourceUnavailable(
            f"cannot open {str(folder)!r}: it is not a readable folder"
        ) from error


def natural_key(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Return a sort key that compares the numbers in names by value."""
    parts = re.findall(r"(\d+)|(\D+)", path.name.lower())
    return [(int(number), "") if number else (-1, text) for number, text in parts], path.name
