"""The roofline: the larger of two times, and plausible rates."""

import sys

import pytest

from rtmag.realtime.bench import roofline as module
from rtmag.realtime.bench.roofline import (
    Roofline,
    best_rates,
    measure_cpu,
    measure_gpu,
    measure_rooflines,
)


def test_the_larger_time_is_the_bound() -> None:
    roofline = Roofline(gemm=1e9, copy=2e9)
    assert roofline.bound_ms(macs=5e6, traffic=2e6) == 5.0
    assert roofline.bound_ms(macs=5e5, traffic=2e6) == 1.0


def test_measured_rates_are_plausible() -> None:
    roofline = measure_cpu(tries=1)
    assert 1e8 < roofline.gemm < 1e15
    assert 1e8 < roofline.copy < 1e14


def test_without_a_gpu_there_is_no_roofline(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert measure_gpu(half=True) is None
    monkeypatch.setitem(sys.modules, "torch", None)
    assert measure_gpu(half=False) is None


def test_a_gpu_without_free_memory_keeps_its_earlier_roofline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    def full(*_: object) -> None:
        raise torch.cuda.OutOfMemoryError

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(module, "_gpu_rates", full)
    assert measure_gpu(half=True) is None
    known = {"cpu": Roofline(gemm=1, copy=4), "cuda fp32": Roofline(gemm=8, copy=8)}
    result = best_rates(known, {"cpu": Roofline(gemm=2, copy=3)})
    assert result == {"cpu": Roofline(gemm=2, copy=4), "cuda fp32": Roofline(gemm=8, copy=8)}


def test_a_gpu_has_a_roofline_for_each_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, gpu = Roofline(gemm=1, copy=1), Roofline(gemm=2, copy=2)
    measured_half: list[bool] = []

    def measured(*, half: bool) -> Roofline:
        measured_half.append(half)
        return gpu

    monkeypatch.setattr(module, "measure_cpu", lambda: cpu)
    monkeypatch.setattr(module, "measure_gpu", measured)
    result = measure_rooflines(["cpu", "cuda fp32+fp16", "cuda fp32", "cpu"])
    assert result == {"cpu": cpu, "cuda fp32": gpu, "cuda fp32+fp16": gpu}
    assert measured_half == [False, True]
