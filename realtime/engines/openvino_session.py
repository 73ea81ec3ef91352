"""A graph on OpenVINO, which is faster than ONNX Runtime on many CPUs.

Graphs are compiled for each input size, which takes a tenth of a second or more. A graph compiled
for all sizes would be a third slower. While sizes change so often that compiling would take more
than a tenth of the time, new sizes run on ONNX Runtime, which needs no compilation.

On CPUs with bfloat16 instructions, part of a graph runs in bfloat16
(rtmag/realtime/engines/openvino_bf16.py).
"""

from collections.abc import Callable, Iterable
from functools import cache, partial
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.engines.contract import INPUTS, Values
from rtmag.realtime.engines.onnx_session import OrtSession
from rtmag.realtime.engines.openvino_bf16 import CROSSING, bfloat16_nodes, split
from rtmag.realtime.engines.size_cache import Allowance, SizeCache
from rtmag.realtime.engines.spec import FP32, exported_precision
from rtmag.realtime.environment import disable_telemetry, usable_cores
from rtmag.realtime.errors import MissingExtra, ProviderUnavailable

MAX_UNUSED_RUNS = 12
"""A compiled size is dropped after this number of runs without it. Streams of different sizes
alternate within fewer runs. A live view that reduced its motion scale needs the old size later."""

_TYPES = {"f32": "float", "u8": "uint8", "i8": "int8"}
"""Names of element types in the contract, by OpenVINO's names."""

Run = Callable[[dict[str, Any]], dict[str, NDArray[Any]]]
"""Function from inputs to outputs, both by name."""


@cache
def core() -> Any:
    """OpenVINO's Core object, which sends nothing.

    Raises:
        MissingExtra: OpenVINO is not installed or does not load.
    """
    disable_telemetry()
    try:
        from openvino import Core
    except ImportError as error:
        raise MissingExtra(
            "engine 'openvino' needs OpenVINO: pip install 'rtmag[openvino]'"
        ) from error
    return Core()


def has_bfloat16() -> bool:
    """True if this CPU has bfloat16 instructions; raises as `core`."""
    return "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class OpenvinoSession:
    """A graph on the CPU, run by OpenVINO; compiled for each input size at its first step.

    Args:
        model: A serialised ONNX model in one piece.
        threads: CPU threads; None: one per usable core.
        bfloat16: Run part of the graph in bfloat16; None: only on CPUs with such instructions.

    Raises:
        MissingExtra: OpenVINO is not installed.
        ProviderUnavailable: the model does not use all of its inputs. OpenVINO's own exceptions are
            passed on.
    """

    provider = "openvino"
    uses_cuda_graph = False

    def __init__(
        self, model: bytes, threads: int | None = None, *, bfloat16: bool | None = None
    ) -> None:
        self._bytes = model
        self._options = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads or usable_cores(),
        }
        self._threads = threads
        self._compiled: SizeCache[Run] = SizeCache(unused=MAX_UNUSED_RUNS)
        self._allowance = Allowance()
        self._substitute: OrtSession | None = None
        """Runs new sizes while the allowance is exhausted."""
        self._lock = Lock()
        """Held during a run, because a request takes one run at a time."""
        graph = core().read_model(model)
        info = graph.get_rt_info()
        metadata = graph.get_rt_info(["framework"]).value if "framework" in info else {}
        self.metadata: dict[str, str] = {key: str(value) for key, value in metadata.items()}
        allowed = has_bfloat16() if bfloat16 is None else bfloat16
        # Graphs that contain half precision return NaN in bfloat16.
        suitable = allowed and exported_precision(self.metadata) == FP32
        self.bfloat16 = suitable and bfloat16_nodes(graph.get_ordered_ops()) is not None
        self.inputs, self.outputs = _values(graph.inputs), _values(graph.outputs)
        if unused := INPUTS.keys() - self.inputs:  # OpenVINO removes such inputs from the graph
            raise ProviderUnavailable(
                "cannot open engine 'openvino': the model does not use its inputs "
                f"{', '.join(sorted(unused))}; give --engine onnx"
            )
        self.size: tuple[int, int] | None = None
        if self.inputs.get("image", ("", 0))[1] >= 3:
            shape = list(graph.input("image").partial_shape)
            sides = [side for side in shape[-3:-1] if side.is_static]  # streams may come first
            if len(sides) == 2:
                self.size = sides[0].get_length(), sides[1].get_length()

    def run(self, outputs: list[str], inputs: dict[str, Any]) -> list[Any]:
        """The requested outputs."""
        key = tuple(np.shape(inputs[name]) for name in ("image", "sections", "state"))
        with self._lock:
            if key not in self._compiled and self._allowance.exhausted:
                if self._substitute is None:
                    self._substitute = OrtSession(self._bytes, "cpu", self._threads)
                return self._substitute.run(outputs, inputs)
            compiled = partial(self._allowance.run, partial(self._compile, inputs))
            results = self._compiled.get(key, compiled)(inputs)
        return [results[name] for name in outputs]

    def _compile(self, inputs: dict[str, Any]) -> Run:
        """Compile the graph for the shapes of these inputs, as one part or as two."""
        model = core().read_model(self._bytes)
        model.reshape({name: list(np.shape(value)) for name, value in inputs.items()})
        parts = split(model) if self.bfloat16 else None
        if parts is None:
            return _Request(self._infer_request(model, "f32"))
        precisions = ("f32", "bf16")
        first, second = map(self._infer_request, parts, precisions)
        shared = [name for name in _names(second.model_inputs) if name.startswith(CROSSING)]
        count = len(first.model_outputs) - len(shared)
        for place, name in enumerate(shared, count):  # both parts use one tensor without a copy
            second.set_tensor(name, first.get_output_tensor(place))
        run_first, run_second = _Request(first, count), _Request(second)
        return lambda inputs: run_first(inputs) | run_second(inputs)

    def _infer_request(self, model: Any, precision: str) -> Any:
        options = self._options | {"INFERENCE_PRECISION_HINT": precision}
        return core().compile_model(model, "CPU", options).create_infer_request()


class _Request:
    """A compiled graph or a part of one.

    A call gets the inputs of the whole graph by name, and ignores those that this part lacks. It
    returns the outputs of this part by name.
    """

    def __init__(self, request: Any, outputs: int | None = None) -> None:
        """Return the first `outputs` outputs only; the others are inputs of the second part."""
        self._request = request
        self._inputs = _names(request.model_inputs)
        self._outputs = _names(request.model_outputs[:outputs])

    def __call__(self, inputs: dict[str, Any]) -> dict[str, NDArray[Any]]:
        arrays = {n: np.asarray(inputs[n], order="C") for n in self._inputs if n in inputs}
        self._request.infer(arrays, share_inputs=True, share_outputs=True)
        # Copies, because the next step overwrites the tensors.
        return {name: np.array(self._request.get_tensor(name).data) for name in self._outputs}


def _names(ports: Iterable[Any]) -> list[str]:
    return [port.any_name for port in ports]


def _values(ports: Iterable[Any]) -> Values:
    kinds = ((port, port.element_type.get_type_name()) for port in ports)
    return {
        port.any_name: (_TYPES.get(kind, kind), len(port.partial_shape)) for port, kind in kinds
    }
