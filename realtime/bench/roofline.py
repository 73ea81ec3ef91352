"""The least time a step can take on this machine, from rates measured on it.

A step must do the network's multiply-accumulates, and must read and write pictures and state. The
floor is the larger of the first over the rate of a large matrix product, and the second over the
rate of a large copy. Both are the best of several tries: a bound is what was reached once. Rates of
a CPU are told by NumPy, those of a GPU by PyTorch where it is installed.
"""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from rtmag.realtime.engines.spec import HALF
from rtmag.realtime.engines.torch_cuda import full_precision

SIDE = 1536  # of the matrices: large enough for every thread, small enough for a moment

LENGTH = 64 << 20  # bytes copied: more than caches hold

GPU_SIDE, GPU_LENGTH = 8192, 1 << 30

TRIES = 7


@dataclass(frozen=True, slots=True)
class Floor:
    """What the machine reaches."""

    gemm: float
    """Multiply-accumulates per second, float32."""
    copy: float
    """Bytes per second, those read and those written."""

    def ms(self, macs: float, moved: float) -> float:
        """Of a step that multiplies and accumulates `macs` times and moves so many bytes."""
        return 1e3 * max(macs / self.gemm, moved / self.copy)


def measure_floor(tries: int = TRIES) -> Floor:
    """Multiply and copy, on as many threads as the libraries take by themselves."""
    a = np.random.default_rng(0).random((SIDE, SIDE), np.float32)
    product = np.empty_like(a)
    source = np.ones(LENGTH, np.uint8)
    target = np.empty_like(source)
    multiply = _best(lambda: np.matmul(a, a, out=product), tries)
    copy = _best(lambda: np.copyto(target, source), tries)
    return Floor(SIDE**3 / multiply, 2 * LENGTH / copy)


def measure_floors(places: Collection[str]) -> dict[str, Floor]:
    """Of the CPU, and of a GPU in the precisions that `cuda PRECISION` names, if that can be."""
    floors = {"cpu": measure_floor()}
    for place in sorted(set(places) - {"cpu"}):
        found = measure_gpu_floor(half=place.endswith(HALF))
        if found is not None:
            floors[place] = found
    return floors


def reached(floors: dict[str, Floor], again: dict[str, Floor]) -> dict[str, Floor]:
    """The best of two measurements of the same places, the second of which may lack some."""
    both = ((name, floor, again.get(name, floor)) for name, floor in floors.items())
    return {n: Floor(max(a.gemm, b.gemm), max(a.copy, b.copy)) for n, a, b in both}


def measure_gpu_floor(tries: int = TRIES, *, half: bool) -> Floor | None:
    """The same of a GPU, in half precision or in float32; None without PyTorch, CUDA or room."""
    try:
        import torch
    except ImportError:
        return None
    if not torch.cuda.is_available():
        return None
    try:
        return _gpu_floor(torch.float16 if half else torch.float32, tries)
    except torch.cuda.OutOfMemoryError:  # engines that are measured fill it
        return None


def _gpu_floor(kind: Any, tries: int) -> Floor:
    import torch

    a = torch.rand(GPU_SIDE, GPU_SIDE, device="cuda", dtype=kind)
    product = torch.empty_like(a)
    source = torch.ones(GPU_LENGTH, device="cuda", dtype=torch.uint8)
    target = torch.empty_like(source)

    def multiplied() -> None:
        torch.matmul(a, a, out=product)
        torch.cuda.synchronize()

    def copied() -> None:
        target.copy_(source)
        torch.cuda.synchronize()

    with torch.inference_mode(), full_precision():
        multiply, copy = _best(multiplied, tries), _best(copied, tries)
    return Floor(GPU_SIDE**3 / multiply, 2 * GPU_LENGTH / copy)


def _best(work: Callable[[], object], tries: int) -> float:
    """Least seconds."""
    times = []
    for _ in range(tries + 1):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times[1:])
