"""A graph on ONNX Runtime's CUDA provider as CUDA graphs, so that the CPU launches no kernels.

A CUDA graph reads and writes the addresses that it was captured with. So each size that is captured
has inputs and outputs of its own on the device; a step fills those, and copies the state that comes
out, as that is a value which outlives the next step.

Written against the documentation of ONNX Runtime 1.31; it has not been run on hardware. The CPU
provider runs the same, and captures nothing.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.engines.contract import STATE_OUT
from rtmag.realtime.engines.onnx_providers import runtime
from rtmag.realtime.engines.onnx_state import Resident

KEPT = 4
"""Sizes captured at most: a session keeps what it has captured for good."""

SETTLED = 8
"""Steps of one size after which it is captured: one that is being chosen passes by."""

_GRAPH = "gpu_graph_id"

PLAIN = "-1"
"""The graph of a run that is not to be captured."""


class Replay:
    """Runs of a session by captured graphs, once a size has come several times in a row."""

    def __init__(self, session: Any, provider: str) -> None:
        """`session` was opened with `enable_cuda_graph`, where the provider has that."""
        self._session, self._provider = session, provider
        self._captured: dict[tuple[Any, ...], _Fixed] = {}
        self._last: tuple[Any, ...] = ()
        self._times = 0

    @property
    def captured(self) -> int:
        """Sizes that are replayed."""
        return len(self._captured)

    def run(self, outputs: list[str], inputs: dict[str, Any]) -> list[Any] | None:
        """The outputs asked for, the state as a `Resident`; None for sizes to be run plainly."""
        key = tuple((name, tuple(np.shape(inputs[name]))) for name in sorted(inputs)), *outputs
        fixed = self._captured.get(key)
        if fixed is None:
            self._times = self._times + 1 if key == self._last else 1
            self._last = key
            if self._times <= SETTLED or len(self._captured) >= KEPT:
                return None
            fixed = _Fixed(self._session, self._provider, inputs, outputs)
            fixed.run(inputs, PLAIN)
            self._captured[key] = fixed
        else:
            fixed.run(inputs, str(1 + list(self._captured).index(key)))
        return [fixed.found(name) for name in outputs]


def options(graph: str) -> Any:
    """Of a run: by that graph, captured if there is none yet, or plainly."""
    chosen = runtime().RunOptions()
    chosen.add_run_config_entry(_GRAPH, graph)
    return chosen


def placed(shape: tuple[int, ...], kind: Any, provider: str) -> Any:
    """Memory on a device that is no session's, so that no captured run writes over it."""
    return runtime().OrtValue.ortvalue_from_shape_and_type(shape, kind, provider, 0)


class _Fixed:
    """Inputs and outputs that stay where they are."""

    def __init__(
        self, session: Any, provider: str, inputs: dict[str, Any], outputs: list[str]
    ) -> None:
        self._session, self._provider, self._names = session, provider, outputs
        self._binding = session.io_binding()
        self._inputs = {}
        for name, value in inputs.items():
            kind = np.float32 if isinstance(value, Resident) else np.asarray(value).dtype
            self._inputs[name] = placed(np.shape(value), kind, provider)
            self._binding.bind_ortvalue_input(name, self._inputs[name])
        self._outputs: dict[str, Any] = {}
        for name in outputs:  # the first run, which is never a captured one, makes them
            self._binding.bind_output(name, provider)

    def run(self, inputs: dict[str, Any], graph: str) -> None:
        """Fill the inputs and run that graph."""
        for name, value in inputs.items():
            if isinstance(value, Resident) and value.sign == 1 and value.row is None:
                self._inputs[name].update_inplace(value.value)
            else:
                self._inputs[name].update_inplace(_contiguous(value))
        self._session.run_with_iobinding(self._binding, options(graph))
        if not self._outputs:
            made = self._binding.get_outputs()
            self._outputs = dict(zip(self._names, made, strict=True))
            for name, value in self._outputs.items():
                self._binding.bind_ortvalue_output(name, value)

    def found(self, name: str) -> Any:
        """An output, which the next run leaves alone."""
        value = self._outputs[name]
        if name != STATE_OUT:
            return np.array(value.numpy())  # of the CPU's own memory that would be a view
        kept = placed(tuple(value.shape()), np.float32, self._provider)
        kept.update_inplace(value)
        return Resident(kept)


def _contiguous(value: Any) -> NDArray[Any]:
    return np.asarray(value, order="C")
