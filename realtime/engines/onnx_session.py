"""A graph that is ready to run, whatever runs it; and the one on ONNX Runtime.

Values go in and come out by name as arrays. Where a device other than the CPU runs the graph, its
state stays there from step to step (onnx_state.py): only the picture and a few numbers
cross the bus. On CUDA, steps are captured as graphs and replayed where that can be done
(rtmag/realtime/engines/onnx_cuda_graph.py).
"""

import re
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.engines import onnx_providers as providers
from rtmag.realtime.engines.contract import STATE_OUT, Values
from rtmag.realtime.engines.onnx_cuda_graph import PLAIN, Replay, options, placed
from rtmag.realtime.engines.onnx_state import Resident
from rtmag.realtime.errors import MissingExtra, ModelIncompatible, ProviderUnavailable, RtmagError
from rtmag.realtime.log import logger


class Session(Protocol):
    """A graph and what runs it."""

    provider: str
    """What runs it: `cpu`, `cuda`, `openvino`."""
    metadata: dict[str, str]
    """What the model says about itself."""
    inputs: Values
    outputs: Values
    size: tuple[int, int] | None
    """(height, width) of `image`, in a graph made for one size only."""

    def run(self, outputs: list[str], inputs: dict[str, Any]) -> list[Any]:
        """The outputs asked for; whatever the runtime raises is passed on."""
        ...


class OrtSession:
    """A graph on one of ONNX Runtime's providers."""

    def __init__(
        self,
        model: bytes,
        provider: str,
        threads: int | None = None,
        *,
        bound: bool | None = None,
        replayed: bool | None = None,
    ) -> None:
        """Open it; raises as `providers.open_session`.

        `bound` keeps the state on the provider's device: None is wherever that is not the CPU,
        whose arrays NumPy can see without a copy. `replayed` also keeps inputs and outputs in
        their places, to capture what runs between them: None is where that can be done.
        """
        self.provider = provider
        self._bound = provider != "cpu" if bound is None else bound
        self._open = partial(providers.open_session, model, provider, threads)
        self._replay: Replay | None = None
        if provider == "cuda" if replayed is None else replayed:
            try:
                self._session = self._open(captured=provider == "cuda")
                self._replay = Replay(self._session, provider)
            except ProviderUnavailable:
                raise
            except Exception as error:  # a part of it would run on the CPU
                self._plainly(error)
        else:
            self._session = self._open()
        self.metadata = dict(self._session.get_modelmeta().custom_metadata_map)
        self.inputs = _values(self._session.get_inputs())
        self.outputs = _values(self._session.get_outputs())
        shape = next((v.shape for v in self._session.get_inputs() if v.name == "image"), ())
        sides = shape[-3:-1]  # before them, streams
        self.size = tuple(sides) if sides and all(isinstance(n, int) for n in sides) else None

    def run(self, outputs: list[str], inputs: dict[str, Any]) -> list[Any]:
        """The outputs asked for."""
        if not self._bound:
            found: list[NDArray[Any]] = self._session.run(outputs, inputs)
            return found
        if self._replay is not None:
            try:
                replayed = self._replay.run(outputs, inputs)
            except Exception as error:  # onnxruntime's errors share no other base class
                self._plainly(error)
            else:
                if replayed is not None:
                    return replayed
        return self._run_bound(outputs, inputs)

    def _run_bound(self, outputs: list[str], inputs: dict[str, Any]) -> list[Any]:
        """Plainly, with the state where it lies."""
        binding = self._session.io_binding()
        held = []  # a binding may look at arrays without keeping them
        for name, value in inputs.items():
            if isinstance(value, Resident) and value.sign == 1 and value.row is None:
                binding.bind_ortvalue_input(name, value.value)
            else:
                held.append(np.asarray(value, order="C"))
                binding.bind_cpu_input(name, held[-1])
        for name in outputs:
            if name != STATE_OUT:
                binding.bind_output(name, "cpu")
            elif self._replay is None:
                binding.bind_output(name, self.provider)
            else:  # the session's own memory is where captured runs reckon
                shape = tuple(np.shape(inputs["state"]))
                binding.bind_ortvalue_output(name, placed(shape, np.float32, self.provider))
        self._session.run_with_iobinding(binding, None if self._replay is None else options(PLAIN))
        results = zip(outputs, binding.get_outputs(), strict=True)
        return [Resident(value) if name == STATE_OUT else value.numpy() for name, value in results]

    @property
    def captured(self) -> bool:
        """Whether steps are replayed."""
        return self._replay is not None and self._replay.captured > 0

    def _plainly(self, error: Exception) -> None:
        """Run no graphs from here on."""
        logger().debug("steps on %s are not captured: %s", self.provider, error)
        self._replay, self._session = None, self._open()


def _values(given: Any) -> Values:
    kinds = ((value, re.sub(r"tensor\((\w+)\)", r"\1", value.type)) for value in given)
    return {value.name: (kind, len(value.shape)) for value, kind in kinds}


PREFERENCE = ("cuda", "openvino", "onnx")
"""What `auto` tries, best first."""

_WHERE = ("Exception from ", "Check '")
"""How lines of OpenVINO's errors begin that name a line of its own."""


def open_best(
    forms: dict[str, bytes], source: str, engine: str, threads: int | None, precision: str
) -> Session:
    """A session on the graph that the engine would run; `auto` tries the best first.

    That ends at ONNX Runtime on the CPU. The rest is as of `load_engine`.
    """
    if engine == "auto":
        *better, engine = (name for name in PREFERENCE if name in forms)
        for name in better:
            with suppress(MissingExtra, ProviderUnavailable):
                return _open_on(name, forms[name], source, threads, precision, asked=False)
    return _open_on(engine, forms.get(engine, b""), source, threads, precision)


def _open_on(
    engine: str,
    model: bytes,
    source: str,
    threads: int | None,
    precision: str,
    *,
    asked: bool = True,
) -> Session:
    try:
        if engine == "openvino":
            from rtmag.realtime.engines.openvino_session import OpenvinoSession, has_bfloat16

            bfloat16 = precision == "auto" and has_bfloat16()
            if asked or bfloat16:
                session = OpenvinoSession(model, threads, bfloat16=bfloat16)
                if asked or session.mixed:
                    return session
            raise ProviderUnavailable("openvino was not seen to be faster without bfloat16")
        # ONNX Runtime takes 28 MB, which is for nothing where OpenVINO comes next.
        if engine == "cuda" and not (asked or providers.has_nvidia_driver()):
            raise ProviderUnavailable("there is no NVIDIA driver")
        return OrtSession(model, "cpu" if engine == "onnx" else engine, threads)
    except RtmagError:
        raise
    except Exception as error:  # the runtimes' errors share no other base class
        if engine == "onnx":
            raise ModelIncompatible(
                f"cannot load model {source!r}: not an ONNX model this version can run"
            ) from error
        raise ProviderUnavailable(f"cannot open engine {engine!r}: {reason(error)}") from error


def reason(error: Exception) -> str:
    """The first line that says more than where, without onnxruntime's codes."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(_WHERE)] or lines
    return (telling or [type(error).__name__])[0].rpartition(" : ")[2]
