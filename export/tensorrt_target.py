"""Checkpoint -> TensorRT engine. This version builds none; it says what a build would need."""

from importlib.util import find_spec
from typing import NoReturn

from rtmag.realtime.errors import MissingExtra, OptionError


def export_tensorrt(size: tuple[int, int] | None) -> NoReturn:
    """Refuse, naming what is missing on this machine.

    Raises:
        OptionError: no size given, or everything is there but this version builds no engines.
        MissingExtra: torch-tensorrt or a CUDA GPU is missing.
    """
    import torch

    if size is None:
        raise OptionError("--target tensorrt needs --size WxH: an engine is built for one size")
    if find_spec("torch_tensorrt") is None:
        raise MissingExtra(
            "cannot export to TensorRT: torch-tensorrt is not installed; "
            "pip install 'rtmag[trt]' (needs NVIDIA's package index)"
        )
    if not torch.cuda.is_available():
        raise MissingExtra(
            "cannot export to TensorRT: no CUDA GPU; engines are built where they run"
        )
    raise OptionError(
        "cannot export to TensorRT: this version builds no engines; "
        "export --target onnx and run it with --provider cuda"
    )
