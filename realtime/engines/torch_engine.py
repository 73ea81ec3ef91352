"""Runs an exported magnifier by PyTorch: files `.pt2` of `rtmag export --target pt2|tensorrt`.

For machines with PyTorch but no GPU build of ONNX Runtime, and the way to TensorRT. Pictures cross
the bus as bytes, state stays on the device. The live loop imports torch only once such a file is
opened.

On CUDA a step is captured as a graph for each size of the picture and replayed
(torch_cuda.py); where capture fails, steps are run plainly. A program of one size
may be compiled by torch.compile beforehand, which takes half a minute.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.engines.batching import Gathering, Layout, gather
from rtmag.realtime.engines.contract import SECTIONS, streams_at_once
from rtmag.realtime.engines.engine import InTurn
from rtmag.realtime.engines.onnx_state import parted
from rtmag.realtime.engines.spec import one_scale
from rtmag.realtime.engines.torch_cuda import Captured, download, upload
from rtmag.realtime.engines.torch_program import open_program
from rtmag.realtime.engines.warp import bordered
from rtmag.realtime.errors import (
    MissingExtra,
    ModelError,
    ModelIncompatible,
    OptionError,
    ProviderUnavailable,
)
from rtmag.realtime.filters import Static
from rtmag.realtime.frame import Image
from rtmag.realtime.sections import Sections, State, negated, padded

if TYPE_CHECKING:
    import torch


class OnDevice:
    """A state that stays where the network runs; NumPy gets a copy when it asks for one."""

    def __init__(self, tensor: "torch.Tensor") -> None:
        self.tensor = tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """(1, 2 S C, h, w)."""
        return tuple(self.tensor.shape)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.tensor.cpu().numpy(), dtype)


class TorchEngine(InTurn):
    """An exported program on PyTorch; as `OnnxEngine`, but at motion scale 1 only.

    Every filter is run as one of two sections, so that all shapes are known beforehand.
    """

    motion_scale = 1.0
    composes = False

    def __init__(self, path: str | Path, *, provider: str = "auto", compiled: bool = False) -> None:
        """Open a file; `compiled`: have torch.compile make faster kernels of it first.

        Raises:
            MissingExtra: PyTorch (or what the file needs besides) is not installed.
            ModelError: it does not compile, for want of a compiler for example.
            ModelIncompatible: not a file of ours, or made for another machine.
            OptionError: it cannot be compiled, as it is for any size or number of streams.
            ProviderUnavailable: no such device here.
        """
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
        self.name = self.metadata["rtmag.model"]
        self.at_once = streams_at_once(self.metadata)
        """Streams that one run of the program takes; infinitely many for any number."""
        self._channels = int(self.metadata["rtmag.channels"])
        self._stride = int(self.metadata["rtmag.stride"])
        self._layout = Layout(self.name, self._channels, self._stride, self.at_once, SECTIONS)
        size = self.metadata.get("rtmag.size")
        self.size: tuple[int, int] | None = None
        """(width, height) with the border, when the model was exported for one size only."""
        if size:
            width, height = size.split("x")
            self.size = int(width), int(height)
        if compiled:
            program = self._compiled(program, str(path))
        self.compiled = compiled
        self._program = Captured(program) if self.provider == "cuda" else program
        if compiled:
            self._prepare()

    def _compiled(self, program: Any, source: str) -> Any:
        if self.size is None or self.at_once == float("inf"):
            raise OptionError(
                f"cannot compile {source!r}: it is for any size, or any number of streams; "
                "make one with rtmag export --target pt2 --size WxH"
            )
        # With sizes as constants PyTorch 2.13 fails at the index of a padded view.
        return self._torch.compile(program, dynamic=True)

    def _prepare(self) -> None:
        """Take a step: a program is compiled in its first one, and a live view's has no time."""
        width, height = self.size or (0, 0)
        try:
            self.step(np.zeros((height, width, 3), np.uint8), 2.0, Static().sections(30.0), None)
        except ModelError as error:
            raise ModelError(f"{error}; without --compile it may run") from error

    @property
    def captured(self) -> bool:
        """Whether steps are replayed as CUDA graphs."""
        return isinstance(self._program, Captured) and self._program.captured

    @property
    def described(self) -> str:
        """Name, and what runs it."""
        how = ", compiled" if self.compiled else ""
        return f"{self.name}, torch on {self.provider}{how}"

    def at(self, motion_scale: float) -> "TorchEngine":
        """Itself; ModelIncompatible at any motion scale but 1."""
        if motion_scale != self.motion_scale:
            raise one_scale(self.name, motion_scale)
        return self

    def step(
        self, image: Image, alpha: float, sections: Sections, state: State | OnDevice | None
    ) -> tuple[Image, State]:
        """Magnify one image; see `rtmag.realtime.engines.engine`.

        Raises:
            ModelIncompatible: image or state do not fit the model or each other.
            ModelError: PyTorch failed, for want of memory for example.
        """
        if "rtmag.streams" in self.metadata:
            images, states = self.step_many([image], [alpha], [sections], [state])  # type: ignore[list-item]
            return images[0], states[0]
        seen = bordered(image, self.size, self.name)
        h, w = (side // self._stride for side in seen.shape[:2])
        count, opposite = len(sections), alpha < 1
        expected = (1, 2 * count * self._channels, h, w)
        if state is not None and tuple(state.shape) != expected:
            raise ModelIncompatible(f"model expects state {expected}, got {tuple(state.shape)}")
        if opposite:
            alpha, sections = 2 - alpha, negated(sections)
        torch = self._torch
        with self._running():
            memory = torch.zeros(1, 2 * SECTIONS * self._channels, h, w, device=self._device)
            if state is not None:
                known = memory[:, : expected[1]]
                known.copy_(state.tensor if isinstance(state, OnDevice) else _tensor(state))
                if opposite:
                    known.neg_()
            out, after = self._run(
                _tensor(seen), torch.tensor(alpha, dtype=torch.float32),
                _tensor(padded(sections, SECTIONS)), torch.tensor(float(state is None)), memory,
            )  # fmt: skip
            after = after[:, : expected[1]]
            after = -after if opposite else after.clone()
            shown = download(out)[: image.shape[0], : image.shape[1]]
        return np.ascontiguousarray(shown), OnDevice(after)  # type: ignore[return-value]

    def step_many(
        self,
        images: Sequence[Image],
        alphas: Sequence[float],
        sections: Sequence[Sections],
        states: Sequence[State | None],
    ) -> tuple[list[Image], list[State]]:
        """One step of several streams; as of `OnnxEngine.step_many`."""
        if "rtmag.streams" not in self.metadata or not images:
            return super().step_many(images, alphas, sections, states)
        seen = [bordered(image, self.size, self.name) for image in images]
        batch = gather(self._layout, seen, alphas, sections, states)
        with self._running():
            given = (
                _tensor(batch.inputs[name]) for name in ("image", "alpha", "sections", "reset")
            )
            out, after = self._run(*given, self._memory(batch))
            after = after.clone()  # of a graph's buffer, which the next step fills
            kept = [OnDevice(part) for part in parted(after, batch)]
            drawn = download(out)
        shown = [
            np.ascontiguousarray(drawn[k, : image.shape[0], : image.shape[1]])
            for k, image in enumerate(images)
        ]
        return shown, kept  # type: ignore[return-value]

    def _memory(self, batch: Gathering) -> "torch.Tensor":
        """The states of a batch as one, where the network runs."""
        memory = self._torch.zeros(batch.shape, device=self._device)
        for k, (state, sign) in enumerate(zip(batch.states, batch.signs, strict=True)):
            if state is not None:
                own = state.tensor if isinstance(state, OnDevice) else _tensor(state)
                memory[k, : own.shape[1]].copy_(own[0])
                if sign == -1:
                    memory[k].neg_()
        return memory

    @contextmanager
    def _running(self) -> Iterator[None]:
        """PyTorch's errors are ours."""
        try:
            with self._torch.inference_mode():
                yield
        except RuntimeError as error:
            lines = [line for line in str(error).splitlines() if not line.endswith("raised:")]
            reason = (lines or ["?"])[0]
            raise ModelError(f"cannot run model {self.name!r} on torch: {reason}") from error

    def _run(self, *inputs: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
        placed = [upload(each, self._device) for each in inputs]
        out, after, *_ = self._program(*placed)
        return out, after


def _device(torch: Any, provider: str) -> Any:
    """Where a program runs, with its index: a graph tells cuda from cuda:0."""
    if provider == "auto":
        provider = "cuda" if torch.cuda.is_available() else "cpu"
    if provider not in ("cpu", "cuda"):
        raise ProviderUnavailable(f"provider must be auto, cuda or cpu, got {provider!r}")
    if provider == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise ProviderUnavailable("cannot open provider 'cuda': PyTorch sees no CUDA GPU")
    return torch.device("cuda", torch.cuda.current_device())


def _tensor(array: Any) -> "torch.Tensor":
    import torch

    return torch.from_numpy(np.ascontiguousarray(array))
