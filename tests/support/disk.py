"""A real file system of a small size, to test a full disk."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class NoDisk(Exception):
    """A file system cannot be mounted on this machine."""


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    """Mount a file system of `kilobytes` in a folder; raises NoDisk without root."""
    if sys.platform != "linux" or os.geteuid() != 0:
        raise NoDisk("only root can mount a small disk, on Linux")
    folder.mkdir()
    run = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "none", str(folder)]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NoDisk(f"no disk can be mounted: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
