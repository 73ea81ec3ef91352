"""An engine for PyTorch programs: `.pt2` files of `rtmag export --target pt2|tensorrt`.

For machines with PyTorch but without a GPU build of ONNX Runtime, and for TensorRT. Images are
copied to the device as bytes; the state stays on the device. PyTorch is imported only when such a
file is opened.

On CUDA a step is captured as a CUDA graph for each input size (torch_cuda.py); if the capture
fails, steps run without a CUDA graph. A program of one size can be compiled by torch.compile, which
takes half a minute.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.engines.batching import StreamBatch, collate
from rtmag.realtime.engines.contract import CELL, FLOW, MAX_SECTIONS, GraphLayout
from rtmag.realtime.engines.engine import (
    Measured,
    SequentialSteps,
    cannot_measure,
    check_results,
    prepare,
    state_shape,
)
from rtmag.realtime.engines.spec import exported_precision, unsupported_scale
from rtmag.realtime.engines.torch_cuda import TorchCudaGraphs, download, upload
from rtmag.realtime.engines.torch_program import open_program
from rtmag.realtime.engines.warp import measured, measuring_alpha, pad
from rtmag.realtime.errors import (
    MissingExtra,
    ModelError,
    OptionError,
    ProviderUnavailable,
)
from rtmag.realtime.filters import Static
from rtmag.realtime.frame import Image
from rtmag.realtime.sections import Sections, State, padded

if TYPE_CHECKING:
    import torch


class TensorState:
    """A state in the memory of PyTorch's device; NumPy gets a copy on request."""

    def __init__(self, tensor: "torch.Tensor") -> None:
        self.tensor = tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """(1, 2 S C, h, w)."""
        return tuple(self.tensor.shape)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.tensor.cpu().numpy(), dtype)


