"""Which commit a benchmark measured."""

import subprocess
from pathlib import Path


def revision() -> str:
    """The commit that is checked out, with a plus where files have changed since."""
    root = Path(__file__).parent
    hash_, changed = (
        subprocess.run(["git", *args], cwd=root, capture_output=True, text=True).stdout.strip()
        for args in (("rev-parse", "--short", "HEAD"), ("status", "--porcelain", "-uno"))
    )
    return f"{hash_}+" if changed else hash_
