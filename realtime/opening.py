"""Which runtime opens a graph: the one that was asked for, or the best that really does."""

from contextlib import suppress

from rtmag.realtime import providers
from rtmag.realtime.errors import (
    MissingExtra,
    ModelIncompatible,
    ProviderUnavailable,
    RtmagError,
)
from rtmag.realtime.session import OrtSession, Session

PREFERENCE = ("cuda", "openvino", "onnx")
"""What `auto` tries, best first."""
_WHERE = ("Exception from ", "Check '")
"""How lines of OpenVINO's errors begin that name a line of its own."""


def open_best(
    forms: dict[str, bytes], source: str, engine: str, threads: int | None, precision: str
) -> Session:
    """A session on the graph that the engine would run; `auto` tries the best first.

    That ends at ONNX Runtime on the CPU. The rest is as of `rtmag.realtime.engine.load_engine`.
    """
    if engine == "auto":
        *better, engine = (name for name in PREFERENCE if name in forms)
        for name in better:
            with suppress(MissingExtra, ProviderUnavailable):
                return _open_on(name, forms[name], source, threads, precision, asked=False)
    return _open_on(engine, forms.get(engine, b""), source, threads, precision)


def _open_on(
    engine: str,
    model: bytes,
    source: str,
    threads: int | None,
    precision: str,
    *,
    asked: bool = True,
) -> Session:
    try:
        if engine == "openvino":
            from rtmag.realtime.openvino_session import OpenvinoSession, has_bfloat16

            bfloat16 = precision == "auto" and has_bfloat16()
            if asked or bfloat16:
                session = OpenvinoSession(model, threads, bfloat16=bfloat16)
                if asked or session.mixed:
                    return session
            raise ProviderUnavailable("openvino was not seen to be faster without bfloat16")
        # ONNX Runtime takes 28 MB, which is for nothing where OpenVINO comes next.
        if engine == "cuda" and not (asked or providers.has_nvidia_driver()):
            raise ProviderUnavailable("there is no NVIDIA driver")
        return OrtSession(model, "cpu" if engine == "onnx" else engine, threads)
    except RtmagError:
        raise
    except Exception as error:  # the runtimes' errors share no other base class
        if engine == "onnx":
            raise ModelIncompatible(
                f"cannot load model {source!r}: not an ONNX model this version can run"
            ) from error
        raise ProviderUnavailable(f"cannot open engine {engine!r}: {reason(error)}") from error


def reason(error: Exception) -> str:
    """The first line that says more than where, without onnxruntime's codes."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(_WHERE)] or lines
    return (telling or [type(error).__name__])[0].rpartition(" : ")[2]
