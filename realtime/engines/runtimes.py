"""The table of inference runtimes: names, devices, extras, and functions that open them.

`load_engine`, `--engine`, `rtmag doctor` and `rtmag bench` all read this table. A new engine is one
row here, a module with its session, and its extra in pyproject.toml. Importing this module loads no
library.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, get_args

from rtmag.realtime.engines.spec import AUTO, PROGRAM, EngineSpec
from rtmag.realtime.errors import OptionError, ProviderUnavailable

if TYPE_CHECKING:
    from pathlib import Path

    from rtmag.realtime.engines.engine import Engine
    from rtmag.realtime.engines.onnx_session import Session

EngineName = Literal["auto", "cuda", "openvino", "onnx", "torch", "tensorrt"]
"""Values of `--engine`: `auto` and the names in `RUNTIMES`."""

ENGINES: tuple[EngineName, ...] = get_args(EngineName)
"""The same at run time."""


def _always(spec: EngineSpec, motion: bool) -> bool:
    """True: `auto` tries the runtime for every model."""
    return True


def _never(spec: EngineSpec, motion: bool) -> bool:
    """False: the runtime must be requested by name."""
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """An inference runtime and the devices that it uses."""

    name: EngineName
    device: str
    """Device, for help texts."""
    provider: str
    """`Engine.runtime` of the engines that it opens from `.onnx` files."""
    extra: str | None
    """Extra of rtmag that installs it; None: it is always installed with rtmag."""
    packages: tuple[str, ...]
    """Distributions that contain it; `rtmag doctor` lists their versions."""
    open_graph: "Callable[[bytes, EngineSpec], Session] | None" = None
    """Open a serialised ONNX model; None: the runtime does not run `.onnx` files."""
    open_program: "Callable[[Path, EngineSpec], Engine] | None" = None
    """Open a `.pt2` file; None: the runtime does not run such files."""
    target: str | None = None
    """Value of `rtmag export --target` that makes its files; None: `onnx`."""
    prefer_full: bool = False
    """True if the full graph is faster here than the form `motion` and a warp on the CPU."""
    automatic: Callable[[EngineSpec, bool], bool] = _always
    """True if `auto` should try it. The second argument: True if the model has a form `motion`."""
    check: Callable[[], str] | None = None
    """Test the installation for `rtmag doctor` and return a line about it; raises if it fails."""

    def opens(self, suffix: str) -> bool:
        """True if it runs files with this suffix; all suffixes except `.pt2` count as ONNX."""
        return (self.open_program if suffix == PROGRAM else self.open_graph) is not None


def _open_onnx(provider: str, model: bytes, spec: EngineSpec) -> "Session":
    from rtmag.realtime.engines.onnx_session import OrtSession

    return OrtSession(model, provider, spec.threads)


def _check_ort(provider: str) -> str:
    from rtmag.realtime.engines.onnx_providers import check_provider

    return check_provider(provider)


def _has_nvidia_driver(spec: EngineSpec, motion: bool) -> bool:
    # Without this test, `auto` would load ONNX Runtime (28 MB) even where OpenVINO is used.
    from rtmag.realtime.engines.onnx_providers import has_nvidia_driver

    return has_nvidia_driver()


def _open_openvino(model: bytes, spec: EngineSpec) -> "Session":
    """Open an ONNX model on OpenVINO; `auto` uses it only with bfloat16."""
    from rtmag.realtime.engines.openvino_session import OpenvinoSession, has_bfloat16

    bfloat16 = spec.precision == AUTO and has_bfloat16()
    session = OpenvinoSession(model, spec.threads, bfloat16=bfloat16)
    if spec.engine == AUTO and not session.bfloat16:
        raise ProviderUnavailable("engine 'openvino' is not known to be faster without bfloat16")
    return session


def _openvino_is_faster(spec: EngineSpec, motion: bool) -> bool:
    """True where it was measured to be faster: the form `motion`, partly in bfloat16."""
    if not motion or spec.precision != AUTO or find_spec("openvino") is None:
        return False
    from rtmag.realtime.engines.openvino_session import has_bfloat16

    try:
        return has_bfloat16()
    except Exception:  # OpenVINO does not load, or an error that has no base class of its own
        return False


def _check_openvino() -> str:
    from rtmag.realtime.engines.openvino_session import has_bfloat16

    return "works, with bfloat16" if has_bfloat16() else "works"


def _open_torch(provider: str, path: "Path", spec: EngineSpec) -> "Engine":
    from rtmag.realtime.engines.torch_engine import TorchEngine

    return TorchEngine(path, provider=provider, compiled=spec.compiled)


def _open_tensorrt(path: "Path", spec: EngineSpec) -> "Engine":
    """Open a `.pt2` file that must contain a TensorRT engine."""
    from rtmag.realtime.engines.torch_program import read_sidecar

    if path.is_file() and read_sidecar(path) is None:
        raise OptionError(
            f"{str(path)!r} contains no TensorRT engine; make one with "
            "rtmag export --target tensorrt"
        )
    return _open_torch("cuda", path, spec)


RUNTIMES: tuple[Runtime, ...] = (
    Runtime(
        name="cuda",
        device="NVIDIA GPUs",
        provider="cuda",
        extra="cuda",
        packages=("onnxruntime-gpu",),
        open_graph=partial(_open_onnx, "cuda"),
        open_program=partial(_open_torch, "cuda"),
        prefer_full=True,
        automatic=_has_nvidia_driver,
        check=partial(_check_ort, "cuda"),
    ),
    Runtime(
        name="openvino",
        device="CPUs",
        provider="openvino",
        extra="openvino",
        packages=("openvino",),
        open_graph=_open_openvino,
        automatic=_openvino_is_faster,
        check=_check_openvino,
    ),
    Runtime(
        name="onnx",
        device="CPUs",
        provider="cpu",
        extra=None,
        packages=("onnxruntime",),
        open_graph=partial(_open_onnx, "cpu"),
        check=partial(_check_ort, "cpu"),
    ),
    Runtime(
        name="torch",
        device="CPUs and NVIDIA GPUs",
        provider="torch",
        extra="train",
        packages=("torch",),
        open_program=partial(_open_torch, AUTO),
        target="pt2",
    ),
    Runtime(
        name="tensorrt",
        device="NVIDIA GPUs",
        provider="tensorrt",
        extra="trt",
        packages=("torch-tensorrt",),
        open_program=_open_tensorrt,
        target="tensorrt",
        automatic=_never,
    ),
)
"""Every runtime. `auto` takes the first one that should be tried and that opens."""


def find_runtime(name: str) -> Runtime:
    """The runtime with this name.

    Raises:
        ProviderUnavailable: there is none.
    """
    for runtime in RUNTIMES:
        if runtime.name == name:
            return runtime
    raise ProviderUnavailable(f"engine must be {', '.join(ENGINES)}, got {name!r}")
