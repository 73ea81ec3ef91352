"""Export to ONNX: the graph computes what the network computes, or is not written."""

import hashlib
import json
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from scipy.signal import sosfilt
from torch import Tensor

from rtmag.export import cli as export_cli
from rtmag.export import onnx_export as onnx_target
from rtmag.export import parity
from rtmag.export.cli import main
from rtmag.export.graph import Graph, Streams
from rtmag.export.onnx_export import export_onnx
from rtmag.export.source import ExportSource, load_source
from rtmag.realtime.analysis.tracking import displacement, gray
from rtmag.realtime.cli.main import execute
from rtmag.realtime.engines.engine import Engine
from rtmag.realtime.engines.loading import load_engine
from rtmag.realtime.engines.onnx_engine import OnnxEngine
from rtmag.realtime.engines.onnx_session import OrtSession
from rtmag.realtime.errors import ModelIncompatible, OptionError, ParityError
from rtmag.realtime.filters import Dynamic, Filter, Static, Temporal
from rtmag.realtime.models import motion_form
from rtmag.train import checkpoint
from rtmag.train.network.config import CONFIGS, Config
from rtmag.train.network.magnet import MagNet
from rtmag.train.network.oh2018 import Oh2018
from rtmag.train.network.recurrence import transition
from tests.support import small

FILTERS: tuple[Filter, ...] = (
    Static(), Static(drift=0.5), Dynamic(), Temporal(0.4, 3), Temporal(0.4, 3, order=2),
)  # fmt: skip
SHIPPED = {"ALPHAS": parity.ALPHAS, "FILTERS": parity.FILTERS}


# ---- the recurrence ---------------------------------------------------------------------------


def expected(filter: Filter, signal: NDArray[np.float64], resets: list[int]) -> Any:
    """The result of scipy; each reset starts a new signal relative to its first value."""
    sos = np.insert(filter.sections(30).astype(np.float64), 3, 1, axis=1)
    parts = np.split(signal, resets)
    return np.concatenate([sosfilt(sos, part - part[0], axis=0) for part in parts])


@pytest.mark.parametrize("filter", FILTERS, ids=str)
def test_one_step_of_the_matrix_is_one_step_of_scipy(filter: Filter) -> None:
    sections = torch.from_numpy(filter.sections(30).astype(np.float64))
    signal = np.random.default_rng(0).normal(2, 1, (60, 7))
    memory = torch.full((2 * len(sections), 7), 1e3, dtype=torch.float64)  # must not matter
    found = []
    for i, s in enumerate(signal):
        reset = torch.tensor(float(i in (0, 25)), dtype=torch.float64)
        matrix = transition(sections, reset)
        out = matrix @ torch.cat([torch.from_numpy(s)[None], memory])
        found.append(out[0].numpy())
        memory = out[1:]
    assert np.allclose(found, expected(filter, signal, [25]), rtol=0, atol=1e-9)


