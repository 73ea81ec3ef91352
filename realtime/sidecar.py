"""For which machine a TensorRT engine was built: NAME.trt.pt2.json beside NAME.trt.pt2.

An engine depends on the GPU, its driver's libraries and the versions that built it; on another
machine it fails late or computes something else. So it is compared before it is opened. The two
files are written one after the other: the engine's checksum tells a pair from halves of two.
"""

import hashlib
import json
from pathlib import Path

from rtmag.realtime.errors import MissingExtra, ModelIncompatible

SUFFIX = ".trt.pt2"
CHECKSUM = "engine_sha256"
IDENTITY = ("rtmag.sha256", "rtmag.precision", "rtmag.size", "rtmag.streams")
"""What an engine's own file tells too: weights, precision and shape."""
_AGAIN = "build it again with rtmag export --target tensorrt --force"


def sidecar(path: Path) -> Path:
    """Where lies for which machine a TensorRT engine was built."""
    return path.with_name(path.name + ".json")


def write_sidecar(path: Path, facts: dict[str, str]) -> None:
    """Note what an engine is, with the checksum of its file, which must be there."""
    noted = facts | {CHECKSUM: _checksum(path)}
    sidecar(path).write_text(json.dumps(noted, indent=2) + "\n")


def read_sidecar(path: Path) -> dict[str, str] | None:
    """What was noted when a TensorRT engine was built; None for other programs.

    Raises:
        ModelIncompatible: it was built for another machine, or the two files are no pair.
        MissingExtra: as `here`.
    """
    beside = sidecar(path)
    if not beside.is_file():
        if path.name.endswith(SUFFIX):
            raise ModelIncompatible(
                f"cannot use engine {str(path)!r}: {beside.name}, which tells for which machine it "
                f"was built, is missing; {_AGAIN}"
            )
        return None
    facts = facts_of(beside.read_bytes(), beside)
    if facts.get(CHECKSUM) != _checksum(path):
        raise ModelIncompatible(
            f"cannot use engine {str(path)!r}: {beside.name} is of another file, or the engine "
            f"was changed; {_AGAIN}"
        )
    for key, value in here().items():
        if facts.get(key) != value:
            raise ModelIncompatible(
                f"cannot use engine {str(path)!r}: built for {key} {facts.get(key)}, here is "
                f"{value}; {_AGAIN}"
            )
    return facts


def facts_of(text: str | bytes, source: Path) -> dict[str, str]:
    """Names and values of a JSON document that `source` holds; raises ModelIncompatible."""
    try:
        facts = json.loads(text)
    except ValueError as error:  # also of bytes that are no text
        raise ModelIncompatible(
            f"cannot read metadata of {str(source)!r}: it is no JSON; export the model again"
        ) from error
    if not isinstance(facts, dict) or not all(isinstance(v, str) for v in facts.values()):
        raise ModelIncompatible(
            f"cannot read metadata of {str(source)!r}: expected names with texts; export the "
            "model again"
        )
    return facts


def identity(facts: dict[str, str]) -> dict[str, str]:
    """What of it must be the same in both files."""
    return {key: facts[key] for key in IDENTITY if key in facts}


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


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
