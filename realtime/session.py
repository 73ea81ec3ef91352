"""A graph that is ready to run, whatever runs it; and the one on ONNX Runtime.

Values go in and come out by name as arrays. Where a device other than the CPU runs the graph, its
state stays there from step to step (rtmag/realtime/resident.py): only the picture and a few numbers
cross the bus. On CUDA, steps are captured as graphs and replayed where that can be done
(rtmag/realtime/replay.py).
"""

import re
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime import providers
from rtmag.realtime.contract import STATE_OUT, Values
from rtmag.realtime.errors import ProviderUnavailable
from rtmag.realtime.redaction import logger
from rtmag.realtime.replay import PLAIN, Replay, options, placed
from rtmag.realtime.resident import Resident


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
