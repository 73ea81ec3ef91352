"""The environment of a run: commit, machine, and versions of the libraries in use.

No library is imported for this. The versions of optional libraries are reported only if the run has
loaded them.
"""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def installed(package: str) -> str | None:
    """The version of a distribution; None if it is not installed."""
    from importlib.metadata import PackageNotFoundError, version  # 20 ms, which `--help` saves

    try:
        return version(package)
    except PackageNotFoundError:
        return None


def rtmag_version() -> str:
    """The version of rtmag; `(not installed)` in a checkout that was never installed."""
    return installed("rtmag") or "(not installed)"


def usable_cores() -> int:
    """Cores that this process may use; in a container these can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def no_font_cache() -> Iterator[None]:
    """Context in which Matplotlib is imported: it leaves no list of fonts in the user's folders.

    Only the fonts that come with Matplotlib are used then. Nothing changes if it is already
    imported, as in a notebook, or if the user has set its folder.
    """
    from tempfile import TemporaryDirectory  # 10 ms, which `--help` saves

    if "matplotlib" in sys.modules or "MPLCONFIGDIR" in os.environ:
        yield
        return
    with TemporaryDirectory() as folder:
        os.environ |= {"MPLCONFIGDIR": folder, "MPL_IGNORE_SYSTEM_FONTS": "1"}
        try:
            yield
        finally:
            for name in ("MPLCONFIGDIR", "MPL_IGNORE_SYSTEM_FONTS"):
                del os.environ[name]


def disable_telemetry() -> None:
    """Keep the inference runtimes from contacting their makers. Call it before they are imported.

    ONNX Runtime would write an identifier of the device to the user's cache folder and send usage
    data to Microsoft; OpenVINO would do the same with Google Analytics, in a process of its own.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    # If this import fails, OpenVINO uses its own stub. None makes it fail.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


_ROOT = Path(__file__).resolve().parent.parent
"""Folder of the package rtmag; in a checkout, its root."""

_OPTIONAL = ("openvino", "torch", "torch_tensorrt", "tensorrt")
"""Modules whose versions are reported if they are loaded."""

_TIMEOUT = 20.0
"""Seconds that git or nvidia-smi may take."""


def machine() -> dict[str, Any]:
    """Commit, machine and library versions; `gpu` and `driver` only if there is an NVIDIA GPU."""
    computer = {"cpu": processor(), "cores": usable_cores(), "system": platform.platform()}
    versions = {
        "rtmag": rtmag_version(),
        "numpy": installed("numpy"),
        "onnxruntime": installed("onnxruntime-gpu") or installed("onnxruntime") or "unknown",
    }
    for name in _OPTIONAL:
        if (module := sys.modules.get(name)) is not None:
            versions[name] = str(getattr(module, "__version__", "unknown"))
    return {"commit": commit(), "machine": computer | gpu(), "versions": versions}


def processor() -> str:
    """The CPU's name according to the operating system."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def gpu() -> dict[str, str]:
    """Name and driver of the first NVIDIA GPU according to nvidia-smi; empty without one."""
    fields = "--query-gpu=name,driver_version"
    output = _output(["nvidia-smi", fields, "--format=csv,noheader"])
    name, comma, driver = (output or "").partition("\n")[0].rpartition(",")
    return {"gpu": name.strip(), "driver": driver.strip()} if comma else {}


def commit(folder: Path = _ROOT) -> str | None:
    """The commit that is checked out in a folder, with `-dirty` if files have changed.

    None if the folder is not the root of a checkout. An installed copy may be inside another
    project's repository, whose commit would be misleading.
    """
    if not (folder / ".git").exists():
        return None
    arguments = ["describe", "--always", "--dirty", "--exclude=*", "--abbrev=12"]
    return _output(["git", "--no-optional-locks", "-C", str(folder), *arguments])


def _output(command: Sequence[str]) -> str | None:
    """Run a program; returns its standard output, or None if it is empty, missing or fails."""
    path = shutil.which(command[0])
    if path is None:
        return None
    try:
        finished = subprocess.run(
            [path, *command[1:]], capture_output=True, text=True, check=True, timeout=_TIMEOUT
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return finished.stdout.strip() or None
