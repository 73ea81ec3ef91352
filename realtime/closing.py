"""What the owners of devices, files and threads share: `with` closes them."""

from types import TracebackType
from typing import Self


class Closing:
    """A context manager that calls close() at the end."""

    def close(self) -> None:
        """Free what is held. Safe to call twice."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
