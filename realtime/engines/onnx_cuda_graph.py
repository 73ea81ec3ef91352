"""CUDA graphs for ONNX Runtime's CUDA provider: one launch per step instead of one per kernel.

A CUDA graph reads and writes the addresses that it was captured with. So each captured input size
has its own input and output buffers on the device. A step fills the input buffers. It copies the
output state, because the next step overwrites the buffer.

Written against the documentation of ONNX Runtime 1.31. On the CPU provider the same code runs
without capturing anything.
"""

from typing import Any

import numpy as np

from rtmag.realtime.engines.contract import STATE_OUT
from rtmag.realtime.engines.onnx_providers import import_onnxruntime
from rtmag.realtime.engines.onnx_state import DeviceState
from rtmag.realtime.engines.size_cache import SIZES

MAX_GRAPHS = SIZES
"""Largest number of captured sizes. A session never releases a captured graph."""

STEPS_BEFORE_CAPTURE = 8
"""A size is captured after this number of consecutive steps of that size."""

NO_GRAPH = "-1"
"""Graph id of a run that is neither captured nor replayed."""


class OrtCudaGraphs:
    """CUDA graphs of one session: a size is captured after several consecutive steps."""

    def __init__(self, session: Any, provider: str) -> None:
        """Take an onnxruntime session, opened with `enable_cuda_graph` if the provider is CUDA."""
        self._session, self._provider = session, provider
        self._buffers: dict[tuple[Any, ...], _Buffers] = {}
        self._last: tuple[Any, ...] = ()
        self._repeats = 0

    def __len__(self) -> int:
        """Number of captured sizes."""
        return len(self._buffers)

    def run(self, outputs: list[str], inputs: dict[str, Any]) -> list[Any] | None:
        """The requested outputs; None if this size has no graph. The state is a `DeviceState`."""
        key = tuple((name, tuple(np.shape(inputs[name]))) for name in sorted(inputs)), *outputs
        buffers = self._buffers.get(key)
        if buffers is None:
            self._repeats = self._repeats + 1 if key == self._last else 1
            self._last = key
            if self._repeats <= STEPS_BEFORE_CAPTURE or len(self._buffers) >= MAX_GRAPHS:
                return None
            buffers = _Buffers(self._session, self._provider, inputs, outputs)
            buffers.run(inputs, NO_GRAPH)
            self._buffers[key] = buffers
        else:
            buffers.run(inputs, str(1 + list(self._buffers).index(key)))
        return [buffers.output(name) for name in outputs]


def run_options(graph: str) -> Any:
    """Options of a run: capture or replay the graph with this id, or `NO_GRAPH`."""
    options = import_onnxruntime().RunOptions()
    options.add_run_config_entry("gpu_graph_id", graph)
    return options


def device_buffer(shape: tuple[int, ...], dtype: Any, provider: str) -> Any:
    """An OrtValue outside the session's memory arena, so that no captured run overwrites it."""
    return import_onnxruntime().OrtValue.ortvalue_from_shape_and_type(shape, dtype, provider, 0)


class _Buffers:
    """Inputs and outputs of one size, at fixed addresses on the device."""

    def __init__(
        self, session: Any, provider: str, inputs: dict[str, Any], outputs: list[str]
    ) -> None:
        self._session, self._provider, self._names = session, provider, outputs
        self._binding = session.io_binding()
        self._inputs = {}
        for name, value in inputs.items():
            dtype = np.asarray(value).dtype if name != "state" else np.float32
            self._inputs[name] = device_buffer(np.shape(value), dtype, provider)
            self._binding.bind_ortvalue_input(name, self._inputs[name])
        self._outputs: dict[str, Any] = {}
        for name in outputs:  # allocated by the first run, which is never a captured one
            self._binding.bind_output(name, provider)

    def run(self, inputs: dict[str, Any], graph: str) -> None:
        """Fill the inputs and capture or replay the graph with this id."""
        for name, value in inputs.items():
            if name == "state" and not isinstance(value, np.ndarray) and value.plain:
                self._inputs[name].update_inplace(value.value)
            else:
                self._inputs[name].update_inplace(np.asarray(value, order="C"))
        self._session.run_with_iobinding(self._binding, run_options(graph))
        if not self._outputs:
            allocated = self._binding.get_outputs()
            self._outputs = dict(zip(self._names, allocated, strict=True))
            for name, value in self._outputs.items():
                self._binding.bind_ortvalue_output(name, value)

    def output(self, name: str) -> Any:
        """A copy of an output."""
        value = self._outputs[name]
        if name != STATE_OUT:
            return np.array(value.numpy())  # on the CPU provider, numpy() is a view
        copy = device_buffer(tuple(value.shape()), np.float32, self._provider)
        copy.update_inplace(value)
        return DeviceState(copy)
