"""Copies between host and GPU go through pinned memory; only the download waits."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install 'rtmag[train]'")
import torch

from rtmag.realtime.engines.torch_cuda import download, upload

CPU = torch.device("cpu")


class GpuTensor:
    """The attributes of a tensor on a GPU that a copy reads."""

    device = torch.device("cuda", 0)
    dtype, shape = torch.uint8, (2, 3)


def test_on_the_cpu_nothing_is_copied() -> None:
    tensor = torch.arange(6)
    assert upload(tensor, CPU) is tensor
    assert np.shares_memory(download(tensor), tensor.numpy())


def test_an_upload_is_pinned_and_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[Any] = []

    def pin(tensor: torch.Tensor) -> torch.Tensor:
        called.append("pinned")
        return tensor

    def to(tensor: torch.Tensor, device: torch.device, *, non_blocking: bool) -> torch.Tensor:
        called.append((device, non_blocking))
        return tensor

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    monkeypatch.setattr(torch.Tensor, "to", to)
    upload(torch.zeros(2), GpuTensor.device)
    assert called == ["pinned", (GpuTensor.device, True)]


def test_a_download_is_pinned_and_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[Any] = []
    empty = torch.empty

    class Pinned:
        def copy_(self, source: Any, *, non_blocking: bool) -> None:
            called.append((source, non_blocking))

        def numpy(self) -> Any:
            called.append("read")
            return empty(GpuTensor.shape, dtype=GpuTensor.dtype).numpy()

    class Stream:
        def synchronize(self) -> None:
            called.append("synchronized")

    def pinned(shape: Any, *, dtype: torch.dtype, pin_memory: bool) -> Pinned:
        assert (shape, dtype, pin_memory) == (GpuTensor.shape, GpuTensor.dtype, True)
        return Pinned()

    monkeypatch.setattr(torch, "empty", pinned)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream())
    source: Any = GpuTensor()
    assert download(source).shape == (2, 3)
    assert called == [(source, True), "synchronized", "read"]