@pytest.mark.parametrize("config", [small.MAGNET, small.MATCHING, small.OH2018])
@pytest.mark.parametrize("filter", FILTERS, ids=str)
@torch.no_grad()
def test_the_graph_filters_shape_in_time(
    filter: Filter, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = small.net(config)
    shapes: list[Tensor] = []
    differences: list[Tensor] = []

    def remember(shape: Tensor, difference: Tensor) -> None:
        shapes.append(shape)
        differences.append(difference)

    def drawn(
        image: Tensor, texture: Tensor, shape: Tensor, difference: Tensor, alpha: Tensor
    ) -> Tensor:
        remember(shape, difference)
        return image

    def moved(texture: Tensor, shape: Tensor, difference: Tensor, alpha: Tensor) -> Tensor:
        remember(shape, difference)
        return torch.zeros(1, 2, 8, 8)

    if isinstance(net, MagNet):
        monkeypatch.setattr(net, "motion", moved)
    else:
        monkeypatch.setattr(net, "decode", drawn)
    graph, sections = Graph(net), torch.from_numpy(filter.sections(30))
    side = 32 // net.stride
    memory = torch.zeros(1, 2 * len(sections) * net.shape_channels, side, side)
    for i, image in enumerate(parity.clip((32, 32), 24)):
        reset = torch.tensor(float(i in (0, 10)))
        picture = torch.from_numpy(image)
        shown, memory, *_ = graph(picture, torch.tensor(5.0), sections, reset, memory)
        assert torch.equal(shown, picture)
    signal = torch.cat(shapes).double().numpy()
    found = torch.cat(differences).numpy()
    size = np.abs(signal).max()
    assert np.abs(found - expected(filter, signal, [10])).max() < 3e-5 * size
    assert not found[[0, 10]].any()


# ---- exports ----------------------------------------------------------------------------------


@pytest.fixture(scope="module", autouse=True)
def short() -> Iterator[None]:
    """Compare few cases and frames; one test restores all of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parity, "ALPHAS", (20.0,))
        patch.setattr(parity, "FILTERS", (Temporal(0.5, 3, order=2),))
        patch.setattr(parity.clip, "__defaults__", (4,))
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.trained(small.MATCHING, tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture(scope="module")
def whole(run: Path) -> bytes:
    """The tiny run's graph with the outputs of all forms."""
    source = load_source(run, name="tiny", size=None, precision="fp32")
    return bytes(onnx_target._trace(source).SerializeToString())


@pytest.fixture(scope="module")
def model(run: Path, whole: bytes) -> Path:
    """The tiny run, exported for any size."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_target, "_trace", lambda *_: onnx.load_from_string(whole))
        export_onnx(run, run / "tiny.onnx", name="tiny")
    return run / "tiny.onnx"


@pytest.fixture
def traced(whole: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a graph that is traced once, since tracing takes seconds."""
    monkeypatch.setattr(onnx_target, "_trace", lambda *_: onnx.load_from_string(whole))


def agree(run: Path, engine: Engine, size: tuple[int, int], sections: int) -> None:
    """Assert that engine and network give the same pictures, with the state carried over."""
    graph = Graph(checkpoint.load(run)[0])
    filter = Temporal(0.5, 3, order=sections).sections(30)
    width, height = size
    ours = theirs = None
    for image in parity.clip((-(-width // 16) * 16, -(-height // 16) * 16), 4):
        cut = np.ascontiguousarray(image[:height, :width])
        down, right = image.shape[0] - height, image.shape[1] - width
        padded = np.pad(cut, ((0, down), (0, right), (0, 0)), "edge")
        expected, ours = parity.torch_step(graph, padded, 20.0, filter, ours)
        found, theirs = engine.step(cut, 20.0, filter, theirs)
        assert found.shape == cut.shape
        difference = np.abs(expected[:height, :width].astype(int) - found)
        assert difference.max() <= parity.WORST
        assert difference.mean() <= parity.MEAN
    assert ours is not None
    assert theirs is not None
    assert ours.shape == theirs.shape


def test_any_size_and_either_order_after_one_export(run: Path, model: Path) -> None:
    engine = load_engine(model, engine="onnx", threads=1)
    assert engine.size is None
    drawn = OnnxEngine(
        model.read_bytes(), source="tiny", open_session=partial(OrtSession, threads=1)
    )
    assert engine.scalable
    assert not drawn.scalable
    for size in ((64, 48), (53, 37), (97, 18), (16, 16), (130, 200)):
        for sections in (1, 2):
            agree(run, engine, size, sections)
            agree(run, drawn, size, sections)


def test_an_export_keeps_the_engine_contract(model: Path) -> None:
    assert not list(model.parent.glob("*.part*"))
    assert not list(model.parent.glob("*.data"))
    exported = onnx.load(model, load_external_data=False)
    onnx.checker.check_model(exported, full_check=True)
    assert exported.ir_version == 10
    assert [
        (o.domain, o.version) for o in exported.opset_import if o.domain in ("", "ai.onnx")
    ] == [("", 20)]
    assert not any(t.external_data for t in exported.graph.initializer)
    assert [v.name for v in exported.graph.input] == [
        "image", "alpha", "sections", "reset", "state"
    ]  # fmt: skip
    assert [v.name for v in exported.graph.output] == ["image_out", "state_out", "flow"]
    motion = onnx.load(motion_form(model))
    onnx.checker.check_model(motion, full_check=True)
    assert [v.name for v in motion.graph.output] == ["flow", "state_out"]
    assert not [node for node in motion.graph.node if node.op_type == "GridSample"]
    assert exported.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert exported.graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8


def test_metadata_describe_the_model(run: Path, model: Path) -> None:
    facts = load_engine(model, engine="onnx").metadata
    weights = (run / "model.safetensors").read_bytes()
    assert facts["rtmag.contract"] == "2"
    assert facts["rtmag.model"] == "tiny"
    assert facts["rtmag.architecture"] == "magnet"
    assert facts["rtmag.channels"] == "10"
    assert facts["rtmag.stride"] == "4"
    assert facts["rtmag.sections"] == "2"
    assert facts["rtmag.sha256"] == hashlib.sha256(weights).hexdigest()
    assert json.loads(facts["rtmag.training"]) == {"step": 2, "commit": "abc", "seed": 0}
    assert json.loads(facts["rtmag.parity"])["steps"] == 4


@pytest.mark.slow
@pytest.mark.parametrize("name", ["standard", "oh2018"])
def test_both_architectures_at_full_size(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = small.trained(CONFIGS[name], tmp_path / name)
    assert execute(["export", str(run), "--out", str(tmp_path / "out" / "x.onnx")]) == 0
    said = capsys.readouterr().out
    assert said.startswith(str(tmp_path / "out" / "x.onnx"))
    assert "over 4 steps" in said
    engine = load_engine(tmp_path / "out" / "x.onnx", engine="onnx", threads=1)
    assert engine.name == name
    assert engine.metadata["rtmag.architecture"] == CONFIGS[name].architecture
    assert isinstance(checkpoint.load(run)[0], MagNet if name == "standard" else Oh2018)
    agree(run, engine, (35, 22), 1)


@pytest.mark.slow
def test_every_mode_and_factor_agrees(run: Path, model: Path) -> None:
    graph = Graph(checkpoint.load(run)[0])
    drawn = OnnxEngine(
        model.read_bytes(), source="tiny", open_session=partial(OrtSession, threads=1)
    )
    composed = load_engine(model, engine="onnx", threads=1)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SHIPPED.items():
            patch.setattr(parity, name, value)
        patch.setattr(parity.clip, "__defaults__", (parity.FRAMES,))
        for engine in (drawn, composed):
            result = parity.compare(graph, engine)
            assert result.steps == 3 * 5 * 32  # factors, modes, frames
            assert result.worst <= parity.WORST
            assert result.mean <= parity.MEAN


def test_frames_of_the_comparison_move_by_half_a_pixel() -> None:
    images = [gray(image) for image in parity.clip((96, 80), 11)]
    assert displacement(images[0], images[5])[0] == pytest.approx(0.5, abs=0.06)
    assert displacement(images[0], images[10])[0] == pytest.approx(0, abs=0.06)


@pytest.mark.slow
def test_a_frozen_size_is_the_only_one(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "frozen.onnx"
    main([str(run), "--size", "64x48", "-o", str(path), "--name", "small room"])
    engine = load_engine(path, engine="onnx", threads=1)
    assert engine.size == (64, 48)
    assert engine.name == "small room"
    for sections in (1, 2):
        agree(run, engine, (64, 48), sections)
    with pytest.raises(ModelIncompatible, match="exported for 64x48, got 48x64"):
        engine.step(np.zeros((64, 48, 3), np.uint8), 2.0, Static().sections(30), None)


# ---- refusals ---------------------------------------------------------------------------------


def test_an_existing_file_is_kept(run: Path, traced: None, tmp_path: Path) -> None:
    out = tmp_path / "x.onnx"
    out.write_bytes(b"precious")
    with pytest.raises(OptionError, match=r"cannot write '.*x\.onnx': it exists; use --overwrite"):
        export_onnx(run, out, name="x")
    assert out.read_bytes() == b"precious"
    motion_form(out).write_bytes(b"older")
    export_onnx(run, out, name="x", overwrite=True)
    assert load_engine(out, engine="onnx").name == "x"
    out.unlink()
    with pytest.raises(OptionError, match=r"cannot write '.*x\.motion\.onnx': it exists"):
        export_onnx(run, out, name="x")


def test_a_bad_checkpoint_writes_nothing(tmp_path: Path) -> None:
    for folder in (tmp_path / "gone", tmp_path):
        with pytest.raises(ModelIncompatible, match="cannot load checkpoint"):
            export_onnx(folder, tmp_path / "x.onnx", name="x")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_graph_that_differs_is_not_written(
    overwrite: bool, run: Path, whole: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights that change by 5 % during the export stand for a bug in the exporter."""

    def wrong(source: ExportSource) -> onnx.ModelProto:
        traced = onnx.load_from_string(whole)
        for tensor in traced.graph.initializer:
            value = onnx.numpy_helper.to_array(tensor)
            if value.ndim == 4:
                changed = onnx.numpy_helper.from_array(value * np.float32(1.05), tensor.name)
                tensor.CopyFrom(changed)
        return traced

    monkeypatch.setattr(onnx_target, "_trace", wrong)
    out = tmp_path / "x.onnx"
    if overwrite:
        out.write_bytes(b"precious")
    with pytest.raises(ParityError, match=r"differs from the network by .* was not written"):
        export_onnx(run, out, name="x", overwrite=overwrite)
    assert [p.name for p in tmp_path.iterdir()] == (["x.onnx"] if overwrite else [])
    assert not overwrite or out.read_bytes() == b"precious"


@torch.no_grad()
def test_streams_do_not_affect_each_other() -> None:
    """Each stream of `Streams` gives the result of `Graph`, for all networks."""
    for config in (small.MAGNET, small.MATCHING, small.OH2018):
        net = small.net(config)
        alone, together = Graph(net), Streams(net)
        generator = torch.Generator().manual_seed(0)
        image = torch.randint(0, 255, (3, 32, 48, 3), dtype=torch.uint8, generator=generator)
        rows = torch.stack([torch.from_numpy(f.sections(30)) for f in (FILTERS[0], FILTERS[2])] * 2)
        shape = 3, 2 * net.shape_channels, 32 // net.stride, 48 // net.stride
        state = 0.01 * torch.randn(shape, generator=generator)
        inputs = image, torch.tensor([2.0, 20, 5]), rows[:3], torch.tensor([0.0, 1, 0]), state
        for k in range(3):
            *one, own = (each[k] for each in inputs)
            for expected, found in zip(alone(*one, own[None]), together(*inputs), strict=True):
                row = found[k : k + 1] if expected.shape[0] == 1 else found[k]
                near = 1 if expected.dtype in (torch.uint8, torch.int8) else 1e-4
                assert (row.double() - expected.double()).abs().max() <= near


def test_streams_that_differ_are_not_written(
    run: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that returns the states in the wrong order is refused."""
    engine = load_engine(model, engine="onnx", threads=1)
    graph = Graph(checkpoint.load(run)[0])
    monkeypatch.setattr(parity.clip, "__defaults__", (8,))
    monkeypatch.setattr(engine, "streams_per_run", 3, raising=True)
    assert parity.compare_streams(graph, engine).steps > 8
    step_many = engine.step_many

    def mixed(*args: Any) -> Any:
        shown, states = step_many(*args)
        return shown, states[::-1]

    monkeypatch.setattr(engine, "step_many", mixed)
    with pytest.raises(ParityError, match=r"differs from the network by .* was not written"):
        parity.compare_streams(graph, engine)


@pytest.mark.parametrize("streams", ["0", "1", "-2", "many", "1000", ""])
def test_streams_are_a_number_or_any(
    streams: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["export", str(run), "--streams", streams, "-o", str(tmp_path / "x.onnx")]
    assert execute(args) == 2
    said = capsys.readouterr().err
    assert said.endswith(f"\nerror: --streams must be any, or 2 to 999, got {streams!r}\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", [(0, 480), (640, 8196)])
def test_sizes_out_of_range_are_refused(size: tuple[int, int], run: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=f"at most 8192x8192, got {size[0]}x{size[1]}"):
        export_onnx(run, tmp_path / "x.onnx", name="x", size=size)


def test_the_file_is_named_after_the_run(
    run: Path, traced: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    main([str(run)])
    assert {p.name for p in tmp_path.iterdir()} == {"tiny.onnx", "tiny.motion.onnx"}


def test_stages_are_reported_on_stderr(
    run: Path, traced: None, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(parity, "ALPHAS", (2.0, 20.0))
    monkeypatch.setattr(export_cli, "LINE_EVERY", 0.0)
    main([str(run), "-o", str(tmp_path / "x.onnx")])
    said = capsys.readouterr()
    assert said.err.splitlines() == [
        f"loading {run}",
        "tracing the network as ONNX",
        *[f"checking parity {number}/4" for number in (1, 2, 3, 4)],  # two alphas, two forms
        f"writing {tmp_path / 'x.onnx'}",
    ]
    assert said.out.startswith(f"{tmp_path / 'x.onnx'}: ")


def test_a_stage_that_counts_does_not_fill_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    with export_cli.stages() as report:
        for number in range(1, 31):
            report(f"checking parity {number}/30")
        report("writing x.onnx")
    assert capsys.readouterr().err.splitlines() == ["checking parity 1/30", "writing x.onnx"]


def test_a_terminal_shows_the_current_stage(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with export_cli.stages() as report:
        report("checking parity 3/30")
        time.sleep(0.3)
    assert "checking parity 3/30" in capsys.readouterr().err


def test_errors_are_one_line(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for args in (["gone"], [str(run), "--size", "7"], [str(run), "--target", "tensorrt"]):
        assert execute(["export", *args]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert [line for line in lines if not line.startswith("loading ")] == lines[-1:]
        assert lines[-1].startswith("error: ")
    assert execute(["export", str(run), "--target", "coreml"]) == 2
    assert not list(tmp_path.iterdir())
