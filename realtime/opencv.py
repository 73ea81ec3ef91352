"""Import OpenCV, or raise an error that says what to install."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from rtmag.realtime.errors import MissingExtra

try:
    import cv2 as cv2
except ImportError as error:
    library = str(error).split(":")[0]
    if not library.startswith(("libGL", "libgthread")):
        raise MissingExtra(f"cannot load OpenCV: {error}; pip install opencv-python") from error
    raise MissingExtra(
        f"cannot load OpenCV: {library} is missing; on Debian/Ubuntu: "
        "apt-get install libgl1 libglib2.0-0, "
        "or pip install --force-reinstall opencv-python-headless"
    ) from error


_SILENT = 0
"""The level of OpenCV's log at which nothing is printed."""


@contextmanager
def quiet() -> Generator[None, None, None]:
    """Suppress OpenCV's own messages on standard error, where rtmag has its own."""
    logging: Any = cv2.utils.logging if hasattr(cv2.utils, "logging") else cv2  # OpenCV 5, 4
    level = logging.getLogLevel()
    logging.setLogLevel(_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(level)