class TorchEngine(SequentialSteps):
    """An exported program on PyTorch; motion scale 1 only.

    Every filter is padded to two sections, so that the shapes depend on the image size alone.

    Args:
        path: A `.pt2` file.
        provider: `cpu`, `cuda`, or `auto`: CUDA if PyTorch finds a GPU.
        compiled: Compile the program with torch.compile first.

    Raises:
        MissingExtra: PyTorch or torch-tensorrt is not installed.
        ModelError: torch.compile failed, for example because there is no C++ compiler.
        ModelIncompatible: not a file of `rtmag export`, or made for another machine.
        OptionError: the program cannot be compiled, because it accepts any size or any number of
            streams.
        ProviderUnavailable: PyTorch finds no CUDA GPU.
    """

    motion_scale = 1.0
    scalable = False

    def __init__(self, path: str | Path, *, provider: str = "auto", compiled: bool = False) -> None:
        try:
            import torch
        except ImportError as error:
            raise MissingExtra(
                f"cannot run {str(path)!r}: it needs PyTorch; pip install 'rtmag[train]'"
            ) from error
        self._torch = torch
        self._device = _device(torch, provider)
        self.provider: str = self._device.type
        program, self.metadata = open_program(path, self._device)
        self.precision = exported_precision(self.metadata)
        self._layout = GraphLayout.from_metadata(self.metadata, MAX_SECTIONS)
        self.name = self.described = self._layout.model
        self.streams_per_run = self._layout.streams_per_run
        size = self.metadata.get("rtmag.size")
        self.size: tuple[int, int] | None = None
        if size:
            width, height = size.split("x")
            self.size = int(width), int(height)
        if compiled:
            program = self._compile(program, str(path))
        self.compiled = compiled
        self._lock = Lock()
        self._graphs = TorchCudaGraphs(program) if self.provider == "cuda" else None
        self._program = self._graphs or program
        if compiled:
            self._warm_up()

    def _compile(self, program: Any, source: str) -> Any:
        """Wrap a program so that torch.compile compiles it at its first step."""
        if self.size is None or self.streams_per_run == float("inf"):
            raise OptionError(
                f"cannot compile {source!r}: it accepts any size or any number of streams; "
                "make one with rtmag export --target pt2 --size WxH"
            )
        # With constant sizes, the compiler of PyTorch 2.13 fails when a padded view is indexed.
        return self._torch.compile(program, dynamic=True)

    def _warm_up(self) -> None:
        """Take the first step, which compiles the program, before a live view needs one."""
        width, height = self.size or (0, 0)
        try:
            self.step(np.zeros((height, width, 3), np.uint8), 2.0, Static().sections(30.0), None)
        except ModelError as error:
            raise ModelError(f"{error}; without --compile it may run") from error

    @property
    def runtime(self) -> str:
        """Runtime and device: `torch cpu`, `torch cuda`, `torch cuda, compiled`."""
        return f"torch {self.provider}" + (", compiled" if self.compiled else "")

    @property
    def uses_cuda_graph(self) -> bool:
        """True if a step has been captured as a CUDA graph, which later steps replay."""
        return self._graphs is not None and self._graphs.captured

    def at(self, motion_scale: float) -> "TorchEngine":
        """This engine; ModelIncompatible at any motion scale but 1."""
        if motion_scale != self.motion_scale:
            raise unsupported_scale(self.name, motion_scale)
        return self

    def step(
        self, image: Image, alpha: float, sections: Sections, state: State | TensorState | None
    ) -> tuple[Image, State]:
        """Magnify one image; see the description of `rtmag.realtime.engines.engine`.

        Raises:
            ModelIncompatible: image or state do not fit the model or each other.
            ModelError: PyTorch failed, for example because memory ran out.
        """
        any_state: Any = state  # the interface's type is an array
        if "rtmag.streams" in self.metadata:
            images, states = self.step_many([image], [alpha], [sections], [any_state])
            return images[0], states[0]
        with self._inference():
            out, after, _ = self._run_one(image, alpha, sections, any_state)
            shown = download(out)[: image.shape[0], : image.shape[1]]
        return np.ascontiguousarray(shown), after

    def measure(
        self,
        image: Image,
        alpha: float,
        sections: Sections,
        state: State | TensorState | None,
        *,
        draw: bool = True,
    ) -> Measured:
        """Take a step and return the displacement of the scene as well; see `Engine.measure`.

        Raises:
            ModelIncompatible: as `step`; or the program returns only the picture.
            ModelError: as `step`.
        """
        any_state: Any = state
        if "rtmag.streams" in self.metadata:
            return self.measure_many([image], [alpha], [sections], [any_state], draw=draw)[0]
        used = measuring_alpha(alpha)
        with self._inference():
            out, after, rest = self._run_one(image, used, sections, any_state)
            flow = self._flow(rest, out.shape)
            drawn = download(out) if draw else None
        return measured(image, alpha, after, flow, draw=draw, drawn=drawn)

    def measure_many(
        self,
        images: Sequence[Image],
        alphas: Sequence[float],
        sections: Sequence[Sections],
        states: Sequence[State | None],
        *,
        draw: bool = True,
    ) -> list[Measured]:
        """Take one step of each stream as `measure` does; errors are those of `step_many`."""
        if "rtmag.streams" not in self.metadata or not images:
            return super().measure_many(images, alphas, sections, states, draw=draw)
        used = [measuring_alpha(alpha) for alpha in alphas]
        with self._inference():
            out, after, rest = self._run_many(images, used, sections, states)
            flows = self._flow(rest, out.shape)
            drawn = download(out) if draw else None
        return [
            measured(
                image, alphas[k], after[k], flows[k : k + 1],
                draw=draw, drawn=None if drawn is None else drawn[k],
            )
            for k, image in enumerate(images)
        ]  # fmt: skip

    def step_many(
        self,
        images: Sequence[Image],
        alphas: Sequence[float],
        sections: Sequence[Sections],
        states: Sequence[State | None],
    ) -> tuple[list[Image], list[State]]:
        """Take one step of each stream; as `OnnxEngine.step_many`."""
        if "rtmag.streams" not in self.metadata or not images:
            return super().step_many(images, alphas, sections, states)
        with self._inference():
            out, new_states, _ = self._run_many(images, alphas, sections, states)
            drawn = download(out)
        shown = [
            np.ascontiguousarray(drawn[k, : image.shape[0], : image.shape[1]])
            for k, image in enumerate(images)
        ]
        return shown, new_states

    def _run_one(
        self, image: Image, alpha: float, sections: Sections, state: State | None
    ) -> "tuple[torch.Tensor, State, Sequence[torch.Tensor]]":
        """Run a step of one stream; returns picture, state and the other outputs."""
        network_image = pad(image, self.size, self.name)
        stream = prepare(self._layout, network_image, alpha, sections, state)
        torch, channels = self._torch, stream.shape[1]
        shape = state_shape(self._layout, network_image, MAX_SECTIONS)
        memory = torch.zeros(shape, device=self._device)
        _fill(memory, stream.state, stream.sign)
        out, after, *rest = self._run(
            _tensor(network_image), torch.tensor(stream.alpha, dtype=torch.float32),
            _tensor(padded(stream.sections, MAX_SECTIONS)),
            torch.tensor(float(stream.state is None)), memory,
        )  # fmt: skip
        check_results(self.name, {"image": (out, network_image.shape), "state": (after, shape)})
        after = after[:, :channels]
        after = -after if stream.sign < 0 else after.clone()  # the buffer is overwritten
        return out, TensorState(after), rest  # type: ignore[return-value]

    def _run_many(
        self,
        images: Sequence[Image],
        alphas: Sequence[float],
        sections: Sequence[Sections],
        states: Sequence[State | None],
    ) -> "tuple[torch.Tensor, list[State], Sequence[torch.Tensor]]":
        """Run a step of several streams; returns pictures, states and the other outputs."""
        network_images = [pad(image, self.size, self.name) for image in images]
        batch = collate(self._layout, network_images, alphas, sections, states)
        inputs = (_tensor(batch.inputs[name]) for name in ("image", "alpha", "sections", "reset"))
        out, after, *rest = self._run(*inputs, self._batch_state(batch))
        expected = batch.inputs["image"].shape
        check_results(self.name, {"image": (out, expected), "state": (after, batch.shape)})
        after = after.clone()  # the buffer is overwritten by the next step
        new_states = [TensorState(part) for part in batch.split(after)]
        return out, new_states, rest  # type: ignore[return-value]

    def _flow(self, rest: "Sequence[torch.Tensor]", shape: tuple[int, ...]) -> NDArray[np.float32]:
        """The flow among the outputs that follow picture and state."""
        if not rest:
            raise cannot_measure(self.name)
        streams, (height, width) = shape[0] if len(shape) == 4 else 1, shape[-3:-1]
        expected = streams, 2, height // CELL, width // CELL
        check_results(self.name, {FLOW: (rest[0], expected)})
        flow = np.array(download(rest[0]))  # a copy: the buffer is overwritten by the next step
        if not np.isfinite(flow).all():
            raise ModelError(f"model {self.name!r} returned NaN or infinite motion")
        return flow

    def _batch_state(self, batch: StreamBatch) -> "torch.Tensor":
        """The states of a batch as one tensor on the device."""
        memory = self._torch.zeros(batch.shape, device=self._device)
        for k, stream in enumerate(batch.steps):
            _fill(memory[k : k + 1], stream.state, stream.sign)
        return memory

    @contextmanager
    def _inference(self) -> Iterator[None]:
        """PyTorch without gradients, one step at a time; its errors become `ModelError`.

        Captured steps share their buffers, and the precision is a setting of the whole process.
        """
        try:
            with self._lock, self._torch.inference_mode():
                yield
        except ModelError:
            raise
        except RuntimeError as error:
            lines = [line for line in str(error).splitlines() if not line.endswith("raised:")]
            reason = (lines or ["?"])[0]
            raise ModelError(f"cannot run model {self.name!r} on torch: {reason}") from error

    def _run(self, *inputs: "torch.Tensor") -> "tuple[torch.Tensor, ...]":
        outputs: tuple[torch.Tensor, ...] = self._program(
            *(upload(i, self._device) for i in inputs)
        )
        return outputs


def _fill(memory: "torch.Tensor", state: Any, sign: int) -> None:
    """Copy one stream's state into the first channels of its place in a batch."""
    if state is None:
        return
    own = _tensor(state) if isinstance(state, np.ndarray) else state.tensor
    part = memory[:, : own.shape[1]]
    part.copy_(own)
    if sign < 0:
        part.neg_()


def _device(torch: Any, provider: str) -> Any:
    """The device, with its index, because a program distinguishes cuda from cuda:0."""
    if provider == "auto":
        provider = "cuda" if torch.cuda.is_available() else "cpu"
    if provider not in ("cpu", "cuda"):
        raise ProviderUnavailable(f"provider must be auto, cuda or cpu, got {provider!r}")
    if provider == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise ProviderUnavailable("cannot open provider 'cuda': PyTorch finds no CUDA GPU")
    return torch.device("cuda", torch.cuda.current_device())


def _tensor(array: Any) -> "torch.Tensor":
    """An array as a tensor on the CPU, without a copy if it is contiguous."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(array))
