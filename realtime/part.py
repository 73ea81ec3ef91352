"""The file that a recording is written to: it takes pieces whole, or not at all and no more.

An ordinary file keeps as much of a piece as its disk has room for. Where that ends within the head
of a fragment, FFmpeg, and what is built on it, refuses the whole file, good as the rest may be.
"""

import os
from pathlib import Path

from rtmag.realtime.closing import Closing


class PartFile(Closing):
    """A file for FFmpeg to write; a context manager.

    What is written reaches the system at once, as it must where the process may be killed.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)
        self._refusal: OSError | None = None

    def write(self, data: bytes) -> int:
        """Write all of it; or else nothing, and raise the same error from then on."""
        if self._refusal is not None:
            raise self._refusal
        begin, left = self._file.tell(), memoryview(data)
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            self._refusal = error
            if begin + len(data) - len(left) == os.fstat(self._file.fileno()).st_size:
                self._file.truncate(begin)
            raise
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place in the file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The place in the file."""
        return self._file.tell()

    def close(self) -> None:
        """Safe to call twice."""
        self._file.close()
