"""Pictures of GPUs and CPUs are the same, at every factor and precision, over many frames.

The tests need a CUDA GPU. Errors of the state become visible only after some frames, so the clips
last two seconds at 30 fps.
"""

from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install 'rtmag[train]'")
pytest.importorskip("onnx", reason="needs onnx: pip install 'rtmag[export]'")
import torch

from rtmag.export import parity
from rtmag.export.onnx_export import export_onnx
from rtmag.export.source import Precision
from rtmag.export.torch_export import export_tensorrt, export_torch
from rtmag.realtime.engines.engine import Engine
from rtmag.realtime.engines.loading import load_engine
from rtmag.realtime.engines.onnx_engine import OnnxEngine
from rtmag.realtime.engines.onnx_providers import has_nvidia_driver
from rtmag.realtime.engines.onnx_session import OrtSession
from rtmag.realtime.engines.torch_engine import TorchEngine
from rtmag.realtime.errors import ProviderUnavailable
from rtmag.realtime.filters import Dynamic, Filter, Static, Temporal
from rtmag.realtime.sections import State

FRAMES = 60
SIZE = (96, 80)
RUN = Path(__file__).parents[2] / "train" / "checkpoints" / "fast"

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not has_nvidia_driver(), reason="needs a CUDA GPU"),
]


@pytest.fixture(scope="module", params=["fp32", "fp16"])
def precision(request: pytest.FixtureRequest) -> Precision:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder of exported models; the parity check is shortened, as other tests cover it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parity, "ALPHAS", (20.0,))
        patch.setattr(parity, "FILTERS", (Static(),))
        patch.setattr(parity.clip, "__defaults__", (2,))
        yield tmp_path_factory.mktemp("models")


def differences(one: Engine, other: Engine, alpha: float, filter: Filter) -> parity.Parity:
    """Differences between the pictures of two engines, each with its own state."""
    found = parity.Parity()
    a: State | None = None
    b: State | None = None
    sections = filter.sections(parity.FPS)
    for image in parity.clip(SIZE, FRAMES):
        expected, a = one.step(image, alpha, sections, a)
        shown, b = other.step(image, alpha, sections, b)
        found.add(expected, shown)
    return found


def check(one: Engine, other: Engine, alpha: float, precision: Precision) -> None:
    """Check that two engines differ by rounding only."""
    allowed = parity.bounds(half=precision == "fp16")
    for filter in (Static(), Dynamic(), Temporal(0.5, 3, order=2)):
        allowed.check(differences(one, other, alpha, filter), filter, alpha)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU, and a PyTorch for it")
@pytest.mark.parametrize("alpha", [2.0, 20.0, 100.0])
def test_pytorch_on_cuda_and_on_the_cpu_show_the_same(
    folder: Path, precision: Precision, alpha: float
) -> None:
    path = folder / f"{precision}.pt2"
    if not path.exists():
        export_torch(RUN, path, name="fast", precision=precision)
    cpu, gpu = (TorchEngine(path, provider=provider) for provider in ("cpu", "cuda"))
    check(cpu, gpu, alpha, precision)
    assert gpu.uses_cuda_graph


@pytest.mark.skipif(not find_spec("torch_tensorrt"), reason="needs torch-tensorrt and a CUDA GPU")
@pytest.mark.parametrize("alpha", [2.0, 20.0, 100.0])
def test_tensorrt_and_the_cpu_show_the_same(
    folder: Path, precision: Precision, alpha: float
) -> None:
    path = folder / f"{precision}.trt.pt2"
    if not path.exists():
        export_tensorrt(RUN, path, name="fast", size=SIZE, precision=precision)
    check(load_engine("fast", engine="onnx"), TorchEngine(path, provider="cuda"), alpha, precision)


@pytest.mark.parametrize("alpha", [2.0, 20.0, 100.0])
def test_onnx_runtime_on_cuda_and_on_the_cpu_show_the_same(
    folder: Path, precision: Precision, alpha: float
) -> None:
    path = folder / f"{precision}.onnx"
    if not path.exists():
        export_onnx(RUN, path, name="fast", precision=precision)
    cpu = OnnxEngine(path.read_bytes(), source=path.name)
    try:
        on_cuda = partial(OrtSession, provider="cuda")
        gpu = OnnxEngine(path.read_bytes(), source=path.name, open_session=on_cuda)
    except ProviderUnavailable as error:
        pytest.skip(str(error))
    check(cpu, gpu, alpha, precision)
    assert gpu.uses_cuda_graph
