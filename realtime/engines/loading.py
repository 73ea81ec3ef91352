"""Runs an exported magnifier: the seam behind which the inference runtimes are.

Inputs
    image     (H, W, 3) uint8, BGR, any size
    alpha     total magnification factor
    sections  (S, 5) float32, the temporal filter (rtmag.realtime.filters)
    state     what the previous step returned, or None: take this image as the new reference
Outputs
    image     (H, W, 3) uint8, BGR, motion magnified
    state     to be passed to the next step

Conventions
    State is a value: the engine keeps none, so one engine may serve several streams in turn. The
    graph wants sides that are multiples of 16; the engine repeats the border and cuts it off again.
    Networks are trained to add motion, not to take it away. Alpha below 1 adds 1 - alpha times the
    opposite motion instead: the filter's first section, and with it the state, changes sign.

Several streams
    `step_many` takes one step of each: images, alphas, sections and states are sequences, a stream
    in each place, and so are the images and states that come back. Graphs made for it (`rtmag
    export --streams`) take all in one run; their pictures must be of one size. Others take them in
    turn. A stream without a new picture is left out of the step, its state kept for a later one;
    streams may come, go, and change places.

Motion scale
    The network may look at a picture of half or a quarter of the size: `motion_scale`. The picture
    shown keeps its resolution, only the motion is found more coarsely, in less time.
"""

from dataclasses import dataclass
from pathlib import Path

from rtmag.realtime.engines.engine import NAME as NONE
from rtmag.realtime.engines.engine import Engine, IdentityEngine
from rtmag.realtime.engines.onnx_engine import OnnxEngine
from rtmag.realtime.engines.spec import (
    AUTO,
    ENGINES,
    PRECISIONS,
    PROGRAM,
    EngineName,
    check,
    one_scale,
)
from rtmag.realtime.errors import OptionError, ProviderUnavailable
from rtmag.realtime.models import read_model


def load_engine(
    model: str | Path | None = None,
    *,
    engine: str = "auto",
    threads: int | None = None,
    motion_scale: float = 1.0,
    precision: str = "auto",
    unsafe: bool = False,
    compiled: bool = False,
) -> Engine:
    """Load a magnifier.

    Args:
        model: Name of a model inside the package, path of an exported one (`.onnx`, or `.pt2` to be
            run by PyTorch or TensorRT), `none` to change nothing, or None: the default.
        engine: What runs it. `onnx` is ONNX Runtime on the CPU, `openvino` another for CPUs,
            `cuda` an NVIDIA GPU; `torch` and `tensorrt` run `.pt2` files. `auto` takes the best
            that really opens, the others are that one or none.
        threads: CPU threads; None is one per usable core.
        motion_scale: Size of the picture in which motion is looked for, over that of the picture
            shown: 1, 1/2 or 1/4.
        precision: `fp32` computes all in float32; `auto` lets OpenVINO compute in bfloat16 what
            that does not harm, where the CPU multiplies such numbers.
        unsafe: Allow `.pt2` files, which may run any code when they are opened.
        compiled: Have torch.compile make faster kernels of a `.pt2` file of one size, which takes
            half a minute the first time.

    Raises:
        ModelError: a file that was to be compiled was not, for want of a compiler for example.
        MissingExtra: what the engine needs (OpenVINO, PyTorch, TensorRT) is not installed.
        ModelIncompatible: no such file, not a model of this contract, or one that draws its
            pictures itself and so knows one motion scale only.
        OptionError: another motion scale or precision, float32 of a file that was exported in half
            precision, a `.pt2` file without `unsafe`, an engine that does not run files of this
            kind, or one to be compiled that cannot be.
        ProviderUnavailable: the engine asked for does not open, or there is none of that name.
    """
    if engine not in ENGINES:
        raise ProviderUnavailable(f"engine must be {', '.join(ENGINES)}, got {engine!r}")
    if precision not in PRECISIONS:
        raise OptionError(f"precision must be {' or '.join(PRECISIONS)}, got {precision!r}")
    if Path(model or "").suffix == PROGRAM:
        program = _load_program(str(model), engine, motion_scale, unsafe=unsafe, compiled=compiled)
        check(program.metadata, precision, str(model))
        return program
    if compiled:
        raise OptionError(
            f"only {PROGRAM} files can be compiled, got {str(model)!r}; "
            "make one with rtmag export --target pt2 --size WxH"
        )
    if model == NONE:
        return IdentityEngine()
    content, motion, source = read_model(model)
    if engine in ("torch", "tensorrt"):
        target = "pt2" if engine == "torch" else engine
        raise OptionError(
            f"engine {engine!r} runs {PROGRAM} files, got {source!r}; "
            f"make one with rtmag export --target {target}"
        )
    return OnnxEngine(
        content,
        motion,
        source=source,
        engine=engine,
        threads=threads,
        motion_scale=motion_scale,
        precision=precision,
    )


def _load_program(
    path: str, engine: str, motion_scale: float, *, unsafe: bool, compiled: bool
) -> Engine:
    from rtmag.realtime.engines.torch_engine import TorchEngine
    from rtmag.realtime.engines.torch_program import read_sidecar

    if engine in ("onnx", "openvino"):
        raise OptionError(f"engine {engine!r} runs .onnx files, got {path!r}; give --engine torch")
    # torch.export.load unpickles whatever it finds; its graphs may call any function of torch.
    if not unsafe:
        raise OptionError(
            f"{path!r} is a PyTorch program, which may run any code once opened: if "
            "you trust its maker, give --unsafe (in Python: unsafe=True); .onnx needs no trust"
        )
    if motion_scale != 1:
        raise one_scale(path, motion_scale)
    built = Path(path).is_file() and read_sidecar(Path(path)) is not None
    if built and compiled:
        raise OptionError(f"{path!r} holds a TensorRT engine, which is compiled already")
    if engine == "tensorrt" and Path(path).is_file() and not built:
        raise OptionError(
            f"{path!r} holds no TensorRT engine; make one with rtmag export --target tensorrt"
        )
    provider = "auto" if engine in ("auto", "torch") else "cuda"
    return TorchEngine(path, provider=provider, compiled=compiled)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSpec:
    """Which engine somebody wants; loaded when everything else has been found in order."""

    model: str | None = None
    """As of `load_engine`; `auto` for the most faithful that keeps up (run/adaptive.py)."""
    engine: EngineName = "auto"
    motion_scale: float | None = 1.0
    """None for the largest that keeps up."""
    unsafe: bool = False
    """Allow files that may run any code when they are opened."""
    compiled: bool = False
    """Compile it first, as of `load_engine`."""

    def load(self) -> Engine:
        """The engine, or the most faithful one where there is a choice; raises as `load_engine`."""
        return load_engine(
            None if self.model == AUTO else self.model,
            engine=self.engine,
            motion_scale=self.motion_scale or 1.0,
            unsafe=self.unsafe,
            compiled=self.compiled,
        )
