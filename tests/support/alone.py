"""Locks between the parallel workers of one test run: a test marked `alone` runs by itself.

Tests that measure time or processor load need an idle machine. They hold an exclusive lock, all
other tests a shared one.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def turn(*, alone: bool) -> Iterator[None]:
    """Wait until the test may run. Without workers, or without fcntl (Windows), it always may."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    try:
        import fcntl
    except ImportError:
        run = None
    if run is None:
        yield
        return
    name = Path(tempfile.gettempdir(), f"rtmag-tests-{run}")
    with Path(f"{name}.queue").open("w") as queue, Path(f"{name}.room").open("w") as room:
        # All wait in the queue, so that shared locks cannot keep an exclusive one out.
        fcntl.flock(queue, fcntl.LOCK_EX)
        fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(queue, fcntl.LOCK_UN)
        yield
