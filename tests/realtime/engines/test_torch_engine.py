"""PyTorch programs: the same images as the network, and a state that stays on the device."""

import json
import shutil
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install 'rtmag[train]'")
import torch

from rtmag.export import parity
from rtmag.export.torch_export import export_torch
from rtmag.realtime.engines import torch_cuda
from rtmag.realtime.engines.engine import Engine
from rtmag.realtime.engines.loading import load_engine
from rtmag.realtime.engines.size_cache import SIZES
from rtmag.realtime.engines.torch_engine import TensorState, TorchEngine, _device
from rtmag.realtime.engines.torch_program import METADATA_FILE, open_program
from rtmag.realtime.errors import (
    MissingExtra,
    ModelError,
    ModelIncompatible,
    OptionError,
    ProviderUnavailable,
)
from rtmag.realtime.filters import Dynamic, Static, Temporal
from rtmag.realtime.magnifier import Magnifier
from tests.support import small


@pytest.fixture(scope="module", autouse=True)
def _short() -> object:
    """Compare few images."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parity, "ALPHAS", (20.0,))
        patch.setattr(parity, "FILTERS", (Static(), Temporal(0.5, 3, order=2)))
        patch.setattr(parity.clip, "__defaults__", (4,))
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.trained(small.MATCHING, tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program for any size, without matching, which takes three times as long to trace."""
    run = small.trained(small.MAGNET, tmp_path_factory.mktemp("runs") / "tiny")
    return exported(run, "tiny")


@pytest.fixture(scope="module")
def engine(program: Path) -> Engine:
    """The program for any size, opened: that takes seconds, and an engine keeps no state."""
    return load_engine(program, unsafe=True, engine="torch")


@pytest.fixture(scope="module")
def fixed(run: Path) -> Path:
    """A program of one size, which is exported and loaded much faster than one of any size."""
    return exported(run, "fixed", size=(64, 48))


def exported(run: Path, name: str, **options: Any) -> Path:
    """Export a program, or find it where an earlier test exported it."""
    path = run / f"{name}.pt2"
    if not path.exists():
        export_torch(run, path, name=name, **options)
    return path


def with_metadata(program: Path, copy: Path, text: str) -> Path:
    """Copy a program with another text in place of its metadata."""
    with zipfile.ZipFile(program) as before, zipfile.ZipFile(copy, "w") as after:
        for each in before.infolist():
            replaced = each.filename.endswith(f"/{METADATA_FILE}")
            after.writestr(each, text if replaced else before.read(each))
    return copy


def test_a_program_has_metadata(program: Path, engine: Engine) -> None:
    assert isinstance(engine, TorchEngine)
    assert (engine.name, engine.size, engine.motion_scale) == ("tiny", None, 1.0)
    assert engine.metadata["rtmag.precision"] == "fp32"
    assert json.loads(engine.metadata["rtmag.parity"])["worst"] <= parity.WORST
    assert not list(program.parent.glob("*.part*"))


IMAGE_SIZES = ((80, 64), (61, 47), (150, 33))


def equal(ours: Engine, theirs: Engine, size: tuple[int, int], alpha: float) -> None:
    """Both engines show the same images and have the same states."""
    for filter in (Dynamic(), Temporal(0.5, 3, order=2)):
        a = b = None
        for image in parity.clip(size, 4):
            sections = filter.sections(30.0)
            mine, a = ours.step(image, alpha, sections, a)
            other, b = theirs.step(image, alpha, sections, b)
            assert mine.shape == image.shape
            assert np.abs(mine.astype(int) - other).max() <= parity.WORST
        assert a is not None
        assert b is not None
        assert np.allclose(a, b, atol=1e-5)


@pytest.fixture(scope="module")
def onnx_engine(tiny_model: Path) -> Engine:
    return load_engine(tiny_model, engine="onnx", threads=1)


@pytest.mark.parametrize("size", IMAGE_SIZES)
@pytest.mark.parametrize("alpha", [20.0, 0.25])
def test_images_of_any_size_equal_those_of_onnx(
    engine: Engine, onnx_engine: Engine, size: tuple[int, int], alpha: float
) -> None:
    equal(engine, onnx_engine, size, alpha)


