"""The roofline: a lower bound of a step's time, from rates measured on this machine.

A step must do the network's multiply-accumulates, and must read and write images and state. The
bound is the larger of two times: multiply-accumulates divided by the rate of a large matrix
product, and bytes divided by the rate of a large copy. Each rate is the best of several tries. The
CPU's rates are measured with NumPy, and a GPU's with PyTorch where it is installed.
"""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from rtmag.realtime.engines.spec import MIXED_FP16
from rtmag.realtime.engines.torch_cuda import full_precision

CPU_ROWS = 1536
"""Rows of the square matrices on the CPU: a few milliseconds of work for every thread."""

CPU_COPY_BYTES = 64 << 20
"""Bytes copied on the CPU: more than its caches hold."""

GPU_ROWS, GPU_COPY_BYTES = 8192, 1 << 30
"""The same on a GPU, which is faster."""

TRIES = 7
"""Measurements of each rate, of which the best counts."""


@dataclass(frozen=True, slots=True)
class Roofline:
    """Rates that a device reaches."""

    gemm: float
    """Multiply-accumulates per second, in the precision that was measured."""
    copy: float
    """Bytes per second, the sum of those read and those written."""

    def bound_ms(self, macs: float, traffic: float) -> float:
        """Least time for `macs` multiply-accumulates and `traffic` bytes, in milliseconds."""
        return 1e3 * max(macs / self.gemm, traffic / self.copy)


def measure_cpu(tries: int = TRIES) -> Roofline:
    """Measure the CPU, with as many threads as NumPy's libraries use by default."""
    a = np.random.default_rng(0).random((CPU_ROWS, CPU_ROWS), np.float32)
    product = np.empty_like(a)
    source = np.ones(CPU_COPY_BYTES, np.uint8)
    target = np.empty_like(source)
    multiply = _least_seconds(lambda: np.matmul(a, a, out=product), tries)
    copy = _least_seconds(lambda: np.copyto(target, source), tries)
    return Roofline(CPU_ROWS**3 / multiply, 2 * CPU_COPY_BYTES / copy)


def measure_rooflines(devices: Collection[str]) -> dict[str, Roofline]:
    """Measure the CPU, and a GPU in each precision that `devices` names as `cuda PRECISION`.

    A GPU is left out if it cannot be measured.
    """
    rooflines = {"cpu": measure_cpu()}
    for device in sorted(set(devices) - {"cpu"}):
        roofline = measure_gpu(half=device.endswith(MIXED_FP16))
        if roofline is not None:
            rooflines[device] = roofline
    return rooflines


def best_rates(first: dict[str, Roofline], second: dict[str, Roofline]) -> dict[str, Roofline]:
    """The better rates of two measurements; `second` may lack devices of `first`."""
    pairs = ((device, each, second.get(device, each)) for device, each in first.items())
    return {d: Roofline(max(a.gemm, b.gemm), max(a.copy, b.copy)) for d, a, b in pairs}


def measure_gpu(tries: int = TRIES, *, half: bool) -> Roofline | None:
    """Measure a GPU in half precision or float32; None without PyTorch, CUDA or free memory."""
    try:
        import torch
    except ImportError:
        return None
    if not torch.cuda.is_available():
        return None
    try:
        return _gpu_rates(torch.float16 if half else torch.float32, tries)
    except torch.cuda.OutOfMemoryError:  # the engines to be timed use it
        return None


def _gpu_rates(dtype: Any, tries: int) -> Roofline:
    """Measure the current GPU with numbers of a PyTorch type."""
    import torch

    a = torch.rand(GPU_ROWS, GPU_ROWS, device="cuda", dtype=dtype)
    product = torch.empty_like(a)
    source = torch.ones(GPU_COPY_BYTES, device="cuda", dtype=torch.uint8)
    target = torch.empty_like(source)

    def multiply() -> None:
        torch.matmul(a, a, out=product)
        torch.cuda.synchronize()

    def copy() -> None:
        target.copy_(source)
        torch.cuda.synchronize()

    with torch.inference_mode(), full_precision():
        multiply_s, copy_s = _least_seconds(multiply, tries), _least_seconds(copy, tries)
    return Roofline(GPU_ROWS**3 / multiply_s, 2 * GPU_COPY_BYTES / copy_s)


def _least_seconds(work: Callable[[], object], tries: int) -> float:
    """Shortest time of several runs, in seconds; the first run allocates and does not count."""
    times = []
    for _ in range(tries + 1):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times[1:])
