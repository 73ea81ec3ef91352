"""States that stay on the device that runs the graph, and those of several streams as one."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.gathering import Gathering


class Resident:
    """A state that stays where the network runs; NumPy gets a copy when it asks for one.

    Its opposite is the same value with another sign, so that a turned filter costs no copy either.
    """

    def __init__(
        self, value: Any, sign: int = 1, row: int | None = None, width: int | None = None
    ) -> None:
        self.value = value
        """An OrtValue."""
        self.sign = sign
        self.row = row
        """The stream whose state it is, in a value of several streams; None is all of it."""
        self.width = width
        """Channels that the stream's filter needs; None is all there are."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(1, 2 S C, h, w)."""
        rows, channels, h, w = self.value.shape()
        return rows if self.row is None else 1, self.width or channels, h, w

    def of(self, row: int, width: int) -> "Resident":
        """One stream's part of it."""
        return Resident(self.value, self.sign, row, width)

    def __neg__(self) -> "Resident":
        return Resident(self.value, -self.sign, self.row, self.width)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        rows = slice(None) if self.row is None else slice(self.row, self.row + 1)
        return np.array(self.sign * self.value.numpy()[rows, : self.width], dtype)


def joined(batch: Gathering) -> Resident | NDArray[np.float32]:
    """A batch's state: what the step before left, as it lies, if that is what is wanted."""
    first = batch.states[0]
    if isinstance(first, Resident) and tuple(first.value.shape()) == batch.shape:
        parts = zip(batch.states, batch.signs, strict=True)
        if all(
            isinstance(state, Resident)
            and (state.value, state.row, state.sign * sign) == (first.value, place, 1)
            for place, (state, sign) in enumerate(parts)
        ):
            return Resident(first.value)
    return batch.memory()


def parted(state: Resident | NDArray[np.float32], batch: Gathering) -> list[Any]:
    """Each stream's part of a batch's state."""
    out: list[Any] = []
    for row, (sign, width) in enumerate(zip(batch.signs, batch.widths, strict=True)):
        if isinstance(state, Resident):
            own: Any = state.of(row, width)
        else:
            own = state[row : row + 1, :width]
        out.append(own if sign == 1 else -own)
    return out
