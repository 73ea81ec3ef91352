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

SIDE = 1536
"""Rows of the square matrices: enough work for every thread in a few milliseconds."""

LENGTH = 64 << 20
"""Bytes copied: more than the caches hold."""

GPU_SIDE, GPU_LENGTH = 8192, 1 << 30

TRIES = 7


@dataclass(frozen=True, slots=True)
class Roofline:
    """Rates that the machine reaches."""

    gemm: float
    """Multiply-accumulates per second, in float32 or, on a GPU, in half precision."""
    copy: float
    """Bytes per second, read and written."""

    def bound_ms(self, macs: float, traffic: float) -> float:
        """Least milliseconds for `macs` multiply-accumulates and `traffic` bytes."""
        return 1e3 * max(macs / self.gemm, traffic / self.copy)


def measure_cpu(tries: int = TRIES) -> Roofline:
    """Measure the CPU, with as many threads as NumPy's libraries use by default."""
    a = np.random.default_rng(0).random((SIDE, SIDE), np.float32)
    product = np.empty_like(a)
    source = np.ones(LENGTH, np.uint8)
    target = np.empty_like(source)
    multiply = _best(lambda: np.matmul(a, a, out=product), tries)
    copy = _best(lambda: np.copyto(target, source), tries)
    return Roofline(SIDE**3 / multiply, 2 * LENGTH / copy)


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
    import torch

    a = torch.rand(GPU_SIDE, GPU_SIDE, device="cuda", dtype=dtype)
    product = torch.empty_like(a)
    source = torch.ones(GPU_LENGTH, device="cuda", dtype=torch.uint8)
    target = torch.empty_like(source)

    def multiply() -> None:
        torch.matmul(a, a, out=product)
        torch.cuda.synchronize()

    def copy() -> None:
        target.copy_(source)
        torch.cuda.synchronize()

    with torch.inference_mode(), full_precision():
        multiply_s, copy_s = _best(multiply, tries), _best(copy, tries)
    return Roofline(GPU_SIDE**3 / multiply_s, 2 * GPU_LENGTH / copy_s)


def _best(work: Callable[[], object], tries: int) -> float:
    """Least seconds of several runs; the first run, which allocates, does not count."""
    times = []
    for _ in range(tries + 1):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times[1:])
