"""Copies to a GPU go through pinned memory and do not wait; one back waits once."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install 'rtmag[train]'")
import torch

from rtmag.realtime.engines.torch_cuda import download, upload

CPU = torch.device("cpu")


class Elsewhere:
    """A tensor on a GPU, as far as a copy looks at it."""

    device = torch.device("cuda", 0)
    dtype, shape = torch.uint8, (2, 3)


def test_on_the_cpu_nothing_is_copied() -> None:
    tensor = torch.arange(6)
    assert upload(tensor, CPU) is tensor
    assert np.shares_memory(download(tensor), tensor.numpy())


def test_what_goes_to_a_gpu_is_pinned_and_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[Any] = []

    def pin(tensor: torch.Tensor) -> torch.Tensor:
        called.append("pinned")
        return tensor

    def to(tensor: torch.Tensor, device: torch.device, *, non_blocking: bool) -> torch.Tensor:
        called.append((device, non_blocking))
        return tensor

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    monkeypatch.setattr(torch.Tensor, "to", to)
    upload(torch.zeros(2), Elsewhere.device)
    assert called == ["pinned", (Elsewhere.device, True)]


def test_what_comes_from_a_gpu_is_pinned_and_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[Any] = []
    empty = torch.empty

    class Held:
        def copy_(self, source: Any, *, non_blocking: bool) -> None:
            called.append((source, non_blocking))

        def numpy(self) -> Any:
            called.append("read")
            return empty(Elsewhere.shape, dtype=Elsewhere.dtype).numpy()

    class Stream:
        def synchronize(self) -> None:
            called.append("waited")

    def pinned(shape: Any, *, dtype: torch.dtype, pin_memory: bool) -> Held:
        assert (shape, dtype, pin_memory) == (Elsewhere.shape, Elsewhere.dtype, True)
        return Held()

    monkeypatch.setattr(torch, "empty", pinned)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream())
    source: Any = Elsewhere()
    assert download(source).shape == (2, 3)
    assert called == [(source, True), "waited", "read"]
