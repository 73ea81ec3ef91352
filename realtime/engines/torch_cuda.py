"""CUDA graphs and copies between host and device for PyTorch programs."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from rtmag.realtime.engines.size_cache import SizeCache
from rtmag.realtime.log import logger

if TYPE_CHECKING:
    import torch

WARM_UP_STEPS = 3
"""Steps before a capture; in these, libraries choose their kernels."""


def upload(tensor: "torch.Tensor", device: "torch.device") -> "torch.Tensor":
    """The tensor on a device, without waiting for the copy; the same object if it is there."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def download(tensor: "torch.Tensor") -> NDArray[Any]:
    """The tensor's values on the host; a view if the tensor is on the CPU."""
    if tensor.device.type != "cuda":
        return tensor.cpu().numpy()
    import torch

    pinned = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    pinned.copy_(tensor, non_blocking=True)
    torch.cuda.current_stream(tensor.device).synchronize()
    return pinned.numpy()


class CudaGraph:
    """One step as a CUDA graph, with its own input and output buffers."""

    def __init__(self, graph: Any, inputs: list[Any], outputs: tuple[Any, ...]) -> None:
        self._graph, self._inputs, self._outputs = graph, inputs, outputs

    def __call__(self, values: list[Any]) -> tuple[Any, ...]:
        """Replay the graph; returns its outputs in buffers that the next call overwrites."""
        for buffer, value in zip(self._inputs, values, strict=True):
            buffer.copy_(value)
        self._graph.replay()
        return self._outputs


class TorchCudaGraphs:
    """A program with one CUDA graph per input size; a size that cannot be captured has none."""

    def __init__(self, program: Any) -> None:
        self._program = program
        self._graphs: SizeCache[CudaGraph | None] = SizeCache()

    @property
    def captured(self) -> bool:
        """True if a size has been captured."""
        return any(self._graphs.values())

    def __call__(self, *values: Any) -> tuple[Any, ...]:
        """One step; the results may be buffers that the next call overwrites."""
        inputs = list(values)
        with full_precision():
            size = tuple(values[0].shape)
            graph = self._graphs.get(size, partial(capture, self._program, inputs))
            outputs: tuple[Any, ...] = graph(inputs) if graph else self._program(*values)
        return outputs


@contextmanager
def full_precision() -> Iterator[None]:
    """Multiply float32 numbers without TF32, which rounds factors to ten bits.

    cuDNN's convolutions use TF32 by default, and the application may have enabled it for matrix
    products. Two values of `shape` differ by a thousandth, which TF32 would lose. Captured kernels
    keep the precision that was set during the capture. The settings apply to the whole process, so
    they are restored.
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
    """Capture a step as a CUDA graph; None if this program cannot be captured."""
    import torch

    buffers = [each.clone() for each in inputs]
    before = None
    try:
        before = torch.cuda.current_stream()
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(before)
        with torch.cuda.stream(side):
            for _ in range(WARM_UP_STEPS):
                program(*buffers)
        before.wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            outputs = tuple(program(*buffers))
    except RuntimeError as error:
        logger().debug("steps on cuda are not captured: %s", error)
        if before is not None:  # a failed capture leaves its own stream selected
            torch.cuda.set_stream(before)
        torch.cuda.synchronize()
        return None
    return CudaGraph(graph, buffers, outputs)
