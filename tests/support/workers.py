"""Locks and files that the parallel workers of one test run share.

Tests that measure time or processor load need an idle machine. They are marked `alone` and hold an
exclusive lock, all other tests a shared one.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def worker_lock(*, alone: bool) -> Iterator[None]:
    """Wait until the test may run: immediately without parallel workers or fcntl (Windows)."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    try:
        import fcntl
    except ImportError:
        run = None
    if run is None:
        yield
        return
    name = Path(tempfile.gettempdir(), f"rtmag-tests-{run}")
    with Path(f"{name}.queue").open("w") as queue, Path(f"{name}.runners").open("w") as runners:
        # Every test waits in the queue first, so that shared locks cannot block an exclusive one.
        fcntl.flock(queue, fcntl.LOCK_EX)
        fcntl.flock(runners, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(queue, fcntl.LOCK_UN)
        yield


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Path]) -> Path:
    """File that `make` writes into an empty folder, called by the first worker that needs it."""
    from filelock import FileLock

    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    note = base / f"{name}.path"
    with FileLock(base / f"{name}.lock"):
        if not note.exists():
            (base / name).mkdir()
            note.write_text(str(make(base / name)))
        return Path(note.read_text())
