"""A program of PyTorch as CUDA graphs, so that the CPU does not launch its kernels one by one."""

from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from rtmag.realtime.log import logger


def upload(tensor: "torch.Tensor", device: "torch.device") -> "torch.Tensor":
    """The tensor on a device; itself where it lies there."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def download(tensor: "torch.Tensor") -> NDArray[Any]:
    """A tensor's values, which may be a view of it on the CPU."""
    if tensor.device.type != "cuda":
        return tensor.cpu().numpy()
    import torch

    held = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    held.copy_(tensor, non_blocking=True)
    torch.cuda.current_stream(tensor.device).synchronize()
    return held.numpy()


WARM = 3
"""Steps before a capture: libraries choose their kernels in them."""

KEPT = 4
"""Captured sizes that are remembered: each holds all that a step computes on the way."""


class CudaGraph:
    """One step as a CUDA graph over buffers of its own."""

    def __init__(self, graph: Any, inputs: list[Any], outputs: tuple[Any, ...]) -> None:
        self._graph, self._inputs, self._outputs = graph, inputs, outputs

    def __call__(self, values: list[Any]) -> tuple[Any, Any]:
        """The picture and the state; both are buffers that the next call fills again."""
        for buffer, value in zip(self._inputs, values, strict=True):
            buffer.copy_(value)
        self._graph.replay()
        return self._outputs[0], self._outputs[1]


class Captured:
    """A program by a graph for each size of the picture, or plainly where there can be none."""

    def __init__(self, program: Any) -> None:
        self._program = program
        self._graphs: OrderedDict[tuple[int, ...], CudaGraph | None] = OrderedDict()

    @property
    def captured(self) -> bool:
        """Whether steps are replayed."""
        return any(self._graphs.values())

    def __call__(self, *values: Any) -> tuple[Any, ...]:
        """One step; what it returns may be buffers that the next one fills again."""
        size = tuple(values[0].shape)
        with full_precision():
            if size not in self._graphs:
                while len(self._graphs) >= KEPT:
                    self._graphs.popitem(last=False)
                self._graphs[size] = capture(self._program, list(values))
            self._graphs.move_to_end(size)
            graph = self._graphs[size]
            outputs: tuple[Any, ...] = graph(list(values)) if graph else self._program(*values)
        return outputs


@contextmanager
def full_precision() -> Iterator[None]:
    """Products of float32 numbers without rounding them to ten bits first (TF32).

    That is what cuDNN's convolutions do unless told otherwise, and what whoever uses us may have
    asked of matrix products. The difference of two shapes is a thousandth of either. Captured
    kernels stay as they were chosen; the settings are the process's, and so are put back.
    """
    import torch

    backends: Any = torch.backends
    settings = backends.cudnn.conv, backends.cuda.matmul
    before = [each.fp32_precision for each in settings]
    try:
        for each in settings:
            each.fp32_precision = "ieee"
        yield
    finally:
        for each, precision in zip(settings, before, strict=True):
            each.fp32_precision = precision


def capture(program: Any, inputs: list[Any]) -> CudaGraph | None:
    """Record a step; None where this program cannot be recorded."""
    import torch

    buffers = [each.clone() for each in inputs]
    before = None
    try:
        before = torch.cuda.current_stream()
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(before)
        with torch.cuda.stream(side):
            for _ in range(WARM):
                program(*buffers)
        before.wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            outputs = tuple(program(*buffers))
    except RuntimeError as error:
        logger().debug("steps on cuda are not captured: %s", error)
        if before is not None:  # a capture that fails leaves its own
            torch.cuda.set_stream(before)
        torch.cuda.synchronize()
        return None
    return CudaGraph(graph, buffers, outputs)
