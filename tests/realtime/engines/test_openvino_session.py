"""OpenVINO: the same images as ONNX Runtime, and idle threads; skipped without OpenVINO."""

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtmag.realtime.bench import timing
from rtmag.realtime.bench.roofline import Roofline
from rtmag.realtime.cli.main import execute
from rtmag.realtime.engines import openvino_session, runtimes
from rtmag.realtime.engines.loading import load_engine
from rtmag.realtime.engines.onnx_engine import OnnxEngine
from rtmag.realtime.engines.onnx_session import OrtSession, Session
from rtmag.realtime.engines.openvino_session import MAX_UNUSED_RUNS, OpenvinoSession
from rtmag.realtime.engines.size_cache import SIZES, Allowance
from rtmag.realtime.engines.spec import EngineSpec
from rtmag.realtime.errors import MissingExtra, ModelIncompatible, ProviderUnavailable
from rtmag.realtime.filters import Filter, Static, Temporal
from rtmag.realtime.models import model_names, read_model
from rtmag.realtime.sources.scene.scene import SceneSource
from tests.support.fakes import half_precision_model

pytest.importorskip("openvino", reason="needs OpenVINO: pip install 'rtmag[openvino]'")
OUTPUTS = ["flow", "state_out"]


def session(model: str, **options: Any) -> OpenvinoSession:
    return OpenvinoSession(_motion(model), 1, **options)


def _motion(model: str) -> bytes:
    _, motion, _ = read_model(model)
    assert motion is not None
    return motion


def engine(model: str, session: Session) -> OnnxEngine:
    """The model's engine on a session."""
    content, motion, source = read_model(model)
    return OnnxEngine(content, motion, source=source, open_session=lambda _: session)


