"""The models inside this package, each with its card, log and curve; and those in files."""

from importlib import resources
from pathlib import Path

from rtmag.realtime.errors import ModelIncompatible

DEFAULT_MODEL = "standard"


def model_names() -> list[str]:
    """Models inside this package."""
    folder = resources.files(__name__)
    return sorted(p.name[:-5] for p in folder.iterdir() if p.name.endswith(".onnx"))


def read_model(model: str | Path | None = None) -> tuple[bytes, str]:
    """The bytes of a model by name or path, and what to call it in messages.

    Raises:
        ModelIncompatible: no such model.
    """
    name = str(model or DEFAULT_MODEL)
    if name in model_names():
        inside = resources.files(__name__) / f"{name}.onnx"
        return inside.read_bytes(), name
    try:
        return Path(name).read_bytes(), name
    except OSError as error:
        known = ", ".join(model_names()) or "none"
        raise ModelIncompatible(
            f"cannot load model {name!r}: no such file or model (inside the package: {known})"
        ) from error
