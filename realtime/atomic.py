"""Atomic writing of files: a crash never leaves an incomplete file under the final name."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to `path`, and rename it to `path` when the block ends.

    The temporary name is NAME.part.SUFFIX, so that libraries recognise the file type. If the block
    raises an exception, the temporary file is deleted and `path` is unchanged.

    Raises:
        OSError: the file cannot be renamed.
    """
    part = path.with_name(f"{path.stem}.part{path.suffix}")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
