"""For which machine a TensorRT engine was built: NAME.trt.pt2.json beside NAME.trt.pt2.

An engine depends on the GPU, its driver's libraries and the versions that built it; on another
machine it fails late or computes something else. So it is compared before it is opened. The two
files are written one after the other: the engine's checksum tells a pair from halves of two.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtmag.realtime.engines.contract import ANY, CONTRACT
from rtmag.realtime.errors import MissingExtra, ModelIncompatible

if TYPE_CHECKING:
    import torch

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


FACTS = "rtmag.json"
"""What lies beside the program in its file."""

_NUMBER = "[1-9][0-9]{0,3}"

_NEEDED = {"rtmag.model": ".+", "rtmag.channels": _NUMBER, "rtmag.stride": _NUMBER}

_OPTIONAL = {"rtmag.size": f"{_NUMBER}x{_NUMBER}", "rtmag.streams": f"{ANY}|{_NUMBER}"}


def open_program(path: str | Path, device: "torch.device") -> tuple[Any, dict[str, str]]:
    """A program on a device, which has an index unless it is the CPU; what it says about itself.

    Raises:
        ModelIncompatible: not a file of ours, or made for another machine.
        MissingExtra: it holds a TensorRT engine, and torch-tensorrt is not installed.
    """
    import torch
    from torch.export.passes import move_to_device_pass

    path = Path(path)
    if not path.is_file():
        raise ModelIncompatible(f"cannot load model {str(path)!r}: no such file")
    beside = read_sidecar(path)
    extra = {FACTS: "{}"}
    try:
        program = torch.export.load(path, extra_files=extra)
    except Exception as error:  # zip, JSON, torch: they share no base class
        raise ModelIncompatible(
            f"cannot load model {str(path)!r}: PyTorch {torch.__version__} cannot read it"
        ) from error
    within = facts_of(extra[FACTS], path)
    if beside is not None and identity(within) != identity(beside):
        raise ModelIncompatible(
            f"cannot use engine {str(path)!r}: of other weights, precision or size than "
            f"{sidecar(path).name} tells; build it again with rtmag export --target tensorrt "
            "--force"
        )
    metadata = (beside or {}) | within
    _check(metadata, str(path))
    # Programs are exported on the CPU, which then stands in the graph as well: in what makes new
    # tensors and in checks of old ones. An engine was built on the device that runs it.
    if beside is None and device.type != "cpu":
        program = move_to_device_pass(program, device)
    # Sizes are checked here; tracing also noted chances of its example, such as 16 % height != 0.
    module: Any = program.module(check_guards=False)
    if beside is None:  # as pictures come, and as GPUs multiply half precision
        module.to(memory_format=torch.channels_last)
    return module, metadata


def _check(metadata: dict[str, str], source: str) -> None:
    """Raises ModelIncompatible where it does not say what an engine must know."""
    contract = metadata.get("rtmag.contract")
    if contract != CONTRACT:
        raise ModelIncompatible(
            f"cannot use model {source!r}: contract {contract}, this version needs {CONTRACT}; "
            "export it again"
        )
    told = _NEEDED | {key: form for key, form in _OPTIONAL.items() if key in metadata}
    wrong = [key for key, form in told.items() if not re.fullmatch(form, metadata.get(key, ""))]
    if wrong:
        raise ModelIncompatible(
            f"cannot use model {source!r}: no metadata {', '.join(wrong)}, or not as it should "
            "be; export it again"
        )
