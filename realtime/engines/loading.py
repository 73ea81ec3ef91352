"""Load a magnifier on the runtime that is requested, or on the best one that opens."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rtmag.realtime.engines.engine import NONE, Engine, IdentityEngine
from rtmag.realtime.engines.runtimes import RUNTIMES, Runtime, find_runtime
from rtmag.realtime.engines.spec import (
    AUTO,
    ONNX,
    PRECISIONS,
    PROGRAM,
    EngineSpec,
    check_precision,
    unsupported_scale,
)
from rtmag.realtime.errors import (
    MissingExtra,
    ModelIncompatible,
    OptionError,
    ProviderUnavailable,
    RtmagError,
)
from rtmag.realtime.models import read_model

if TYPE_CHECKING:
    from rtmag.realtime.engines.onnx_session import Session


def load_engine(
    model: str | Path | None = None,
    *,
    engine: str = AUTO,
    threads: int | None = None,
    motion_scale: float = 1.0,
    precision: str = AUTO,
    unsafe: bool = False,
    compiled: bool = False,
) -> Engine:
    """Load a magnifier.

    Args:
        model: Name of a model in the package, path of an exported one (`.onnx`, or `.pt2` for
            PyTorch and TensorRT), `none` for an engine that changes nothing, or None: the default.
        engine: The runtime. `onnx` is ONNX Runtime on the CPU, `openvino` is OpenVINO on the CPU,
            `cuda` is an NVIDIA GPU; `torch` and `tensorrt` run `.pt2` files. `auto` takes the best
            one that opens; any other name takes that runtime or fails.
        threads: CPU threads of ONNX Runtime and OpenVINO; None: one per usable core.
        motion_scale: Width of the network's input divided by the width of the image: 1, 1/2 or 1/4.
        precision: `fp32` computes everything in float32; `auto` lets OpenVINO use bfloat16 where
            the CPU has such instructions and the result does not suffer.
        unsafe: Allow `.pt2` files, which can run any code when they are opened.
        compiled: Compile a `.pt2` file of one size with torch.compile, which takes half a minute
            the first time.

    Raises:
        ModelError: torch.compile failed, for example because there is no C++ compiler.
        MissingExtra: the runtime's library (OpenVINO, PyTorch, TensorRT) is not installed.
        ModelIncompatible: there is no such file, it does not keep the contract, or it supports
            motion scale 1 only.
        OptionError: the motion scale or precision is invalid, float32 was requested for a
            half-precision file, a `.pt2` file was given without `unsafe`, the runtime does not run
            this type of file, or the file cannot be compiled.
        ProviderUnavailable: the runtime does not open, or there is none with this name.
    """
    path = None if model is None else str(model)
    return _load(EngineSpec(path, engine, motion_scale, precision, threads, unsafe, compiled))


def load_spec(spec: EngineSpec) -> Engine:
    """Load the engine: the default model and the largest scale if the spec leaves a choice.

    Raises:
        RtmagError: as `load_engine`.
    """
    return _load(replace(spec, model=None) if spec.model == AUTO else spec)


def _load(spec: EngineSpec) -> Engine:
    """Load the engine of a spec that names one model; None is the default model."""
    if spec.precision not in PRECISIONS:
        raise OptionError(f"precision must be {' or '.join(PRECISIONS)}, got {spec.precision!r}")
    requested = None if spec.engine == AUTO else find_runtime(spec.engine)
    if spec.model is not None and Path(spec.model).suffix == PROGRAM:
        engine = _load_program(Path(spec.model), spec, requested)
        check_precision(engine.metadata, spec.precision, spec.model)
        return engine
    if spec.compiled:
        raise OptionError(
            f"only {PROGRAM} files can be compiled, got {spec.model!r}; "
            "make one with rtmag export --target pt2 --size WxH"
        )
    return IdentityEngine() if spec.model == NONE else _load_graph(spec, requested)


def _load_graph(spec: EngineSpec, requested: Runtime | None) -> Engine:
    """Load an ONNX model."""
    from rtmag.realtime.engines.onnx_engine import OnnxEngine

    model, motion, source = read_model(spec.model)
    if requested is not None and requested.open_graph is None:
        raise OptionError(
            f"engine {requested.name!r} runs {PROGRAM} files, got {source!r}; "
            f"make one with rtmag export --target {requested.target}"
        )

    def load(runtime: Runtime) -> Engine:
        engine = OnnxEngine(
            model,
            motion,
            source=source,
            open_session=partial(_open_session, runtime, spec, source),
            prefer_full=runtime.prefer_full,
            motion_scale=1.0 if spec.motion_scale is None else spec.motion_scale,
        )
        check_precision(engine.metadata, spec.precision, source)
        return engine

    return _load_on(requested, load, ONNX, spec, motion is not None)


def _load_program(path: Path, spec: EngineSpec, requested: Runtime | None) -> Engine:
    """Load a `.pt2` file."""
    from rtmag.realtime.engines.torch_program import read_sidecar

    if requested is not None and requested.open_program is None:
        raise OptionError(
            f"engine {requested.name!r} runs {ONNX} files, got {str(path)!r}; give --engine torch"
        )
    # torch.export.load unpickles the file, and its graphs may call any function of torch.
    if not spec.unsafe:
        raise OptionError(
            f"{str(path)!r} is a PyTorch program, which can run any code when it is opened; if you "
            f"trust its author, give --unsafe (in Python: unsafe=True), or use an {ONNX} file"
        )
    if spec.motion_scale not in (None, 1):
        raise unsupported_scale(str(path), spec.motion_scale)
    if spec.compiled and path.is_file() and read_sidecar(path) is not None:
        raise OptionError(f"{str(path)!r} contains a TensorRT engine, which is compiled already")

    def load(runtime: Runtime) -> Engine:
        assert runtime.open_program is not None
        return runtime.open_program(path, spec)

    return _load_on(requested, load, PROGRAM, spec, False)


def _load_on(
    requested: Runtime | None,
    load: Callable[[Runtime], Engine],
    suffix: str,
    spec: EngineSpec,
    motion: bool,
) -> Engine:
    """Load an engine on the requested runtime; None: on the first one of the table that opens."""
    if requested is not None:
        return load(requested)
    *others, last = (
        runtime for runtime in RUNTIMES if runtime.opens(suffix) and runtime.automatic(spec, motion)
    )
    for runtime in others:
        with suppress(MissingExtra, ProviderUnavailable):
            return load(runtime)
    return load(last)


def _open_session(runtime: Runtime, spec: EngineSpec, source: str, model: bytes) -> "Session":
    """Open a session on one runtime; errors of the runtime's library become errors of rtmag."""
    assert runtime.open_graph is not None
    try:
        return runtime.open_graph(model, spec)
    except RtmagError:
        raise
    except Exception as error:  # the runtimes' errors share no other base class
        from rtmag.realtime.engines.onnx_session import error_reason

        if runtime.extra is None:  # this runtime opens on every machine, so the model is invalid
            raise ModelIncompatible(
                f"cannot load model {source!r}: not an ONNX model that this version can run"
            ) from error
        raise ProviderUnavailable(
            f"cannot open engine {runtime.name!r}: {error_reason(error)}"
        ) from error
