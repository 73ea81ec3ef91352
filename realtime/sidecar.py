"""For which machine a TensorRT engine was built: NAME.trt.pt2.json beside NAME.trt.pt2.

An engine depends on the GPU, its driver's libraries and the versions that built it; on another
machine it fails late or computes something else. So it is compared before it is opened.
"""

import json
from pathlib import Path

from rtmag.realtime.errors import MissingExtra, ModelIncompatible


def sidecar(path: Path) -> Path:
    """Where lies for which machine a TensorRT engine was built."""
    return path.with_name(path.name + ".json")


def read_sidecar(path: Path) -> dict[str, str] | None:
    """What was noted when a TensorRT engine was built; None for other programs."""
    beside = sidecar(path)
    return dict(json.loads(beside.read_text())) if beside.is_file() else None


def here() -> dict[str, str]:
    """What a TensorRT engine depends on besides the model.

    Raises:
        MissingExtra: torch-tensorrt or a GPU is missing.
    """
    import torch

    try:
        import tensorrt
        import torch_tensorrt
    except Exception as error:  # torch-tensorrt raises a bare one without its libraries
        raise MissingExtra(
            "TensorRT needs torch-tensorrt: pip install 'rtmag[trt]' (from NVIDIA's package index)"
        ) from error
    if not torch.cuda.is_available():
        raise MissingExtra("TensorRT needs a CUDA GPU: engines are built and run on one")
    major, minor = torch.cuda.get_device_capability()
    return {
        "gpu": torch.cuda.get_device_name(), "compute_capability": f"{major}.{minor}",
        "tensorrt": tensorrt.__version__, "torch_tensorrt": torch_tensorrt.__version__,
    }  # fmt: skip


def check_sidecar(path: Path, facts: dict[str, str]) -> None:
    """Refuse an engine that was built for another machine.

    Raises:
        ModelIncompatible: as said.
        MissingExtra: as `here`.
    """
    for key, value in here().items():
        if facts.get(key) != value:
            raise ModelIncompatible(
                f"cannot use engine {str(path)!r}: built for {key} {facts.get(key)}, here is "
                f"{value}; build it again with rtmag export --target tensorrt --force"
            )
