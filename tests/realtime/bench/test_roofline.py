"""The floor: whichever takes longer, and rates that a machine can have."""

import sys

import pytest

from rtmag.realtime.bench import roofline as floors
from rtmag.realtime.bench.roofline import (
    Floor,
    measure_floor,
    measure_floors,
    measure_gpu_floor,
    reached,
)


def test_the_slower_of_two_makes_the_floor() -> None:
    floor = Floor(gemm=1e9, copy=2e9)
    assert floor.ms(macs=5e6, moved=2e6) == 5.0
    assert floor.ms(macs=5e5, moved=2e6) == 1.0


def test_rates_are_those_of_a_computer() -> None:
    floor = measure_floor(tries=1)
    assert 1e8 < floor.gemm < 1e15
    assert 1e8 < floor.copy < 1e14


def test_a_gpu_that_is_not_there_has_no_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert measure_gpu_floor(half=True) is None
    monkeypatch.setitem(sys.modules, "torch", None)
    assert measure_gpu_floor(half=False) is None


def test_a_gpu_that_is_full_has_no_floor_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def full(*_: object) -> None:
        raise torch.cuda.OutOfMemoryError

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(floors, "_gpu_floor", full)
    assert measure_gpu_floor(half=True) is None
    known = {"cpu": Floor(gemm=1, copy=4), "cuda fp32": Floor(gemm=8, copy=8)}
    found = reached(known, {"cpu": Floor(gemm=2, copy=3)})
    assert found == {"cpu": Floor(gemm=2, copy=4), "cuda fp32": Floor(gemm=8, copy=8)}


def test_a_gpu_has_a_floor_for_each_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, gpu = Floor(gemm=1, copy=1), Floor(gemm=2, copy=2)
    asked: list[bool] = []

    def measured(*, half: bool) -> Floor:
        asked.append(half)
        return gpu

    monkeypatch.setattr(floors, "measure_floor", lambda: cpu)
    monkeypatch.setattr(floors, "measure_gpu_floor", measured)
    found = measure_floors(["cpu", "cuda fp32+fp16", "cuda fp32", "cpu"])
    assert found == {"cpu": cpu, "cuda fp32": gpu, "cuda fp32+fp16": gpu}
    assert asked == [False, True]