@pytest.mark.slow
def test_matching_at_any_size_equals_onnx(run: Path) -> None:
    from rtmag.export.onnx_export import export_onnx

    path = exported(run, "matching")
    export_onnx(run, path.with_suffix(".onnx"), name="matching")
    ours = load_engine(path, unsafe=True, engine="torch")
    theirs = load_engine(path.with_suffix(".onnx"))
    for size in IMAGE_SIZES:
        for alpha in (20.0, 0.25):
            equal(ours, theirs, size, alpha)


def test_a_state_can_be_read_by_numpy_and_is_not_changed(engine: Engine) -> None:
    images, sections = parity.clip((32, 32), 3), Temporal(0.5, 3).sections(30.0)
    _, first = engine.step(images[0], 20.0, sections, None)
    assert isinstance(first, TensorState)
    kept = np.asarray(first)
    again, _ = engine.step(images[1], 20.0, sections, first)
    assert np.array_equal(kept, np.asarray(first)), "a step changed its input state"
    same, _ = engine.step(images[1], 20.0, sections, kept)
    assert np.array_equal(again, same)
    with pytest.raises(ModelIncompatible, match="expects state"):
        engine.step(images[1], 20.0, np.repeat(sections, 2, axis=0), first)


def test_a_magnifier_may_change_its_band(engine: Engine) -> None:
    magnifier = Magnifier(engine, alpha=20, filter=Temporal(0.5, 3), fps=30)
    from rtmag.realtime.frame import Frame

    for index, image in enumerate(parity.clip((32, 32), 6)):
        if index == 3:
            magnifier.filter = Temporal(1, 4)
        shown = magnifier(Frame(image, index / 30, index))
        assert shown.image.shape == image.shape


@pytest.mark.parametrize("streams", [pytest.param("any", marks=pytest.mark.slow), "4"])
def test_several_streams_are_one_run(run: Path, fixed: Path, streams: str) -> None:
    """Alphas, filters and resets differ, one stream pauses; one of four places is idle."""
    path = exported(run, f"streams_{streams}", streams=streams, size=(64, 48))
    together = load_engine(path, unsafe=True, engine="torch")
    alone = load_engine(fixed, unsafe=True, engine="torch")
    assert together.streams_per_run == float(streams.replace("any", "inf"))
    filters, alphas = (Static(), Temporal(0.5, 3, order=2), Dynamic()), (20.0, 0.25, 5.0)
    ours: list[Any] = [None] * 3
    theirs: list[Any] = [None] * 3
    for number, image in enumerate(parity.clip((61, 47), 8)):
        present = [k for k in range(3) if (number + k) % 4]
        if number == 5:
            ours[1] = theirs[1] = None
        images = [np.roll(image, 9 * k, axis=1) for k in present]
        sections = [filters[k].sections(30.0) for k in present]
        factors, states = [alphas[k] for k in present], [ours[k] for k in present]
        shown, after = together.step_many(images, factors, sections, states)
        for place, k in enumerate(present):
            ours[k] = after[place]
            step = images[place], factors[place], sections[place], theirs[k]
            expected, theirs[k] = alone.step(*step)
            assert np.abs(shown[place].astype(int) - expected).max() <= 1
            assert isinstance(ours[k], TensorState)
            assert np.allclose(ours[k], theirs[k], atol=1e-5)
    shown_alone, _ = together.step(images[0], 2.0, sections[0], None)
    assert shown_alone.shape == (47, 61, 3)
    if streams == "4":
        with pytest.raises(ModelIncompatible, match="takes 4 streams per step, got 5"):
            together.step_many(images[:1] * 5, [2.0] * 5, sections[:1] * 5, [None] * 5)


def test_a_program_of_one_size_refuses_other_sizes(program: Path) -> None:
    path = exported(program.parent, "one", size=(60, 40), precision="fp16")
    engine = load_engine(path, unsafe=True, engine="torch")
    assert engine.size == (64, 48)
    assert engine.metadata["rtmag.precision"] == "fp16"
    sections = Static().sections(30.0)
    engine.step(np.zeros((48, 64, 3), np.uint8), 2.0, sections, None)
    with pytest.raises(ModelIncompatible, match="exported for 64x48, got 80x48"):
        engine.step(np.zeros((48, 80, 3), np.uint8), 2.0, sections, None)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # PyTorch's own
