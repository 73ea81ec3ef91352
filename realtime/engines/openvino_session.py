"""Runs a graph by OpenVINO, which takes less time than ONNX Runtime on many CPUs.

Graphs are compiled for each size of the picture (a tenth of a second or more), as those for any
size are a third slower.

Where the CPU multiplies bfloat16 numbers, part of a graph is run in those: see
rtmag/realtime/engines/openvino_bf16.py.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.engines.contract import INPUTS, Values
from rtmag.realtime.engines.openvino_bf16 import CROSSING, rest, split
from rtmag.realtime.engines.spec import FP32, exported
from rtmag.realtime.environment import usable_cores
from rtmag.realtime.errors import MissingExtra, ProviderUnavailable

KEPT = 4
"""Compiled sizes that are remembered at most."""

UNUSED = 12
"""Runs after which a size that none of them had is forgotten: a large one takes 200 MB. Streams
that take turns come again sooner; a live view that looks more and more coarsely goes on later."""

_TYPES = {"f32": "float", "u8": "uint8", "i8": "int8"}

Run = Callable[[dict[str, Any]], dict[str, NDArray[Any]]]


@cache
def core() -> Any:
    """What opens models.

    Raises:
        MissingExtra: OpenVINO is not installed or does not load.
    """
    try:
        from openvino import Core
    except ImportError as error:
        raise MissingExtra(
            "engine 'openvino' needs OpenVINO: pip install 'rtmag[openvino]'"
        ) from error
    return Core()


def has_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 numbers; raises as `core`."""
    return "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class OpenvinoSession:
    """A graph on the CPU by OpenVINO."""

    provider = "openvino"

    def __init__(
        self, model: bytes, threads: int | None = None, *, bfloat16: bool | None = None
    ) -> None:
        """Read it; it is compiled once a picture's size is known.

        Args:
            model: A serialised ONNX model in one piece.
            threads: None is one per usable core.
            bfloat16: Whether part of it may be run in that; None: where the CPU has it.

        Raises:
            MissingExtra: OpenVINO is not installed.
            ProviderUnavailable: the model has inputs that it does not use. What OpenVINO itself
                says of a model is passed on.
        """
        self._bytes = model
        self._options = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads or usable_cores(),
        }
        self._compiled: OrderedDict[tuple[tuple[int, ...], ...], tuple[Run, int]] = OrderedDict()
        """Each with the number of its last run, the latest last."""
        self._runs = 0
        read = core().read_model(model)
        told = "framework" in read.get_rt_info()
        about = read.get_rt_info(["framework"]).value if told else {}
        self.metadata: dict[str, str] = {key: str(value) for key, value in about.items()}
        wanted = has_bfloat16() if bfloat16 is None else bfloat16
        # Graphs with half precision in them come to numbers that are none in bfloat16.
        fit = wanted and exported(self.metadata) == FP32
        self.mixed = fit and rest(read.get_ordered_ops()) is not None
        """Whether part of it is run in bfloat16."""
        self.inputs, self.outputs = _values(read.inputs), _values(read.outputs)
        if unused := INPUTS.keys() - self.inputs:  # it drops those, and so hides the contract
            raise ProviderUnavailable(
                "cannot open engine 'openvino': the model does not use its inputs "
                f"{', '.join(sorted(unused))}; give --engine onnx"
            )
        self.size: tuple[int, int] | None = None
        if self.inputs.get("image", ("", 0))[1] >= 3:
            shape = list(read.input("image").partial_shape)
            sides = [side for side in shape[-3:-1] if side.is_static]  # before them, streams
            if len(sides) == 2:
                self.size = sides[0].get_length(), sides[1].get_length()

    def run(self, outputs: list[str], inputs: dict[str, Any]) -> list[Any]:
        """The outputs asked for."""
        key = tuple(np.shape(inputs[name]) for name in ("image", "sections", "state"))
        run, _ = self._compiled.pop(key, (None, 0))
        if run is None:
            run = self._compile({name: list(np.shape(value)) for name, value in inputs.items()})
        self._runs += 1
        self._compiled[key] = run, self._runs
        for old, (_, last) in list(self._compiled.items()):
            if len(self._compiled) > KEPT or self._runs - last > UNUSED:
                del self._compiled[old]
        found = run(inputs)
        return [found[name] for name in outputs]

    def _compile(self, shapes: dict[str, list[int]]) -> Run:
        model = core().read_model(self._bytes)
        model.reshape(shapes)
        parts = split(model) if self.mixed else None
        if parts is None:
            return _Request(self._opened(model, "f32"))
        first, second = (self._opened(m, p) for m, p in zip(parts, ("f32", "bf16"), strict=True))
        taken = [name for name in _names(second.model_inputs) if name.startswith(CROSSING)]
        own = len(first.model_outputs) - len(taken)
        for place, name in enumerate(taken, own):  # seen by both, copied by none
            second.set_tensor(name, first.get_output_tensor(place))
        run, after = _Request(first, own), _Request(second)
        return lambda inputs: run(inputs) | after(inputs)

    def _opened(self, model: Any, precision: str) -> Any:
        options = self._options | {"INFERENCE_PRECISION_HINT": precision}
        return core().compile_model(model, "CPU", options).create_infer_request()


class _Request:
    """A compiled graph, or a part: takes of the inputs those it has, gives its outputs by name."""

    def __init__(self, request: Any, given: int | None = None) -> None:
        """`given` of its outputs, the first, are for others than another part."""
        self._request = request
        self._taken = _names(request.model_inputs)
        self._given = _names(request.model_outputs[:given])

    def __call__(self, inputs: dict[str, Any]) -> dict[str, NDArray[Any]]:
        wanted = {n: np.asarray(inputs[n], order="C") for n in self._taken if n in inputs}
        self._request.infer(wanted, share_inputs=True, share_outputs=True)
        # Copies, as a state outlives the next step.
        return {name: np.array(self._request.get_tensor(name).data) for name in self._given}


def _names(ports: Iterable[Any]) -> list[str]:
    return [port.any_name for port in ports]


def _values(ports: Iterable[Any]) -> Values:
    kinds = ((port, port.element_type.get_type_name()) for port in ports)
    return {
        port.any_name: (_TYPES.get(kind, kind), len(port.partial_shape)) for port, kind in kinds
    }
