import subprocess
import sys
from types import SimpleNamespace

import pytest

from rtmag.realtime import opencv

_BROKEN = """
import builtins, sys
sys.modules.pop("cv2", None)
real = builtins.__import__

def broken(name, *rest):
    if name == "cv2":
        raise ImportError({text!r})
    return real(name, *rest)

builtins.__import__ = broken
try:
    import rtmag.realtime.opencv
except ImportError as error:
    print(type(error).__name__, error)
"""


def said(text: str) -> str:
    command = [sys.executable, "-c", _BROKEN.format(text=text)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("library", ["libGL.so.1", "libgthread-2.0.so.0"])
def test_missing_system_library_names_the_remedy(library: str) -> None:
    message = said(f"{library}: cannot open shared object file: No such file or directory")
    assert message == (
        f"MissingExtra cannot load OpenCV: {library} is missing; on Debian/Ubuntu: "
        "apt-get install libgl1 libglib2.0-0, "
        "or pip install --force-reinstall opencv-python-headless\n"
    )


def test_missing_package_names_the_remedy() -> None:
    assert said("No module named 'cv2'") == (
        "MissingExtra cannot load OpenCV: No module named 'cv2'; pip install opencv-python\n"
    )


def test_the_module_is_opencv() -> None:
    import cv2

    from rtmag.realtime import opencv

    assert opencv.cv2 is cv2


@pytest.mark.parametrize("version", [4, 5])
def test_the_log_is_silent_for_a_while(version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenCV 5 moved the functions of the log to another module."""
    levels = [3]
    log = SimpleNamespace(getLogLevel=lambda: levels[-1], setLogLevel=levels.append)
    parts = vars(log) if version == 4 else {}
    utils = SimpleNamespace(logging=log) if version == 5 else SimpleNamespace()
    monkeypatch.setattr(opencv, "cv2", SimpleNamespace(utils=utils, **parts))
    with pytest.raises(ValueError, match="odd"), opencv.quiet():
        assert levels == [3, 0]
        raise ValueError("odd")
    assert levels == [3, 0, 3]