@pytest.mark.parametrize("backend", ["eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_a_compiled_program_shows_the_same(
    fixed: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch._dynamo.utils import counters

    if backend == "inductor" and not shutil.which("g++"):
        pytest.skip("torch.compile needs a C++ compiler")
    plain = load_engine(fixed, unsafe=True)
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    compiled = load_engine(fixed, unsafe=True, compiled=True)
    assert f"{compiled.described} on {compiled.runtime}" == "fixed on torch cpu, compiled"
    before = counters["stats"]["unique_graphs"]
    a = b = None
    for image in parity.clip((61, 47), 6):
        sections = Temporal(0.5, 3).sections(30.0)
        expected, a = plain.step(image, 20.0, sections, a)
        shown, b = compiled.step(image, 20.0, sections, b)
        assert np.abs(shown.astype(int) - expected).max() <= parity.WORST
    assert np.allclose(np.asarray(a), np.asarray(b), atol=1e-5)
    assert before > 0
    assert counters["stats"]["unique_graphs"] == before, "compiled in a later step"


def test_only_programs_of_one_size_are_compiled(run: Path, program: Path) -> None:
    with pytest.raises(
        OptionError, match=r"accepts any size .* rtmag export --target pt2 --size WxH"
    ):
        load_engine(program, unsafe=True, compiled=True)
    with pytest.raises(OptionError, match=r"only \.pt2 files can be compiled, got 'fast'"):
        load_engine("fast", compiled=True)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # PyTorch's own
def test_a_missing_compiler_is_an_error_with_a_hint(
    fixed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=_no_compiler))
    with pytest.raises(
        ModelError,
        match=r"cannot run model 'fixed' on torch: RuntimeError: no compiler here; without",
    ):
        load_engine(fixed, unsafe=True, compiled=True)


def _no_compiler(*_: object) -> Any:
    raise RuntimeError("no compiler here")


def test_errors_are_one_line(
    program: Path, fixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ModelIncompatible, match=r"nowhere\.pt2': no such file"):
        load_engine("nowhere.pt2", unsafe=True)
    (tmp_path / "bad.pt2").write_bytes(b"PK nothing")
    with pytest.raises(ModelIncompatible, match="cannot read it"):
        load_engine(tmp_path / "bad.pt2", unsafe=True)
    with pytest.raises(ModelIncompatible, match="supports motion scale 1 only"):
        load_engine(program, unsafe=True, motion_scale=0.5)
    with pytest.raises(ProviderUnavailable, match="got 'npu'"):
        load_engine(program, unsafe=True, engine="npu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ProviderUnavailable, match="no CUDA GPU"):
        load_engine(program, unsafe=True, engine="cuda")
    old = with_metadata(fixed, tmp_path / "old.pt2", '{"rtmag.contract": "0"}')
    with pytest.raises(ModelIncompatible, match="contract 0, this version of rtmag needs 2"):
        load_engine(old, unsafe=True)
    engine = load_engine(fixed, unsafe=True, engine="torch")

    def fails(*_: object) -> object:
        raise RuntimeError("out of memory\nand more")

    monkeypatch.setattr(engine, "_run", fails)
    with pytest.raises(ModelError, match=r"cannot run model 'fixed' on torch: out of memory$"):
        engine.step(np.zeros((48, 64, 3), np.uint8), 2.0, Static().sections(30.0), None)


def test_a_missing_pytorch_names_the_extra(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtra, match="needs PyTorch; pip install"):
        TorchEngine(program)


def test_an_existing_file_is_kept(run: Path, program: Path) -> None:
    before = program.read_bytes()
    with pytest.raises(OptionError, match="it exists; use --overwrite"):
        export_torch(run, program, name="tiny")
    assert program.read_bytes() == before


def test_a_failed_capture_restores_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = object()
    set_to: list[object] = []
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: usual)
    monkeypatch.setattr(torch.cuda, "set_stream", set_to.append)
    monkeypatch.setattr(torch.cuda, "Stream", _no_cuda)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    assert torch_cuda.capture(lambda x: (x, x), [torch.zeros(1)]) is None
    assert set_to == [usual], "a failed capture leaves its own stream selected"


def _no_cuda(*_: object) -> None:
    raise RuntimeError("no CUDA here")


def test_kernels_have_channels_last_layout(program: Path) -> None:
    opened, _ = open_program(program, torch.device("cpu"))
    kernels = [each for each in opened.parameters() if each.ndim == 4]
    assert kernels
    assert all(each.is_contiguous(memory_format=torch.channels_last) for each in kernels)


@pytest.mark.parametrize("streams", [None, "4"])
def test_every_tensor_of_a_program_moves_to_the_device(
    run: Path, program: Path, streams: str | None
) -> None:
    """`meta` stands in for a GPU: PyTorch refuses tensors of other devices there too."""
    if streams:
        program = exported(run, f"streams_{streams}", streams=streams, size=(64, 48))
    meta = torch.device("meta")
    moved, _ = open_program(program, meta)
    tensors = [*moved.parameters(), *moved.buffers(), *vars(moved).values()]
    assert {each.device for each in tensors if isinstance(each, torch.Tensor)} == {meta}
    graphs = [each for each in moved.modules() if isinstance(each, torch.fx.GraphModule)]
    named = {node.kwargs.get("device") for graph in graphs for node in graph.graph.nodes}
    assert named - {None} == {"meta"}
    count = () if streams is None else (int(streams),)
    out, state, *_ = moved(
        torch.zeros(*count, 48, 64, 3, dtype=torch.uint8, device=meta),
        torch.zeros(count, device=meta),
        torch.zeros(*count, 2, 5, device=meta),
        torch.zeros(count, device=meta),
        torch.zeros(*(count or (1,)), 40, 12, 16, device=meta),
    )
    assert (out.device, state.device) == (meta, meta)


def test_a_gpu_is_named_with_its_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks in programs distinguish cuda from cuda:0, the device of its tensors."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    assert _device(torch, "auto") == _device(torch, "cuda") == torch.device("cuda:1")
    assert _device(torch, "cpu") == torch.device("cpu")


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        (
            '{"rtmag.contract": "2"}',
            r"metadata rtmag\.model, rtmag\.channels, rtmag\.stride is missing or invalid",
        ),
        (
            '{"rtmag.contract": "2", "rtmag.model": "x", "rtmag.channels": "9", '
            '"rtmag.stride": "4", "rtmag.size": "wide"}',
            r"metadata rtmag\.size is missing or invalid; export it again",
        ),
        ('{"rtmag.contract": 2}', "expected an object of strings"),
        ("{", "not JSON"),
    ],
)
def test_invalid_metadata_is_refused(fixed: Path, tmp_path: Path, facts: str, message: str) -> None:
    path = with_metadata(fixed, tmp_path / "odd.pt2", facts)
    with pytest.raises(ModelIncompatible, match=message):
        load_engine(path, unsafe=True)


