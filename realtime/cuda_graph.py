"""A program of PyTorch as a CUDA graph, so that the CPU does not launch its kernels one by one."""

from typing import Any

WARM = 3
"""Steps before a capture: libraries choose their kernels in them."""


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


def capture(program: Any, inputs: list[Any]) -> CudaGraph | None:
    """Record a step; None where this program cannot be recorded."""
    import torch

    buffers = [each.clone() for each in inputs]
    try:
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM):
                program(*buffers)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs = tuple(program(*buffers))
    except RuntimeError:
        torch.cuda.synchronize()
        return None
    return CudaGraph(graph, buffers, outputs)
