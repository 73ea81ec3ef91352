"""Import OpenCV, or raise an error that says what to install."""

from collections.abc import Generator
from contextlib import contextmanager

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


@contextmanager
def quiet() -> Generator[None, None, None]:
    """Suppress OpenCV's own messages on standard error, where rtmag has its own."""
    logging = cv2.utils.logging
    level = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(level)
