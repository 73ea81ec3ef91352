"""Folders of pictures as sources: each file is a frame."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from rtmag.realtime.errors import OptionError, SourceUnavailable
from rtmag.realtime.frame import Frame, Image
from rtmag.realtime.media.image_size import MAX_PIXELS, image_size, too_large
from rtmag.realtime.opencv import cv2
from rtmag.realtime.sources.source import BaseSource

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
"""Suffixes of the files that are read; others are ignored."""


class ImageFolderSource(BaseSource):
    """Pictures in the natural order of their names: 'b10' comes after 'b9'.

    Files that are unreadable or too large are skipped and counted in `damaged`; the times of the
    other frames do not change.

    Args:
        paths: a folder, or the picture files.
        fps: pictures per second.
        max_pixels: larger pictures are not decoded.

    Raises:
        OptionError: `fps` is not a positive number.
        SourceUnavailable: there is no picture, or none can be read; the message says why.
    """

    live = False
    damaged = 0

    def __init__(
        self,
        paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        *,
        fps: float = 30.0,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        if not (fps > 0 and np.isfinite(fps)):
            raise OptionError(f"fps must be a positive number, got {fps = }")
        if isinstance(paths, (str, os.PathLike)):
            self.name = str(paths)
            files = _files_of(Path(paths))
        else:
            files = [Path(path) for path in paths]
            self.name = str(files[0].parent) if files else "no pictures"
        self._files = sorted((file for file in files if is_picture(file)), key=_natural_key)
        self.fps: float | None = fps
        self.frames: int | None = len(self._files)
        self._dt = 1 / fps
        self._max_pixels = max_pixels
        self._refusal: str | None = None
        self._closed = False
        if not self._files:
            suffixes = ", ".join(SUFFIXES)
            raise SourceUnavailable(
                f"cannot open {self.name!r}: it contains no pictures ({suffixes})"
            )
        first = next((image for image in map(self._read, self._files) if image is not None), None)
        if first is None:
            reason = self._refusal or f"cannot open {self.name!r}: none of its pictures can be read"
            raise SourceUnavailable(reason)
        self.size = (first.shape[1], first.shape[0])

    def __iter__(self) -> Iterator[Frame]:
        """Yield the pictures, from the first."""
        self.damaged = 0
        for index, file in enumerate(self._files):
            if self._closed:
                return
            image = self._read(file)
            if image is None:
                self.damaged += 1
            else:
                yield Frame(image, index * self._dt, index)

    def _read(self, path: Path) -> Image | None:
        """Return a picture as (H, W, 3) uint8 BGR; None if it is unreadable or too large."""
        try:
            if not path.is_file():  # a named pipe would block
                return None
            with path.open("rb") as file:
                if not self._has_allowed_size(file, path):
                    return None
                file.seek(0)
                # Read into memory first, because OpenCV cannot open every name on Windows.
                image = cv2.imdecode(np.fromfile(file, np.uint8), cv2.IMREAD_COLOR)
        except (OSError, cv2.error):
            return None
        return None if image is None else np.asarray(image, np.uint8)

    def _has_allowed_size(self, file: BinaryIO, path: Path) -> bool:
        """True if the header states an allowed size; the first reason for refusal is kept."""
        size = image_size(file)
        refusal = None if size is None else too_large(*size, self._max_pixels)
        if refusal is not None and self._refusal is None:
            self._refusal = f"cannot open {str(path)!r}: {refusal}"
        return size is not None and refusal is None

    def close(self) -> None:
        """End the iteration."""
        self._closed = True


def is_picture(path: Path) -> bool:
    """True if the suffix is that of a picture."""
    return path.suffix.lower() in SUFFIXES


def _files_of(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise SourceUnavailable(
            f"cannot open {str(folder)!r}: it is not a readable folder"
        ) from error


def _natural_key(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Return a sort key that compares the numbers in names by value."""
    parts = re.findall(r"(\d+)|(\D+)", path.name.lower())
    return [(int(number), "") if number else (-1, text) for number, text in parts], path.name
