"""Why an execution provider of onnxruntime does not open, and the smallest model to try it with."""

import ctypes
import sys
from pathlib import Path

import numpy as np

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
    shapes = {"x": (1, 1, 8, 8), "y": (1, 1, 6, 6)}
    values = {name: _field(1, name) + _field(2, _tensor_type(s)) for name, s in shapes.items()}
    weight = b"".join(_field(1, size) for size in (1, 1, 3, 3))
    weight += _field(2, 1) + _field(8, "w") + _field(9, np.ones(9, "<f4").tobytes())
    node = _field(1, "x") + _field(1, "w") + _field(2, "y") + _field(4, "Conv")
    graph = _field(1, node) + _field(2, "probe") + _field(5, weight)
    graph += _field(11, values["x"]) + _field(12, values["y"])
    return _field(1, 8) + _field(7, graph) + _field(8, _field(1, "") + _field(2, 13))


def _tensor_type(shape: tuple[int, ...]) -> bytes:
    dims = b"".join(_field(1, _field(1, size)) for size in shape)
    return _field(1, _field(1, 1) + _field(2, dims))


def _field(number: int, value: int | str | bytes) -> bytes:
    """One field of a protocol buffer: integers below 128, text and nested messages."""
    if isinstance(value, int):
        return bytes((number << 3, value))
    data = value.encode() if isinstance(value, str) else value
    length, coded = len(data), bytearray()
    while length > 127:
        coded.append(length & 127 | 128)
        length >>= 7
    return bytes((number << 3 | 2, *coded, length)) + data
