"""Steps of several streams: each stream's result is as if it were alone."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from rtmag.realtime.cli.main import execute
from rtmag.realtime.engines.batching import collate
from rtmag.realtime.engines.contract import GraphLayout
from rtmag.realtime.engines.engine import Engine, IdentityEngine
from rtmag.realtime.engines.loading import load_engine
from rtmag.realtime.engines.onnx_engine import OnnxEngine
from rtmag.realtime.engines.onnx_session import OrtSession
from rtmag.realtime.engines.onnx_state import DeviceState
from rtmag.realtime.errors import ModelIncompatible
from rtmag.realtime.filters import Dynamic, Filter, Static, Temporal
from rtmag.realtime.frame import Image
from rtmag.realtime.models import motion_form
from rtmag.realtime.sources.scene.scene import SceneSource
from tests.support.fakes import cpu_to_gpu_copies

pytest.importorskip("torch", reason="graphs of several streams are exported here")

FILTERS: tuple[Filter, ...] = (Static(), Temporal(0.5, 3, order=2), Dynamic(), Temporal(1, 4))
ALPHAS = (20.0, 0.25, 5.0, 0.0)
SIZE = (61, 47)
FRAMES = 12


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network of `tiny_model` for any number of streams."""
    from tests.support import small

    run = small.trained(small.MAGNET, tmp_path_factory.mktemp("runs") / "tiny")
    return small.exported(run, run / "many.onnx", streams="any")


@pytest.fixture(scope="module")
def plain(tiny_model: Path) -> Path:
    """The same network for one stream."""
    return tiny_model


def test_no_copy_from_the_cpu_prevents_a_capture(model: Path, plain: Path) -> None:
    for path in (model, plain):
        assert cpu_to_gpu_copies(path.read_bytes()) == []
        assert cpu_to_gpu_copies(motion_form(path).read_bytes()) == []


def of(path: Path, kind: str, *, bound: bool = False) -> Engine:
    """An engine by kind: `warped` by the engine, `drawn` by the graph, or on `openvino`.

    With `bound`, the CPU stands in for a device: states stay in the session's memory.
    """
    if kind == "openvino":
        pytest.importorskip("openvino", reason="needs OpenVINO: pip install 'rtmag[openvino]'")
        return load_engine(path, engine="openvino", threads=1)
    motion = motion_form(path).read_bytes() if kind == "warped" else None
    open_session = partial(OrtSession, threads=1, device_state=bound)
    return OnnxEngine(path.read_bytes(), motion, source="x", open_session=open_session)


def pictures(size: tuple[int, int] = SIZE, frames: int = FRAMES) -> list[list[Image]]:
    """Images of each stream, frame by frame; streams differ."""
    with SceneSource(size, frames=frames) as scene:
        images = [frame.image for frame in scene]
    return [[np.roll(image, 13 * k, axis=1) for k in range(len(FILTERS))] for image in images]


def present(number: int) -> list[int]:
    """Streams with an image in this frame: each misses one in five, and places change."""
    streams = [k for k in range(len(FILTERS)) if (number + k) % 5]
    return streams[::-1] if number % 4 == 3 else streams


def same_as_alone(
    together: Engine, alone: Engine, size: tuple[int, int] = SIZE, worst: int = 1
) -> list[Any]:
    """Step the streams together and each alone; returns the states at the end."""
    ours: list[Any] = [None] * len(FILTERS)
    theirs: list[Any] = [None] * len(FILTERS)
    for number, images in enumerate(pictures(size)):
        if number == 6:
            ours[2] = theirs[2] = None  # one stream starts again
        streams = present(number)
        sections = [FILTERS[k].sections(30.0) for k in streams]
        alphas, states = [ALPHAS[k] for k in streams], [ours[k] for k in streams]
        shown, after = together.step_many([images[k] for k in streams], alphas, sections, states)
        for place, k in enumerate(streams):
            ours[k] = after[place]
            step = images[k], alphas[place], sections[place], theirs[k]
            expected, theirs[k] = alone.step(*step)
            assert shown[place].shape == images[k].shape
            assert np.abs(shown[place].astype(int) - expected).max() <= worst
            assert ours[k].shape == theirs[k].shape
            assert np.allclose(ours[k], theirs[k], atol=1e-5)
    return ours


# ---- one run for all streams ------------------------------------------------------------------


