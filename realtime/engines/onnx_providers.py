"""Execution providers of ONNX Runtime: open a session on exactly one, and test whether it works.

ONNX Runtime lists CUDA wherever its GPU build is installed, and falls back to the CPU silently if
CUDA's libraries are missing. Here a provider counts as available only if a session opens on it
alone.
"""

import ctypes
import sys
import warnings
from contextlib import redirect_stdout
from functools import cache
from importlib import resources
from io import StringIO
from pathlib import Path
from typing import Any

from rtmag.realtime.environment import disable_telemetry, usable_cores
from rtmag.realtime.errors import MissingExtra, ProviderUnavailable

NAMES = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
"""ONNX Runtime's names of the providers."""

OPTIONS: dict[str, dict[str, str]] = {
    "cpu": {},
    # The exhaustive search runs again for every size, and later steps are no faster for it.
    # TF32 rounds factors to ten bits, too few: two values of `shape` differ by a thousandth.
    "cuda": {
        "cudnn_conv_algo_search": "HEURISTIC", "arena_extend_strategy": "kSameAsRequested",
        "use_tf32": "0",
    },
}  # fmt: skip
"""Options of each provider."""


def import_onnxruntime() -> Any:
    """The onnxruntime module, which sends nothing.

    Raises:
        MissingExtra: it is not installed or does not load.
    """
    disable_telemetry()
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtra(
            f"cannot load ONNX Runtime: {error}; pip install onnxruntime-gpu, or onnxruntime "
            "(exactly one of them)"
        ) from error
    return onnxruntime


def open_session(
    model: bytes, provider: str, threads: int | None = None, *, cuda_graph: bool = False
) -> Any:
    """Open a session on one provider and no other.

    Args:
        model: A serialised ONNX model in one piece.
        provider: `cpu` or `cuda`.
        threads: Threads of the CPU provider; None: one per usable core.
        cuda_graph: Let `cuda` capture runs as CUDA graphs (onnx_cuda_graph.py).

    Raises:
        MissingExtra: ONNX Runtime is not installed.
        ProviderUnavailable: the provider does not open; the message says why. If the graph cannot
            be captured, ONNX Runtime's own exception is passed on.
    """
    ort = import_onnxruntime()
    if provider not in NAMES:
        raise ProviderUnavailable(f"provider must be auto, {', '.join(NAMES)}, got {provider!r}")
    if NAMES[provider] not in ort.get_available_providers():
        raise ProviderUnavailable(
            f"cannot open provider {provider!r}: the installed onnxruntime does not include it; "
            "pip install 'rtmag[cuda]'"
        )
    if provider == "cuda":
        _preload(ort)
    options = session_options(provider, threads)
    ort.set_default_logger_severity(4)
    provider_options = OPTIONS[provider] | ({"enable_cuda_graph": "1"} if cuda_graph else {})
    providers = [(NAMES[provider], provider_options)]
    # The runtime's fallback prints, drops the provider that failed, and continues without it.
    session = ort.InferenceSession(model, options, providers=providers, enable_fallback=0)
    # If libraries are missing, nothing is raised: the session runs on the CPU. (The option
    # session.disable_cpu_ep_fallback does not help: it also refuses the shape arithmetic that every
    # GPU session runs on the CPU.)
    if session.get_providers()[0] != NAMES[provider]:
        raise ProviderUnavailable(
            f"cannot open provider {provider!r}: onnxruntime fell back to the CPU because CUDA "
            "libraries are missing; pip install 'rtmag[cuda]', see rtmag doctor"
        )
    return session


@cache
def _preload(ort: Any) -> None:
    """Load CUDA's libraries from the folders of `pip install 'rtmag[cuda]'`.

    The system's loader does not search there, and ONNX Runtime does so only on request. It prints
    the names of missing libraries; that output is dropped, because `open_session` reports the
    failure.
    """
    with redirect_stdout(StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ort.preload_dlls()


def session_options(provider: str, threads: int | None = None) -> Any:
    """Session options; arguments as in `open_session`."""
    options = import_onnxruntime().SessionOptions()
    options.log_severity_level = 4  # errors are raised, so they need not be printed
    # States of filters decay to denormal numbers, which are slow on CPUs.
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    if provider == "cpu":
        # Threads that wait for each other within a step spin, which saves a sixth of its time.
        # Between frames they sleep: spinning would use a whole core.
        options.add_session_config_entry("session.intra_op.allow_spinning", "1")
        options.add_session_config_entry("session.force_spinning_stop", "1")
        options.intra_op_num_threads = threads or usable_cores()
        # The block that a pattern allocates comes on top of the blocks of the first step: 45 MB
        # more for `standard` at 1280x720, at the same speed.
        options.enable_mem_pattern = False
    return options


def has_nvidia_driver() -> bool:
    """True if the NVIDIA driver's library loads; does not load ONNX Runtime."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def check_provider(provider: str) -> str:
    """Test that a session opens on a provider; returns the text `works`.

    Raises:
        MissingExtra: ONNX Runtime is not installed.
        ProviderUnavailable: the session does not open. The message is the loader's if a library of
            the provider does not load, else the first line of ONNX Runtime's.
    """
    try:
        open_session(packaged_graph("convolution"), provider)
    except MissingExtra:
        raise
    except Exception as error:  # onnxruntime's errors share no other base class
        reason = missing_library(provider) or str(error).splitlines()[0]
        raise ProviderUnavailable(reason) from error
    return "works"


def missing_library(provider: str) -> str | None:
    """The loader's error for a provider's own library, which onnxruntime only logs; else None.

    Args:
        provider: `cpu` or `cuda`.
    """
    kind = NAMES[provider].removesuffix("ExecutionProvider").lower()
    prefix, suffix = ("", "dll") if sys.platform == "win32" else ("lib", "so")
    folder = Path(import_onnxruntime().__file__).parent / "capi"
    shared, library = (
        folder / f"{prefix}onnxruntime_providers_{name}.{suffix}" for name in ("shared", kind)
    )
    if not library.exists():
        return None
    try:
        ctypes.CDLL(str(shared), mode=ctypes.RTLD_GLOBAL)
        ctypes.CDLL(str(library))
    except OSError as error:
        return str(error).splitlines()[0]
    return None


def packaged_graph(name: str) -> bytes:
    """One of the small graphs in this package, made by rtmag/export/runtime_graphs.py."""
    return (resources.files(__package__ or "") / "graphs" / f"{name}.onnx").read_bytes()
