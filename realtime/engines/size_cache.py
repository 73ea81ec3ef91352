"""A small cache of values that engines make for each input size: compiled graphs, CUDA graphs.

`Allowance` limits the time for making them.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")

SIZES = 4
"""Number of sizes that an engine caches; each uses up to 200 MB of memory."""


class SizeCache(Generic[Value]):
    """Values by input size; the least recently used ones are dropped.

    Args:
        limit: Largest number of values.
        unused: A value is dropped after this number of look-ups of other sizes; None: never.
    """

    def __init__(self, limit: int = SIZES, unused: int | None = None) -> None:
        self._limit, self._unused = limit, unused
        self._entries: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()
        """Each value with the number of its last look-up; the most recent one is last."""
        self._lookups = 0

    def __contains__(self, size: Hashable) -> bool:
        return size in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def values(self) -> list[Value]:
        """All values, the least recently used one first."""
        return [value for value, _ in self._entries.values()]

    def get(self, size: Hashable, make: Callable[[], Value]) -> Value:
        """The value for a size; `make` is called if there is none."""
        self._lookups += 1
        if size in self._entries:
            value, _ = self._entries.pop(size)
        else:
            while len(self._entries) >= self._limit:  # before make(), which needs the memory
                self._entries.popitem(last=False)
            value = make()
        self._entries[size] = value, self._lookups
        while self._unused is not None:
            oldest, (_, last) = next(iter(self._entries.items()))
            if self._lookups - last <= self._unused:
                break
            del self._entries[oldest]
        return value


class Allowance:
    """Limit of the time that is spent on preparing sizes, when they change often.

    `SIZES` preparations are free. Later ones may take a tenth of the time that passes.

    Args:
        clock: returns the time in seconds.
    """

    share = 0.1

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left = float(SIZES)
        """Number of preparations that are allowed now."""
        self._seconds = 0.0
        """Time that the last preparation took."""
        self._last = clock()

    @property
    def exhausted(self) -> bool:
        """True if a preparation now would take more than the share."""
        now = self._clock()
        if self._seconds > 0:
            earned = self.share * (now - self._last) / self._seconds
            self._left = min(self._left + earned, SIZES)
        self._last = now
        return self._left < 1

    def run(self, make: Callable[[], Value]) -> Value:
        """Call a function that prepares a size, and count it."""
        start = self._clock()
        value = make()
        self._last = self._clock()
        self._seconds = self._last - start
        self._left -= 1
        return value
