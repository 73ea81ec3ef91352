"""States that stay on the device that runs the graph, and those of several streams as one."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.engines import onnx_providers as providers
from rtmag.realtime.engines.batching import Gathering
from rtmag.realtime.engines.onnx_protobuf import INT64, field, model, node, tensor


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


def joined(batch: Gathering, provider: str) -> Resident | NDArray[np.float32]:
    """A batch's state, for a session on `provider`.

    What the step before left, as it lies, where the same streams stand in the same places; else it
    is put together on the device. Only where filters come or go that need more sections than the
    others' does it go through the CPU.
    """
    values = [state.value for state in batch.states if isinstance(state, Resident)]
    if not values:
        return batch.memory()
    if tuple(values[0].shape()) == batch.shape:
        parts = enumerate(zip(batch.states, batch.signs, strict=True))
        if all(
            isinstance(state, Resident)
            and (state.value, state.row, state.sign * sign) == (values[0], place, 1)
            for place, (state, sign) in parts
        ):
            return Resident(values[0])
    if any(s is not None and _channels(s) != batch.shape[1] for s in batch.states):
        return batch.memory()
    return Resident(_picked(batch, provider))


def _channels(state: Any) -> int:
    """Of all that lies where the state lies."""
    return int((state.value.shape() if isinstance(state, Resident) else state.shape)[1])


def _picked(batch: Gathering, provider: str) -> Any:
    """The states as one OrtValue, source by source: what one step left is a source."""
    places = batch.shape[0]
    sources: dict[int, tuple[Any, NDArray[Any], NDArray[Any]]] = {}
    for place, (state, sign) in enumerate(zip(batch.states, batch.signs, strict=True)):
        if state is not None:
            if isinstance(state, Resident):
                value, row, own = state.value, state.row or 0, state.sign
            else:
                value, row, own = np.asarray(state, np.float32, order="C"), 0, 1
            fresh = value, np.zeros(places, np.int64), np.zeros((places, 1, 1, 1), np.float32)
            _, rows, signs = sources.setdefault(id(value), fresh)
            rows[place], signs[place] = row, own * sign
    total: Any = np.zeros((1, 1, 1, 1), np.float32)
    none = total
    session = _picker(provider)
    for value, rows, signs in sources.values():
        binding = session.io_binding()
        given = {"total": total, "source": value, "rows": rows, "signs": signs, "none": none}
        for name, each in given.items():
            if isinstance(each, np.ndarray):
                binding.bind_cpu_input(name, each)
            else:
                binding.bind_ortvalue_input(name, each)
        binding.bind_output("all", provider)
        session.run_with_iobinding(binding)
        (total,) = binding.get_outputs()
    return total


@cache
def _picker(provider: str) -> Any:
    """A session that puts rows of a source, with their signs, over a total: 0 leaves that."""
    many = (None,) * 4
    graph = b"".join(
        field(1, each)
        for each in (
            node("Gather", ["source", "rows"], "picked"),
            node("Mul", ["picked", "signs"], "signed"),
            node("Equal", ["signs", "none"], "left"),
            node("Where", ["left", "total", "signed"], "all"),
        )
    )
    graph += field(2, "picker")
    for name in ("total", "source", "signs", "none"):
        graph += field(11, tensor(name, many))
    graph += field(11, tensor("rows", (None,), INT64)) + field(12, tensor("all", many))
    return providers.open_session(model(graph), provider)


def parted(state: Any, batch: Gathering) -> list[Any]:
    """Each stream's part of a batch's state, be it an array, a tensor of PyTorch or resident."""
    out: list[Any] = []
    for row, (sign, width) in enumerate(zip(batch.signs, batch.widths, strict=True)):
        resident = isinstance(state, Resident)
        own = state.of(row, width) if resident else state[row : row + 1, :width]
        out.append(own if sign == 1 else -own)
    return out