def test_graphs_of_the_last_used_sizes_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def capture(program: Any, values: list[torch.Tensor]) -> Any:
        made.append(len(values[0]))
        return None if len(values[0]) == 1 else lambda values: (values[0], values[0])

    monkeypatch.setattr(torch_cuda, "capture", capture)
    step = torch_cuda.TorchCudaGraphs(lambda x: (x, x + 1))
    for size in (1, 2, 3, 4, 1, 5, 3, 2, 1):
        assert len(step(torch.zeros(size))[0]) == size
        assert len(step._graphs) <= SIZES
    assert made == [1, 2, 3, 4, 5, 2], "the least recently used size is dropped"
    assert step(torch.zeros(1))[1] == 1, "without a graph, steps run the program"


@pytest.mark.parametrize("setting", ["tf32", "ieee", "none"])
def test_tf32_is_off_within_a_step_and_restored_after_it(
    setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    backends: Any = torch.backends
    settings = backends.cudnn.conv, backends.cuda.matmul
    usual = [each.fp32_precision for each in settings]
    seen: list[str] = []

    def program(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        seen.extend(each.fp32_precision for each in settings)
        raise RuntimeError("no memory")

    step = torch_cuda.TorchCudaGraphs(program)
    monkeypatch.setattr(torch_cuda, "capture", lambda *_: None)
    try:
        for each in settings:
            each.fp32_precision = setting
        before = [each.fp32_precision for each in settings]
        with pytest.raises(RuntimeError):
            step(torch.zeros(1))
        assert seen == ["ieee", "ieee"]
        assert [each.fp32_precision for each in settings] == before
    finally:
        for each, precision in zip(settings, usual, strict=True):
            each.fp32_precision = precision
