"""Where and with what a benchmark ran: the code, the machine, the libraries.

Nothing is imported to be asked its version: what a run has not used is no part of it.
"""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


def installed(package: str) -> str | None:
    """The version of a distribution; None when it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def rtmag_version() -> str:
    """Our own; a checkout that was never installed has none."""
    return installed("rtmag") or "(not installed)"


def usable_cores() -> int:
    """Cores this process may run on; containers often allow fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_ROOT = Path(__file__).resolve().parent.parent

_OTHERS = ("openvino", "torch", "torch_tensorrt", "tensorrt")

_PATIENCE = 20.0
"""Seconds that another program may take to answer."""


def machine() -> dict[str, Any]:
    """Where and with what a benchmark ran; `gpu` and `driver` are there when a GPU is."""
    computer = {"cpu": processor(), "cores": usable_cores(), "system": platform.platform()}
    versions = {
        "rtmag": rtmag_version(),
        "numpy": installed("numpy"),
        "onnxruntime": installed("onnxruntime-gpu") or installed("onnxruntime") or "unknown",
    }
    for name in _OTHERS:
        if (module := sys.modules.get(name)) is not None:
            versions[name] = str(getattr(module, "__version__", "unknown"))
    return {"commit": code(), "machine": computer | gpu(), "versions": versions}


def processor() -> str:
    """What the operating system calls the CPU."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def gpu() -> dict[str, str]:
    """Name and driver of NVIDIA's first one, as its own tool tells; nothing without one."""
    fields = "--query-gpu=name,driver_version"
    told = _answer(["nvidia-smi", fields, "--format=csv,noheader"])
    name, comma, driver = (told or "").partition("\n")[0].rpartition(",")
    return {"gpu": name.strip(), "driver": driver.strip()} if comma else {}


def code(folder: Path = _ROOT) -> str | None:
    """The commit that is checked out in a folder, ours usually; `-dirty` where files have changed.

    None where the folder is no checkout, such as an installed copy: a repository around that is
    somebody else's.
    """
    if not (folder / ".git").exists():
        return None
    asked = ["describe", "--always", "--dirty", "--exclude=*", "--abbrev=12"]
    return _answer(["git", "-C", str(folder), *asked])


def _answer(command: Sequence[str]) -> str | None:
    """What a program says; None where it is not there, or fails."""
    path = shutil.which(command[0])
    if path is None:
        return None
    try:
        said = subprocess.run(
            [path, *command[1:]], capture_output=True, text=True, check=True, timeout=_PATIENCE
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return said.stdout.strip() or None