@pytest.fixture
def no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` does not try CUDA."""
    others = tuple(runtime for runtime in runtimes.RUNTIMES if runtime.name != "cuda")
    monkeypatch.setattr("rtmag.realtime.engines.loading.RUNTIMES", others)


@pytest.mark.parametrize("model", model_names())
def test_a_graph_has_the_same_properties_as_on_onnx_runtime(model: str) -> None:
    ours, theirs = session(model), OrtSession(_motion(model), "cpu", 1)
    assert (ours.inputs, ours.outputs) == (theirs.inputs, theirs.outputs)
    assert (ours.metadata, ours.size) == (theirs.metadata, theirs.size)


@pytest.mark.parametrize("filter", [Static(), Temporal(0.5, 3, order=2)])
@pytest.mark.parametrize("model", model_names())
def test_bfloat16_changes_no_image_visibly_and_no_state(model: str, filter: Filter) -> None:
    metrics = pytest.importorskip("skimage.metrics", reason="needs scikit-image")
    made = (
        OrtSession(_motion(model), "cpu", 1),
        session(model, bfloat16=False),
        session(model, bfloat16=True),
    )
    onnx, exact, mixed = (engine(model, each) for each in made)
    states: list[Any] = [None, None, None]
    errors = []
    with SceneSource((320, 240), frames=12) as scene:
        for frame in scene:
            sections, shown = filter.sections(30.0), []
            for k, each in enumerate((onnx, exact, mixed)):
                out, states[k] = each.step(frame.image, 20.0, sections, states[k])
                shown.append(out.astype(float))
            assert np.abs(shown[1] - shown[0]).max() <= 2
            for state in states[1:]:  # the filter's state is float32 in both
                assert np.abs(state - states[0]).max() < 1e-4
            errors.append(np.square(shown[2] - shown[1]).mean())
            similar = metrics.structural_similarity(*shown[1:], channel_axis=2, data_range=255)
            assert similar > 0.998
    assert 10 * np.log10(255**2 / max(max(errors), 1e-9)) > 45


def test_a_state_is_not_changed_by_later_steps() -> None:
    made = session("fast")
    inputs = _inputs(made, 64, 48)
    first = made.run(OUTPUTS, inputs)[OUTPUTS.index("state_out")]
    kept = first.copy()
    made.run(OUTPUTS, inputs | {"image": inputs["image"] + 90, "state": first})
    assert np.array_equal(first, kept)


@pytest.mark.parametrize("name", model_names())
def test_tensors_between_the_parts_may_have_any_name(name: str) -> None:
    """Names that sort before `crossing_` must not change the order of the outputs."""
    onnx = pytest.importorskip("onnx", reason="needs onnx: pip install 'rtmag[export]'")
    model = onnx.load_model_from_string(_motion(name))
    known = {value.name for value in model.graph.output}
    inner = {name for node in model.graph.node for name in node.output} - known
    del model.graph.value_info[:]
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [f"a_{each}" if each in inner else each for each in names]
    graphs = _motion(name), model.SerializeToString()
    made = [OpenvinoSession(graph, 1, bfloat16=True) for graph in graphs]
    assert all(each.bfloat16 for each in made)
    shown = []
    for each in made:
        inputs = _inputs(each, 64, 48)
        _, state = each.run(OUTPUTS, inputs)
        moved = {"image": np.roll(inputs["image"], 1, 1), "state": state, "reset": np.float32(0)}
        shown.append(each.run(OUTPUTS, inputs | moved))
    for ours, theirs in zip(*shown, strict=True):
        assert np.array_equal(ours, theirs)
    assert np.abs(shown[0][0]).max() > 1


def test_a_size_that_is_not_used_for_some_runs_is_dropped() -> None:
    made = OpenvinoSession(_motion("fast"), 1)
    large, small = (_inputs(made, *size) for size in ((64, 48), (32, 32)))
    for number, inputs in enumerate(
        [large, *[small] * (MAX_UNUSED_RUNS - 1), large, *[small] * MAX_UNUSED_RUNS]
    ):
        made.run(OUTPUTS, inputs)
        assert len(made._compiled) == 1 + (number > 0)
    made.run(OUTPUTS, small)
    assert len(made._compiled) == 1


def test_the_number_of_compiled_sizes_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    made = session("fast", bfloat16=False)
    compiled: list[Any] = []
    compile = made._compile

    def record(inputs: dict[str, Any]) -> Any:
        compiled.append(inputs["image"].shape)
        return compile(inputs)

    monkeypatch.setattr(made, "_compile", record)
    monkeypatch.setattr(Allowance, "exhausted", False)
    sizes = [(16 * k, 16) for k in range(1, SIZES + 2)]
    for size in (*sizes, sizes[-1], sizes[0]):
        flow, _ = made.run(OUTPUTS, _inputs(made, *size))
        assert flow.shape == (1, 2, size[1] // 4, size[0] // 4)
    assert len(compiled) == SIZES + 2  # the last one was in the cache, the first one was not
    assert len(made._compiled) == SIZES


def test_sizes_that_change_quickly_are_not_all_compiled() -> None:
    """As while a region is dragged: the same results, without half a second for each size."""
    made, theirs = session("fast", bfloat16=False), OrtSession(_motion("fast"), "cpu", 1)
    made._allowance = Allowance(lambda: 0.0)
    for number in range(1, 3 * SIZES):
        inputs = _inputs(made, 16 * number, 32)
        ours, right = made.run(OUTPUTS, inputs), theirs.run(OUTPUTS, inputs)
        assert len(made._compiled) == min(number, SIZES)
        for one, other in zip(ours, right, strict=True):
            assert np.allclose(one, other, atol=1e-3)


def test_threads_sleep_between_frames() -> None:
    made = OpenvinoSession(_motion("fast"), 2)
    for _ in range(3):
        made.run(OUTPUTS, _inputs(made, 64, 48))
    began = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - began < 0.1


def test_no_more_threads_work_than_requested() -> None:
    made = OpenvinoSession(_motion("standard"), 1)
    inputs = _inputs(made, 320, 240)
    made.run(OUTPUTS, inputs)
    total, own = time.process_time(), time.thread_time()
    for _ in range(5):
        made.run(OUTPUTS, inputs)
    total, own = time.process_time() - total, time.thread_time() - own
    assert own > 0.9 * total


def test_full_graphs_run_on_openvino() -> None:
    model, _, source = read_model("fast")
    made = [OnnxEngine(model, source=source, open_session=s) for s in (OrtSession, OpenvinoSession)]
    assert [(each.provider, each.scalable) for each in made] == [("cpu", 0), ("openvino", 0)]
    states: list[Any] = [None, None]
    with SceneSource((64, 48), frames=4) as scene:
        for frame in scene:
            shown = []
            for k, each in enumerate(made):
                out, states[k] = each.step(frame.image, 2.0, Static().sections(30.0), states[k])
                shown.append(out.astype(int))
            assert np.abs(shown[0] - shown[1]).max() <= 3


def test_auto_takes_openvino_where_it_is_faster(
    monkeypatch: pytest.MonkeyPatch, no_cuda: None
) -> None:
    for has, provider in ((True, "openvino"), (False, "cpu")):
        monkeypatch.setattr(openvino_session, "has_bfloat16", lambda has=has: has)
        assert load_engine("fast").provider == provider
        assert load_engine("fast", engine="onnx").provider == "cpu"
        assert load_engine("fast", engine="openvino").provider == "openvino"


def test_half_precision_and_bfloat16_are_not_mixed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_cuda: None
) -> None:
    """OpenVINO would return NaN."""
    monkeypatch.setattr(openvino_session, "has_bfloat16", lambda: True)
    half = half_precision_model(tmp_path)
    loaded = {engine: load_engine(half, engine=engine) for engine in ("openvino", "auto", "onnx")}
    assert {name: each.provider for name, each in loaded.items()} == {
        "openvino": "openvino", "auto": "cpu", "onnx": "cpu",
    }  # fmt: skip
    assert {each.precision for each in loaded.values()} == {"fp32+fp16"}


def test_float32_can_be_requested(monkeypatch: pytest.MonkeyPatch, no_cuda: None) -> None:
    monkeypatch.setattr(openvino_session, "has_bfloat16", lambda: True)
    requests = (("openvino", "auto"), ("openvino", "fp32"), ("auto", "auto"), ("auto", "fp32"))
    made = [load_engine("fast", engine=engine, precision=each) for engine, each in requests]
    assert [(each.provider, each.precision) for each in made] == [
        ("openvino", "fp32+bf16"), ("openvino", "fp32"), ("openvino", "fp32+bf16"), ("cpu", "fp32"),
    ]  # fmt: skip
    assert made[1].at(0.5).precision == "fp32"


def test_precisions_are_timed_separately(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_session, "has_bfloat16", lambda: True)
    monkeypatch.setattr(
        timing, "measure_rooflines", lambda _: {"cpu": Roofline(gemm=1e10, copy=1e10)}
    )
    printed: list[str] = []
    made = timing.bench(
        ["fast"], [(64, 48)], scales=(1.0,), runtimes=["openvino", "onnx"], rounds=1,
        precisions=["fp32", "auto"], spec=EngineSpec(threads=1), print_line=printed.append,
    )  # fmt: skip
    assert [(row["provider"], row["precision"]) for row in made["rows"]] == [
        ("cpu", "fp32"), ("openvino", "fp32+bf16"), ("openvino", "fp32"),
    ]  # fmt: skip
    assert [line.split(",")[0] for line in printed[1:]] == [
        "cost: fast on cpu in fp32",
        "cost: fast on openvino in fp32+bf16",
        "cost: fast on openvino in fp32",
    ]
    assert [row["speed"] for row in (made["rows"][0], made["rows"][2])] == [1.0, 1.0]


def test_the_command_line_accepts_it(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    args = ["bench", "--model", "fast", "--quick", "--engine", "openvino", "--threads", "1"]
    assert execute(args) == 0
    assert '"provider": "openvino"' in capsys.readouterr().out


def test_an_unreadable_model_is_refused_in_one_line(tmp_path: Any) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(b"\x08\x0a" * 500)
    with pytest.raises(ProviderUnavailable, match="cannot open engine 'openvino': ") as caught:
        load_engine(path, engine="openvino")
    assert "\n" not in str(caught.value)
    with pytest.raises(ModelIncompatible):
        load_engine(path)


def test_a_missing_openvino_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    openvino_session.core.cache_clear()
    with pytest.raises(MissingExtra, match=r"pip install 'rtmag\[openvino\]'"):
        load_engine("fast", engine="openvino")
    assert load_engine("fast").provider != "openvino"


def _inputs(made: Session, width: int, height: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    shape = (1, 2 * int(made.metadata["rtmag.channels"]), height // 4, width // 4)
    return {
        "image": rng.integers(0, 160, (height, width, 3)).astype(np.uint8),
        "alpha": np.array(20, np.float32),
        "sections": Static().sections(30.0),
        "reset": np.array(1, np.float32),
        "state": np.zeros(shape, np.float32),
    }
