"""States in device memory, and the states of several streams as one batch there."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.engines import onnx_providers as providers
from rtmag.realtime.engines.batching import StreamBatch


class DeviceState:
    """A state in the memory of the device that runs the graph; NumPy gets a copy on request.

    The negated state is the same value with another sign, so that negation copies nothing.
    """

    def __init__(
        self, value: Any, sign: int = 1, row: int | None = None, channels: int | None = None
    ) -> None:
        self.value = value
        """An OrtValue."""
        self.sign = sign
        self.row = row
        """Row of `value` that is the state, if `value` has several streams; None: all rows."""
        self.channels = channels
        """Number of channels, from the first, that the stream's filter needs; None: all."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(1, 2 S C, h, w)."""
        rows, channels, h, w = self.value.shape()
        return rows if self.row is None else 1, self.channels or channels, h, w

    @property
    def plain(self) -> bool:
        """True if `value` itself is the state: neither negated nor only partly used."""
        return self.sign == 1 and self.row is None

    def __getitem__(self, key: tuple[slice, slice]) -> "DeviceState":
        """The state of one stream: `state[row : row + 1, :channels]`."""
        rows, channels = key
        return DeviceState(self.value, self.sign, rows.start, channels.stop)

    def __neg__(self) -> "DeviceState":
        return DeviceState(self.value, -self.sign, self.row, self.channels)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        rows = slice(None) if self.row is None else slice(self.row, self.row + 1)
        return np.array(self.sign * self.value.numpy()[rows, : self.channels], dtype)


def concat_states(batch: StreamBatch, provider: str) -> DeviceState | NDArray[np.float32]:
    """The states of a batch as one value for a session on `provider`.

    If the same streams are in the same places as in the step before, that step's output is reused
    without a copy. Otherwise the states are gathered on the device. They are copied through the CPU
    only when the number of sections changes.
    """
    states: list[Any] = [step.state for step in batch.steps]
    on_device = [state for state in states if not _on_cpu(state)]
    if not on_device:
        return batch.state()
    value = on_device[0].value
    if tuple(value.shape()) == batch.shape and len(on_device) == len(states):
        signs = [state.sign * step.sign for state, step in zip(states, batch.steps, strict=True)]
        rows = [state.row for state in states if state.value is value]
        if rows == [*range(len(states))] and set(signs) == {1}:
            return DeviceState(value)
    if any(state is not None and _stored_channels(state) != batch.shape[1] for state in states):
        return batch.state()
    return DeviceState(_gather(batch, provider))


def _on_cpu(state: Any) -> bool:
    return state is None or isinstance(state, np.ndarray)


def _stored_channels(state: Any) -> int:
    """Channels of the whole value that contains the state."""
    return int((state.shape if _on_cpu(state) else state.value.shape())[1])


def _gather(batch: StreamBatch, provider: str) -> Any:
    """The states of a batch as one OrtValue.

    A source is an earlier step's output or an array. One run of the gather graph takes the rows of
    one source, multiplies them by their signs, and overwrites the corresponding rows of the total.
    """
    places = batch.shape[0]
    sources: dict[int, tuple[Any, NDArray[Any], NDArray[Any]]] = {}
    for place, step in enumerate(batch.steps):
        state: Any = step.state
        if state is None:
            continue
        if _on_cpu(state):
            value, row, sign = np.asarray(state, np.float32, order="C"), 0, 1
        else:
            value, row, sign = state.value, state.row or 0, state.sign
        empty = value, np.zeros(places, np.int64), np.zeros((places, 1, 1, 1), np.float32)
        _, rows, signs = sources.setdefault(id(value), empty)
        rows[place], signs[place] = row, sign * step.sign
    zero = np.zeros((1, 1, 1, 1), np.float32)
    total: Any = zero
    session = _gather_session(provider)
    for value, rows, signs in sources.values():
        binding = session.io_binding()
        inputs = {"total": total, "source": value, "rows": rows, "signs": signs, "zero": zero}
        for name, each in inputs.items():
            if isinstance(each, np.ndarray):
                binding.bind_cpu_input(name, each)
            else:
                binding.bind_ortvalue_input(name, each)
        binding.bind_output("updated", provider)
        session.run_with_iobinding(binding)
        (total,) = binding.get_outputs()
    return total


@cache
def _gather_session(provider: str) -> Any:
    """A session for the gather graph."""
    return providers.open_session(providers.packaged_graph("gather_states"), provider)
