"""Import OpenCV, or raise an error that says what to install."""

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
