"""Read models, from this package or from exported files.

The package also contains each model's card, training log and loss curve. NAME.onnx is the full
graph of a model. NAME.motion.onnx, which is optional, is the same network without its last step,
the warp (rtmag/realtime/engines/contract.py).
"""

import re
from importlib import resources
from pathlib import Path

from rtmag.realtime.errors import ModelIncompatible
from rtmag.realtime.regular_file import read_regular

DEFAULT_MODEL = "fast"
"""Name of the model that is used if none is given."""

SUFFIX, MOTION_SUFFIX = ".onnx", ".motion.onnx"
"""Suffixes of a full graph and of its form `motion`."""

MAX_BYTES = 1 << 29
"""Size in bytes of the largest model file that is read. The shipped ones have less than 2 MB."""


def model_names() -> list[str]:
    """Names of the models in this package."""
    names = [path.name for path in resources.files(__name__).iterdir()]
    return sorted(
        name.removesuffix(SUFFIX)
        for name in names
        if name.endswith(SUFFIX) and not name.endswith(MOTION_SUFFIX)
    )


def motion_form(path: Path) -> Path:
    """The path of a model file's form `motion`."""
    return path.with_name(path.name.removesuffix(SUFFIX) + MOTION_SUFFIX)


def read_model(model: str | Path | None = None) -> tuple[bytes, bytes | None, str]:
    """Read a model.

    Args:
        model: Name of a model in this package, or path of an exported file; None: the default.

    Returns:
        The model's bytes, those of its form `motion` or None, and its name or path for messages.

    Raises:
        ModelIncompatible: there is no such model, or its two files contain different weights.
    """
    name = str(model or DEFAULT_MODEL)
    path = Path(name)
    if name in model_names():
        path = Path(str(resources.files(__name__) / f"{name}{SUFFIX}"))
    try:
        content = read_regular(path, MAX_BYTES)
        motion_path = motion_form(path)
        motion = read_regular(motion_path, MAX_BYTES) if motion_path.is_file() else None
    except (OSError, ValueError) as error:  # the latter for a null character in the path
        if isinstance(error, OSError) and path.exists():
            raise ModelIncompatible(f"cannot load model {name!r}: {error.strerror}") from error
        known = ", ".join(model_names()) or "none"
        raise ModelIncompatible(
            f"cannot load model {name!r}: no such file or model (in the package: {known})"
        ) from error
    if motion is not None and _weights(content) != _weights(motion):
        raise ModelIncompatible(
            f"cannot load model {name!r}: {motion_path.name} next to it has other weights; "
            "export both again, or remove that file"
        )
    return content, motion, name


def _weights(content: bytes) -> bytes | None:
    """The checksum of the weights in a model's metadata; None if there is none."""
    match = re.search(rb"rtmag\.sha256\x12\x40([0-9a-f]{64})", content)
    return match[1] if match else None
