"""The models inside this package, each with its card, log and curve; and those in files.

NAME.onnx draws pictures. NAME.motion.onnx is the same network without its last step, for CPUs
(rtmag/realtime/engines/contract.py); a model may do without.
"""

import re
from importlib import resources
from pathlib import Path

from rtmag.realtime.errors import ModelIncompatible

DEFAULT_MODEL = "fast"

SUFFIX, MOTION_SUFFIX = ".onnx", ".motion.onnx"


def model_names() -> list[str]:
    """Models inside this package."""
    names = [path.name for path in resources.files(__name__).iterdir()]
    return sorted(
        name.removesuffix(SUFFIX)
        for name in names
        if name.endswith(SUFFIX) and not name.endswith(MOTION_SUFFIX)
    )


def motion_form(path: Path) -> Path:
    """Where the form `motion` of a model file lies."""
    return path.with_name(path.name.removesuffix(SUFFIX) + MOTION_SUFFIX)


def read_model(model: str | Path | None = None) -> tuple[bytes, bytes | None, str]:
    """The bytes of a model by name or path, those of its form `motion`, and what to call it.

    Raises:
        ModelIncompatible: no such model.
    """
    name = str(model or DEFAULT_MODEL)
    path = Path(name)
    if name in model_names():
        path = Path(str(resources.files(__name__) / f"{name}{SUFFIX}"))
    try:
        content = path.read_bytes()
        beside = motion_form(path)
        motion = beside.read_bytes() if beside.is_file() else None
    except OSError as error:
        known = ", ".join(model_names()) or "none"
        raise ModelIncompatible(
            f"cannot load model {name!r}: no such file or model (inside the package: {known})"
        ) from error
    if motion is not None and _weights(content) != _weights(motion):
        raise ModelIncompatible(
            f"cannot load model {name!r}: {beside.name} beside it is of other weights; "
            "export both again, or remove that"
        )
    return content, motion, name


def _weights(content: bytes) -> bytes | None:
    """The checksum that a model notes of the weights it was made of."""
    noted = re.search(rb"rtmag\.sha256\x12\x40([0-9a-f]{64})", content)
    return noted[1] if noted else None
