"""Which execution providers of ONNX Runtime really open on this machine.

ONNX Runtime lists CUDA wherever its GPU build is installed, and falls back to the CPU without a
word when the libraries are missing. Here a provider counts only if a session opens on it alone.
"""

import ctypes
import sys
import warnings
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from rtmag.realtime.engines.onnx_protobuf import field, model, node, tensor
from rtmag.realtime.environment import usable_cores
from rtmag.realtime.errors import MissingExtra, ProviderUnavailable

NAMES = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}

OPTIONS: dict[str, dict[str, str]] = {
    "cpu": {},
    # The exhaustive search re-tunes for every size and gains nothing in the steady state.
    # TF32 rounds what is multiplied to ten bits; shapes differ by a thousandth of what they are.
    "cuda": {
        "cudnn_conv_algo_search": "HEURISTIC", "arena_extend_strategy": "kSameAsRequested",
        "use_tf32": "0",
    },
}  # fmt: skip

PREFERENCE = ("cuda", "cpu")


@dataclass(frozen=True, slots=True)
class Probe:
    """The outcome of opening a model on one provider."""

    provider: str
    """`cpu` or `cuda`."""
    reason: str | None
    """Why it did not open; None when it did."""


def runtime() -> Any:
    """The onnxruntime module.

    Raises:
        MissingExtra: it is not installed or does not load.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtra(
            f"cannot load ONNX Runtime: {error}; pip install onnxruntime-gpu, or onnxruntime "
            "(exactly one of them)"
        ) from error
    return onnxruntime


def open_session(
    model: bytes, provider: str, threads: int | None = None, *, captured: bool = False
) -> Any:
    """A session on one provider and no other.

    Args:
        model: A serialised ONNX model in one piece.
        provider: `cpu` or `cuda`.
        threads: Threads of the CPU provider; None is one per usable core.
        captured: `cuda` is to capture its runs as CUDA graphs (onnx_cuda_graph.py).

    Raises:
        ProviderUnavailable: the provider does not open; the message says why. A graph that cannot
            be captured is an exception of ONNX Runtime's.
    """
    ort = runtime()
    if provider not in NAMES:
        raise ProviderUnavailable(f"provider must be auto, {', '.join(NAMES)}, got {provider!r}")
    if NAMES[provider] not in ort.get_available_providers():
        raise ProviderUnavailable(
            f"cannot open provider {provider!r}: this onnxruntime has none; "
            "pip install 'rtmag[cuda]'"
        )
    if provider == "cuda":
        _preload(ort)
    options = session_options(provider, threads)
    ort.set_default_logger_severity(4)
    chosen = OPTIONS[provider] | ({"enable_cuda_graph": "1"} if captured else {})
    providers = [(NAMES[provider], chosen)]
    # Fallback here means to print, to drop the provider that failed, and to go on without it.
    session = ort.InferenceSession(model, options, providers=providers, enable_fallback=0)
    # Libraries that are missing raise nothing: the session is there, but the CPU's. (The option
    # session.disable_cpu_ep_fallback is no cure: it also refuses the shape arithmetic that every
    # GPU session leaves to the CPU.)
    if session.get_providers()[0] != NAMES[provider]:
        raise ProviderUnavailable(
            f"cannot open provider {provider!r}: onnxruntime fell back to the CPU; its CUDA "
            "libraries are missing: pip install 'rtmag[cuda]', see rtmag doctor"
        )
    return session


@cache
def _preload(ort: Any) -> None:
    """Load CUDA's libraries from where `pip install 'rtmag[cuda]'` puts them.

    No loader searches there, and ONNX Runtime does not unless told. What it misses it prints; that
    is told when the session does not open.
    """
    with redirect_stdout(StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ort.preload_dlls()


def session_options(provider: str, threads: int | None = None) -> Any:
    """How sessions run; arguments as of `open_session`."""
    options = runtime().SessionOptions()
    options.log_severity_level = 4  # errors come as exceptions, not on the user's terminal
    options.add_session_config_entry("session.set_denormal_as_zero", "1")  # decaying filter states
    if provider == "cpu":
        # Threads that wait for each other within a step spin, which saves a sixth of its time;
        # between frames, which come at intervals, they sleep, or a core would be burnt.
        options.add_session_config_entry("session.intra_op.allow_spinning", "1")
        options.add_session_config_entry("session.force_spinning_stop", "1")
        options.intra_op_num_threads = threads or usable_cores()
    return options


def has_nvidia_driver() -> bool:
    """Whether there is one that programs can load; tells without loading ONNX Runtime."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def probe(model: bytes) -> list[Probe]:
    """Try the model on every provider rtmag knows, best first."""
    outcomes = []
    for provider in PREFERENCE:
        try:
            open_session(model, provider)
        except Exception as error:  # onnxruntime's errors share no other base class
            outcomes.append(Probe(provider, str(error).splitlines()[0]))
        else:
            outcomes.append(Probe(provider, None))
    return outcomes


_LIBRARY = "libonnxruntime_providers_{}.so"


def missing_library(provider: str) -> str | None:
    """What the loader says about a provider's own library, which onnxruntime only logs.

    Args:
        provider: `cuda`, as in rtmag.realtime.engines.onnx_providers.
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
