"""Device, precision, parallel processes and stop signals of a training run."""

import os
import signal

import torch
from torch import distributed

from rtmag.realtime.errors import OptionError


def pick_device(name: str) -> torch.device:
    """Choose the torch device of a name.

    Args:
        name: `auto` is CUDA where available, otherwise the CPU. Under torchrun, `auto` and `cuda`
            are the GPU of this process. Other names are torch's own, such as `cpu` or `cuda:1`.

    Raises:
        OptionError: there is no such device, or torch cannot use it.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        name = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    try:
        device = torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # builds without CUDA raise AssertionError
        reason = str(error).partition("\n")[0]
        raise OptionError(f"cannot train on device {name!r}: {reason}") from error
    if device.type == "cuda":
        torch.cuda.set_device(device)
        torch.backends.cudnn.benchmark = True
    return device


def pick_precision(name: str, device: torch.device, architecture: str) -> torch.dtype:
    """The number format of the network's convolutions; motion is always estimated in float32.

    `auto` is bfloat16 where the hardware multiplies it fast, but float32 for `oh2018`: its shape
    comes from a deep network, and small differences of shape would vanish in half precision.

    Raises:
        OptionError: the name is not `auto`, `fp32` or `bf16`.
    """
    formats = {"fp32": torch.float32, "bf16": torch.bfloat16}
    if name in formats:
        return formats[name]
    if name != "auto":
        raise OptionError(f"precision must be auto, fp32 or bf16, got {name!r}")
    is_fast = device.type == "cuda" or torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if is_fast and architecture != "oh2018" else torch.float32


def max_over_processes(value: float, device: torch.device, world: int) -> float:
    """The largest of all processes' values.

    All processes must agree on the share of the run that is done, so that they use the same
    learning rate and stop after the same step; their clocks differ.
    """
    if world == 1:
        return value
    largest = torch.tensor(value, dtype=torch.float64, device=device)
    distributed.all_reduce(largest, distributed.ReduceOp.MAX)
    return float(largest.item())


class Interrupt:
    """Handler of SIGINT (Ctrl-C) and SIGTERM: the run stops and saves after the current step."""

    def __init__(self) -> None:
        self.requested = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._request)

    def _request(self, number: int, frame: object) -> None:
        self.requested = True