def test_all_streams_are_one_run(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = of(model, "warped")
    assert isinstance(engine, OnnxEngine)
    runs = []
    real = engine._session.run

    def record(outputs: list[str], inputs: dict[str, NDArray[Any]]) -> list[Any]:
        runs.append(inputs["image"].shape)
        return real(outputs, inputs)

    monkeypatch.setattr(engine._session, "run", record)
    images = pictures()[0]
    sections = [filter.sections(30.0) for filter in FILTERS]
    engine.step_many(images, ALPHAS, sections, [None] * 4)
    assert runs == [(4, 48, 64, 3)]
    assert engine.step_many([], [], [], []) == ([], [])


@pytest.mark.parametrize("kind", ["drawn", "warped", "openvino"])
def test_each_stream_equals_the_same_stream_alone(kind: str, model: Path, plain: Path) -> None:
    """Images, alphas (also below 1), filters and resets differ; streams pause and move."""
    together, alone = of(model, kind), of(plain, kind)
    assert (together.streams_per_run, alone.streams_per_run) == (np.inf, 1)
    assert together.scalable == (kind != "drawn")
    same_as_alone(together, alone, worst=3)


def test_smaller_motion_scales_take_several_streams_too(model: Path, plain: Path) -> None:
    same_as_alone(of(model, "warped").at(0.5), of(plain, "warped").at(0.5), worst=3)


@pytest.mark.parametrize("kind", ["drawn", "warped"])
def test_device_states_are_equal(kind: str, model: Path) -> None:
    states = same_as_alone(of(model, kind, bound=True), of(model, kind), worst=3)
    assert all(isinstance(state, DeviceState) for state in states)


def test_device_states_are_not_copied_when_streams_change(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with alpha below 1, and together with a state in the CPU's memory."""
    device, other = of(model, "drawn", bound=True), of(model, "drawn")
    copied: list[DeviceState] = []
    monkeypatch.setattr(DeviceState, "__array__", lambda state, *_, **__: copied.append(state))
    sections = Temporal(0.5, 3).sections(30.0)
    ours: list[Any] = [None] * 4
    theirs: list[Any] = [None] * 4
    for number, images in enumerate(pictures()):
        streams = present(number) if number > 2 else [0, 1, 2, 3]
        if number == 5:
            ours[0] = theirs[0]  # an array, as after dropped frames
        step = [images[k] for k in streams], [ALPHAS[k] for k in streams], [sections] * len(streams)
        shown, after = device.step_many(*step, [ours[k] for k in streams])
        expected, others = other.step_many(*step, [theirs[k] for k in streams])
        for place, k in enumerate(streams):
            assert np.array_equal(shown[place], expected[place])
            ours[k], theirs[k] = after[place], others[place]
    assert not copied


def test_streams_do_not_affect_each_other(model: Path) -> None:
    engine, images = of(model, "drawn"), pictures()
    sections = [Static().sections(30.0)] * 2
    shown = []
    for other in (1, 2):
        states: list[Any] = [None, None]
        for frame in images:
            out, states = engine.step_many([frame[0], frame[other]], [20.0, 2], sections, states)
        shown.append(out[0])
    assert np.array_equal(shown[0], shown[1])


def test_input_states_are_not_changed(model: Path) -> None:
    for bound in (False, True):
        engine = of(model, "drawn", bound=bound)
        images, sections = pictures(), [Temporal(0.5, 3).sections(30.0)] * 4
        _, states = engine.step_many(images[0], ALPHAS, sections, [None] * 4)
        before = [np.array(state) for state in states]
        engine.step_many(images[1], ALPHAS, sections, states)
        assert all(np.array_equal(a, np.asarray(b)) for a, b in zip(before, states, strict=True))


# ---- networks for a fixed number of streams --------------------------------------------------


def fixed(model: Path, path: Path, count: int) -> Path:
    """The full graph for exactly `count` streams."""
    made = onnx.load(model)
    for value in [*made.graph.input, *made.graph.output]:
        for extent in value.type.tensor_type.shape.dim:
            if extent.dim_param == "streams":
                extent.dim_value = count
    del made.graph.value_info[:]  # sizes of inner values
    about = {prop.key: prop.value for prop in made.metadata_props}
    onnx.helper.set_model_props(made, about | {"rtmag.streams": str(count)})
    path.write_bytes(made.SerializeToString())
    return path


def test_unused_places_are_idle(model: Path, plain: Path, tmp_path: Path) -> None:
    engine = load_engine(fixed(model, tmp_path / "six.onnx", 6), engine="onnx")
    assert engine.streams_per_run == 6
    same_as_alone(engine, of(plain, "drawn"), worst=3)


def test_more_streams_than_the_network_takes_are_refused(model: Path, tmp_path: Path) -> None:
    engine = load_engine(fixed(model, tmp_path / "three.onnx", 3), engine="onnx")
    sections = [filter.sections(30.0) for filter in FILTERS]
    with pytest.raises(
        ModelIncompatible, match=r"takes 3 streams per step, got 4; take several steps"
    ):
        engine.step_many(pictures()[0], ALPHAS, sections, [None] * 4)


@pytest.mark.parametrize("make", [IdentityEngine, lambda: load_engine("fast", engine="onnx")])
def test_a_network_for_one_stream_steps_them_one_by_one(make: Callable[[], Engine]) -> None:
    same_as_alone(make(), make(), worst=0)


def test_a_network_for_several_streams_takes_one(model: Path, plain: Path) -> None:
    together, alone = of(model, "warped"), of(plain, "warped")
    a: Any = None
    b: Any = None
    for images in pictures():
        one, a = together.step(images[0], 20.0, FILTERS[1].sections(30.0), a)
        other, b = alone.step(images[0], 20.0, FILTERS[1].sections(30.0), b)
        assert np.abs(one.astype(int) - other).max() <= 1
    assert np.allclose(a, b, atol=1e-5)


def test_the_command_line_takes_a_network_for_several_streams(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["camera", "test", "--model", str(model), "--view", "none", "--frames", "8"]
    assert execute([*args, "--size", "64x48", "--fl", "0.5", "--fh", "2"]) == 0
    assert capsys.readouterr().out.startswith("8 frames in ")


# ---- refusals ---------------------------------------------------------------------------------


def test_inputs_that_do_not_fit_are_refused_in_one_line(model: Path) -> None:
    engine, images = of(model, "warped"), pictures()[0]
    sections = [filter.sections(30.0) for filter in FILTERS]
    large = np.zeros((80, 96, 3), np.uint8)
    with pytest.raises(ModelIncompatible, match=r"the same size, got 64x48 and 96x80; ") as caught:
        engine.step_many([images[0], large], ALPHAS[:2], sections[:2], [None] * 2)
    assert "\n" not in str(caught.value)
    _, states = engine.step_many(images, ALPHAS, sections, [None] * 4)
    with pytest.raises(ModelIncompatible, match=r"expects state \(1, 20, 12, 16\), got \(1, 40, "):
        engine.step_many(images[:2], ALPHAS[:2], sections[:2], states[1::-1])
    for few in (ALPHAS[:3], [*ALPHAS, 1.0], []):
        with pytest.raises(ValueError, match=r"zip\(\)"):
            engine.step_many(images, few, sections, states)
    with pytest.raises(ValueError, match=r"zip\(\)"):
        engine.step_many(images, ALPHAS, [], states)


def test_sizes_that_are_equal_after_padding_are_accepted(model: Path, plain: Path) -> None:
    together, alone = of(model, "warped"), of(plain, "warped")
    sizes = [(64, 48), (50, 33)]
    images = [pictures(size, 1)[0][0] for size in sizes]
    sections = [Static().sections(30.0)] * 2
    shown, _ = together.step_many(images, [20.0, 2.0], sections, [None, None])
    for image, own in zip(images, shown, strict=True):
        expected, _ = alone.step(image, 20.0, sections[0], None)
        assert np.array_equal(own, expected)


@pytest.mark.parametrize("count", ["0", "many", "1000000", ""])
def test_an_invalid_number_of_streams_is_refused(count: str, model: Path, tmp_path: Path) -> None:
    made = onnx.load(model)
    about = {prop.key: prop.value for prop in made.metadata_props}
    onnx.helper.set_model_props(made, about | {"rtmag.streams": count})
    path = tmp_path / "x.onnx"
    path.write_bytes(made.SerializeToString())
    with pytest.raises(ModelIncompatible, match="metadata streams is missing or invalid"):
        load_engine(path, engine="onnx")


def test_a_graph_must_have_the_stream_dimension_of_its_metadata(
    plain: Path, tmp_path: Path
) -> None:
    made = onnx.load(plain)
    about = {prop.key: prop.value for prop in made.metadata_props}
    onnx.helper.set_model_props(made, about | {"rtmag.streams": "any"})
    path = tmp_path / "x.onnx"
    path.write_bytes(made.SerializeToString())
    with pytest.raises(ModelIncompatible, match="expected inputs image uint8 4-d, alpha float 1-d"):
        load_engine(path, engine="onnx")


def test_a_short_filter_is_padded_and_its_extra_state_stays_zero() -> None:
    image = np.zeros((16, 16, 3), np.uint8)
    filters = [Static().sections(30.0), Temporal(0.5, 3, order=2).sections(30.0)]
    states: list[Any] = [np.ones((1, 4, 4, 4), np.float32), np.ones((1, 8, 4, 4), np.float32)]
    layout = GraphLayout("x", channels=2, stride=4, streams_per_run=3)
    batch = collate(layout, [image] * 2, [0.5, 2.0], filters, states)
    assert batch.shape == (3, 8, 4, 4)
    memory = batch.state()
    assert (memory[0, :4] == -1).all()  # alpha below 1: filter and state are negated
    assert not memory[0, 4:].any()
    assert (memory[1] == 1).all()
    assert batch.inputs["alpha"].tolist() == [1.5, 2.0, 1.0]
    assert batch.inputs["reset"].tolist() == [0, 0, 1]
    assert batch.inputs["sections"][0].tolist() == [[-1, 1, 0, -1, 0], [1, 0, 0, 0, 0]]
    assert np.array_equal(batch.inputs["sections"][1], filters[1])
