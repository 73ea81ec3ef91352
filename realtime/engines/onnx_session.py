"""A graph that is ready to run: the interface, and its implementation on ONNX Runtime.

Values are passed by name, as arrays. On a device other than the CPU, the state stays in device
memory between steps (onnx_state.py): only the image and a few numbers are copied. On CUDA, steps
are captured as CUDA graphs where the graph allows it (onnx_cuda_graph.py).
"""

import re
from functools import partial
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.engines import onnx_providers as providers
from rtmag.realtime.engines.contract import STATE_OUT, Values
from rtmag.realtime.engines.onnx_cuda_graph import (
    NO_GRAPH,
    OrtCudaGraphs,
    device_buffer,
    run_options,
)
from rtmag.realtime.engines.onnx_state import DeviceState
from rtmag.realtime.errors import ProviderUnavailable
from rtmag.realtime.log import logger


class Session(Protocol):
    """A graph on a runtime."""

    provider: str
    """`cpu`, `cuda` or `openvino`."""
    metadata: dict[str, str]
    """The model file's metadata."""
    inputs: Values
    outputs: Values
    size: tuple[int, int] | None
    """(height, width) of `image`, px, in a graph made for one size; else None."""
    bfloat16: bool
    """True if part of the graph runs in bfloat16."""

    @property
    def uses_cuda_graph(self) -> bool:
        """True if a step has been captured as a CUDA graph, which later steps replay."""
        ...

    def run(self, outputs: list[str], inputs: dict[str, Any]) -> list[Any]:
        """The requested outputs; the runtime's exceptions are passed on."""
        ...


class OrtSession:
    """A graph on one execution provider of ONNX Runtime.

    Args:
        model: A serialised ONNX model in one piece.
        provider: `cpu` or `cuda`.
        threads: Threads of the CPU provider; None: one per usable core.
        device_state: Keep the state in the provider's memory. None: on every provider except the
            CPU, which uses the same memory as NumPy.
        cuda_graphs: Use fixed buffers and capture CUDA graphs. None: only on CUDA. Other providers
            run the same code but capture nothing.

    Raises:
        MissingExtra, ProviderUnavailable: as `onnx_providers.open_session`.
    """

    bfloat16 = False

    def __init__(
        self,
        model: bytes,
        provider: str = "cpu",
        threads: int | None = None,
        *,
        device_state: bool | None = None,
        cuda_graphs: bool | None = None,
    ) -> None:
        self.provider = provider
        self._device_state = provider != "cpu" if device_state is None else device_state
        self._open = partial(providers.open_session, model, provider, threads)
        self._graphs: OrtCudaGraphs | None = None
        self._lock = Lock()
        """Held during a run on a device, because captured runs share their buffers."""
        if provider == "cuda" if cuda_graphs is None else cuda_graphs:
            try:
                self._session = self._open(cuda_graph=provider == "cuda")
                self._graphs = OrtCudaGraphs(self._session, provider)
            except ProviderUnavailable:
                raise
            except Exception as error:  # raised if part of the graph would run on the CPU
                self._stop_graphs(error)
        else:
            self._session = self._open()
        self.metadata = dict(self._session.get_modelmeta().custom_metadata_map)
        self.inputs = _values(self._session.get_inputs())
        self.outputs = _values(self._session.get_outputs())
        shape = next((v.shape for v in self._session.get_inputs() if v.name == "image"), ())
        sides = shape[-3:-1]  # a stream dimension may come first
        self.size = tuple(sides) if sides and all(isinstance(n, int) for n in sides) else None

    @property
    def uses_cuda_graph(self) -> bool:
        """True if a step has been captured as a CUDA graph, which later steps replay."""
        return self._graphs is not None and len(self._graphs) > 0

    def run(self, outputs: list[str], inputs: dict[str, Any]) -> list[Any]:
        """The requested outputs."""
        if not self._device_state:
            results: list[NDArray[Any]] = self._session.run(outputs, inputs)
            return results
        with self._lock:
            return self._run_on_device(outputs, inputs)

    def _run_on_device(self, outputs: list[str], inputs: dict[str, Any]) -> list[Any]:
        """Run with the state in device memory, by a captured CUDA graph if there is one."""
        if self._graphs is not None:
            try:
                replayed = self._graphs.run(outputs, inputs)
            except Exception as error:  # onnxruntime's errors share no other base class
                self._stop_graphs(error)
            else:
                if replayed is not None:
                    return replayed
        return self._run_bound(outputs, inputs)

    def _run_bound(self, outputs: list[str], inputs: dict[str, Any]) -> list[Any]:
        """Run without a CUDA graph; the state stays in device memory."""
        binding = self._session.io_binding()
        arrays = []  # a binding may refer to arrays without keeping them alive
        for name, value in inputs.items():
            if name == "state" and not isinstance(value, np.ndarray) and value.plain:
                binding.bind_ortvalue_input(name, value.value)
            else:
                arrays.append(np.asarray(value, order="C"))
                binding.bind_cpu_input(name, arrays[-1])
        for name in outputs:
            if name != STATE_OUT:
                binding.bind_output(name, "cpu")
            elif self._graphs is None:
                binding.bind_output(name, self.provider)
            else:  # captured runs use the session's own memory
                shape = tuple(np.shape(inputs["state"]))
                buffer = device_buffer(shape, np.float32, self.provider)
                binding.bind_ortvalue_output(name, buffer)
        options = None if self._graphs is None else run_options(NO_GRAPH)
        self._session.run_with_iobinding(binding, options)
        results = zip(outputs, binding.get_outputs(), strict=True)
        return [DeviceState(v) if name == STATE_OUT else v.numpy() for name, v in results]

    def _stop_graphs(self, error: Exception) -> None:
        """Run without CUDA graphs from now on, in a new session."""
        logger().debug("steps on %s are not captured: %s", self.provider, error)
        self._graphs, self._session = None, self._open()


def _values(ports: Any) -> Values:
    """Types and dimensions of onnxruntime's inputs or outputs."""
    kinds = ((port, re.sub(r"tensor\((\w+)\)", r"\1", port.type)) for port in ports)
    return {port.name: (kind, len(port.shape)) for port, kind in kinds}


_LOCATION = ("Exception from ", "Check '")
"""Prefixes of lines in OpenVINO's errors that contain only a place in its source code."""


def error_reason(error: Exception) -> str:
    """The first informative line of a runtime's error, without onnxruntime's codes."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    informative = [line for line in lines if not line.startswith(_LOCATION)] or lines
    return (informative or [type(error).__name__])[0].rpartition(" : ")[2]
