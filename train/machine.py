"""What a run runs on: device, precision, its sister processes, and requests to stop."""

import os
import signal

import torch
from torch import distributed

from rtmag.realtime.errors import OptionError


def pick_device(name: str) -> torch.device:
    """`auto` is CUDA where there is one; under torchrun, this process's own GPU.

    Raises:
        OptionError: no such device, or torch cannot use it.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        name = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    try:
        device = torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # CUDA-less builds assert
        reason = str(error).partition("\n")[0]
        raise OptionError(f"cannot train on device {name!r}: {reason}") from error
    if device.type == "cuda":
        torch.cuda.set_device(device)
        torch.backends.cudnn.benchmark = True
    return device


def pick_precision(name: str, device: torch.device, model: str) -> torch.dtype:
    """`auto` is bf16 where the hardware multiplies it fast; the motion path stays fp32 always.

    oh2018 takes its shape from a deep network, whose differences half precision would swallow.
    """
    known = {"fp32": torch.float32, "bf16": torch.bfloat16}
    if name in known:
        return known[name]
    if name != "auto":
        raise OptionError(f"precision must be auto, fp32 or bf16, got {name!r}")
    fast = model != "oh2018" and (device.type == "cuda" or torch.cpu._is_avx512_bf16_supported())
    return torch.bfloat16 if fast else torch.float32


def max_over_processes(done: float, device: torch.device, world: int) -> float:
    """The largest share done of any process: all stop together and learn at the same rate."""
    if world == 1:
        return done
    most = torch.tensor(done, dtype=torch.float64, device=device)
    distributed.all_reduce(most, distributed.ReduceOp.MAX)
    return float(most.item())


class Interrupt:
    """Ctrl-C or SIGTERM asks for a stop after the current step; nothing is lost."""

    def __init__(self) -> None:
        self.requested = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._request)

    def _request(self, number: int, frame: object) -> None:
        self.requested = True
