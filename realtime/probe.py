"""Why an execution provider of onnxruntime does not open, and the smallest model to try it with."""

import ctypes
import sys
from pathlib import Path

import numpy as np

from rtmag.realtime.protobuf import field, model, node, tensor
from rtmag.realtime.providers import NAMES, runtime

_LIBRARY = "libonnxruntime_providers_{}.so"


def missing_library(provider: str) -> str | None:
    """What the loader says about a provider's own library, which onnxruntime only logs.

    Args:
        provider: `cuda`, as in rtmag.realtime.providers.
    """
    kind = NAMES[provider].removesuffix("ExecutionProvider").lower()
    pattern = "onnxruntime_providers_{}.dll" if sys.platform == "win32" else _LIBRARY
    folder = Path(runtime().__file__).parent / "capi"
    shared, library = (folder / pattern.format(name) for name in ("shared", kind))
    if not library.exists():
        return None
    try:
        ctypes.CDLL(str(shared), mode=ctypes.RTLD_GLOBAL)
        ctypes.CDLL(str(library))
    except OSError as error:
        return str(error).splitlines()[0]
    return None


def one_convolution() -> bytes:
    """The smallest model worth running, as ONNX bytes: 1x1x8x8 through one 3x3 kernel."""
    weight = b"".join(field(1, size) for size in (1, 1, 3, 3))
    weight += field(2, 1) + field(8, "w") + field(9, np.ones(9, "<f4").tobytes())
    graph = field(1, node("Conv", ["x", "w"], "y")) + field(2, "probe") + field(5, weight)
    graph += field(11, tensor("x", (1, 1, 8, 8))) + field(12, tensor("y", (1, 1, 6, 6)))
    return model(graph)
