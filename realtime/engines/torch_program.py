"""Exported PyTorch programs: `.pt2` files, and the machine that a TensorRT engine was built for.

A TensorRT engine depends on the GPU, its driver's libraries and the versions that built it. On
another machine it fails late or returns wrong values. So NAME.trt.pt2 has a sidecar file,
NAME.trt.pt2.json, that names the GPU and the versions; they are compared before the engine is
opened. The sidecar also contains the checksum of the engine, because the two files are written one
after the other and might not belong together.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtmag.realtime.engines.contract import ANY, MODEL_NAME, check_version
from rtmag.realtime.errors import MissingExtra, ModelIncompatible
from rtmag.realtime.regular_file import read_regular

if TYPE_CHECKING:
    import torch

SUFFIX = ".trt.pt2"
"""Suffix of TensorRT engines."""

CHECKSUM = "engine_sha256"
"""Key of the engine's checksum in its sidecar."""

IDENTITY = ("rtmag.sha256", "rtmag.precision", "rtmag.size", "rtmag.streams")
"""Metadata that engine and sidecar both contain: checksum of the weights, precision, shape."""

_AGAIN = "build it again with rtmag export --target tensorrt --force"
"""Way out, at the end of error messages about TensorRT engines."""


def sidecar(path: Path) -> Path:
    """The path of a TensorRT engine's sidecar."""
    return path.with_name(path.name + ".json")


def write_sidecar(path: Path, facts: dict[str, str]) -> None:
    """Write an engine's sidecar: `facts` and the checksum of the engine, which must exist."""
    content = facts | {CHECKSUM: _checksum(path)}
    sidecar(path).write_text(json.dumps(content, indent=2) + "\n")


def read_sidecar(path: Path) -> dict[str, str] | None:
    """The sidecar of a TensorRT engine, checked against this machine; None for other programs.

    Raises:
        ModelIncompatible: the engine was built for another machine, or engine and sidecar do not
            belong together.
        MissingExtra: as `this_machine`.
    """
    file = sidecar(path)
    if not file.is_file():
        if path.name.endswith(SUFFIX):
            raise ModelIncompatible(
                f"cannot use engine {str(path)!r}: its sidecar {file.name}, which names the "
                f"machine it was built for, is missing; {_AGAIN}"
            )
        return None
    try:
        facts = parse_metadata(read_regular(file, 1 << 20), file)
    except OSError as error:
        raise ModelIncompatible(
            f"cannot use engine {str(path)!r}: {file.name}: {error.strerror}"
        ) from error
    if facts.get(CHECKSUM) != _checksum(path):
        raise ModelIncompatible(
            f"cannot use engine {str(path)!r}: it is not the file that {file.name} describes; "
            f"{_AGAIN}"
        )
    for key, value in this_machine().items():
        if facts.get(key) != value:
            raise ModelIncompatible(
                f"cannot use engine {str(path)!r}: built for {key} {facts.get(key)}, this machine "
                f"has {value}; {_AGAIN}"
            )
    return facts


def parse_metadata(text: str | bytes, source: Path) -> dict[str, str]:
    """Parse metadata, a JSON object of strings; raises ModelIncompatible if `text` is not one.

    Args:
        text: The JSON document.
        source: The file that contains it, for messages.
    """
    try:
        facts = json.loads(text)
    except ValueError as error:  # also for bytes that are not text
        raise ModelIncompatible(
            f"cannot read metadata of {str(source)!r}: not JSON; export the model again"
        ) from error
    if not isinstance(facts, dict) or not all(isinstance(v, str) for v in facts.values()):
        raise ModelIncompatible(
            f"cannot read metadata of {str(source)!r}: expected an object of strings; export the "
            "model again"
        )
    return facts


def identity(facts: dict[str, str]) -> dict[str, str]:
    """Those of the metadata that must be equal in engine and sidecar."""
    return {key: facts[key] for key in IDENTITY if key in facts}


def this_machine() -> dict[str, str]:
    """GPU and library versions that a TensorRT engine depends on.

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
        raise MissingExtra("TensorRT needs a CUDA GPU to build and run engines")
    major, minor = torch.cuda.get_device_capability()
    return {
        "gpu": torch.cuda.get_device_name(), "compute_capability": f"{major}.{minor}",
        "tensorrt": tensorrt.__version__, "torch_tensorrt": torch_tensorrt.__version__,
    }  # fmt: skip


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


METADATA_FILE = "rtmag.json"
"""Name of the file with the metadata inside a `.pt2` file."""

_NUMBER = "[1-9][0-9]{0,3}"  # 1 to 9999

_REQUIRED = {"rtmag.model": MODEL_NAME, "rtmag.channels": _NUMBER, "rtmag.stride": _NUMBER}
"""Patterns of metadata that every program has."""

_OPTIONAL = {"rtmag.size": f"{_NUMBER}x{_NUMBER}", "rtmag.streams": f"{ANY}|{_NUMBER}"}
"""Patterns of metadata that some programs have."""


def open_program(path: str | Path, device: "torch.device") -> tuple[Any, dict[str, str]]:
    """A program on a device, and its metadata.

    Args:
        path: A `.pt2` file.
        device: The CPU, or a CUDA device with an index.

    Raises:
        ModelIncompatible: not a file of `rtmag export`, or made for another machine.
        MissingExtra: it contains a TensorRT engine, and torch-tensorrt is not installed.
    """
    import torch
    from torch.export.passes import move_to_device_pass

    path = Path(path)
    if not path.is_file():
        raise ModelIncompatible(f"cannot load model {str(path)!r}: no such file")
    built = read_sidecar(path)
    extra = {METADATA_FILE: "{}"}
    try:
        program = torch.export.load(path, extra_files=extra)
    except Exception as error:  # errors of zip, JSON and torch share no base class
        raise ModelIncompatible(
            f"cannot load model {str(path)!r}: PyTorch {torch.__version__} cannot read it"
        ) from error
    facts = parse_metadata(extra[METADATA_FILE], path)
    if built is not None and identity(facts) != identity(built):
        raise ModelIncompatible(
            f"cannot use engine {str(path)!r}: its weights, precision or size differ from "
            f"{sidecar(path).name}; {_AGAIN}"
        )
    metadata = (built or {}) | facts
    _check(metadata, str(path))
    # A program is exported on the CPU, and its graph names that device where it creates or checks
    # tensors. A TensorRT engine was built on the device that runs it.
    if built is None and device.type != "cpu":
        program = move_to_device_pass(program, device)
    # No guards: rtmag checks sizes itself, and tracing also recorded properties of the example
    # input, such as 16 % height != 0, which other inputs need not have.
    module: Any = program.module(check_guards=False)
    if built is None:  # images have this layout, and GPUs multiply half precision in it
        module.to(memory_format=torch.channels_last)
    return module, metadata


def _check(metadata: dict[str, str], source: str) -> None:
    """Raise ModelIncompatible if metadata that an engine needs is missing or invalid."""
    check_version(metadata.get("rtmag.contract"), source)
    forms = _REQUIRED | {key: form for key, form in _OPTIONAL.items() if key in metadata}
    wrong = [key for key, form in forms.items() if not re.fullmatch(form, metadata.get(key, ""))]
    if wrong:
        raise ModelIncompatible(
            f"cannot use model {source!r}: metadata {', '.join(wrong)} is missing or invalid; "
            "export it again"
        )
