"""Several streams in one step: each as if it were alone, whoever else is there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from rtmag.realtime.cli.main import execute
from rtmag.realtime.engines import onnx_session as opening
from rtmag.realtime.engines.batching import Layout, gather
from rtmag.realtime.engines.engine import Engine, IdentityEngine
from rtmag.realtime.engines.loading import load_engine
from rtmag.realtime.engines.onnx_engine import OnnxEngine
from rtmag.realtime.engines.onnx_session import OrtSession
from rtmag.realtime.engines.onnx_state import Resident
from rtmag.realtime.errors import ModelIncompatible
from rtmag.realtime.filters import Dynamic, Filter, Static, Temporal
from rtmag.realtime.frame import Image
from rtmag.realtime.models import motion_form
from rtmag.realtime.sources.scene.scene import SceneSource
from tests.support.fakes import crossings

pytest.importorskip("torch", reason="graphs of several streams are exported here")

FILTERS: tuple[Filter, ...] = (Static(), Temporal(0.5, 3, order=2), Dynamic(), Temporal(1, 4))
ALPHAS = (20.0, 0.25, 5.0, 0.0)
SIZE = (61, 47)
FRAMES = 12


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.support import small

    return small.trained(small.MAGNET, tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture(scope="module")
def model(run: Path) -> Path:
    """A network for any number of streams; what export itself compares is tested beside it."""
    return exported(run, run / "many.onnx", "any")


@pytest.fixture(scope="module")
def plain(run: Path) -> Path:
    """The same network for one stream."""
    return exported(run, run / "one.onnx", None)


def exported(run: Path, out: Path, streams: str | None) -> Path:
    from rtmag.export import parity
    from rtmag.export.onnx_export import export_onnx

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parity, "ALPHAS", (20.0,))
        patch.setattr(parity, "FILTERS", (Static(), Temporal(0.5, 3, order=2)))
        patch.setattr(parity.clip, "__defaults__", (8,))
        export_onnx(run, out, name="tiny", streams=streams)
    return out


def test_no_number_of_the_cpu_keeps_it_from_being_captured(model: Path, plain: Path) -> None:
    for path in (model, plain):
        assert crossings(path.read_bytes()) == []
        assert crossings(motion_form(path).read_bytes()) == []


def of(path: Path, kind: str) -> Engine:
    """An engine that composes pictures, one whose graph draws them, or one on another runtime."""
    if kind == "openvino":
        pytest.importorskip("openvino", reason="needs OpenVINO: pip install 'rtmag[openvino]'")
        return load_engine(path, engine="openvino", threads=1)
    motion = motion_form(path).read_bytes() if kind == "composed" else None
    return OnnxEngine(path.read_bytes(), motion, source="x", engine="onnx", threads=1)


def bound(path: Path, kind: str) -> Engine:
    """The same on the CPU in a device's place: states stay where they are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "OrtSession", lambda m, p, t: OrtSession(m, p, t, bound=True))
        return of(path, kind)


def pictures(size: tuple[int, int] = SIZE, frames: int = FRAMES) -> list[list[Image]]:
    """Of each stream, frame by frame: they differ."""
    with SceneSource(size, frames=frames) as scene:
        images = [frame.image for frame in scene]
    return [[np.roll(image, 13 * k, axis=1) for k in range(len(FILTERS))] for image in images]


def present(number: int) -> list[int]:
    """Streams that have a picture then: each misses one in five, and places change."""
    streams = [k for k in range(len(FILTERS)) if (number + k) % 5]
    return streams[::-1] if number % 4 == 3 else streams


def same_as_alone(
    together: Engine, alone: Engine, size: tuple[int, int] = SIZE, worst: int = 1
) -> list[Any]:
    """Step streams at once and each alone; returns the states at the end."""
    ours: list[Any] = [None] * len(FILTERS)
    theirs: list[Any] = [None] * len(FILTERS)
    for number, images in enumerate(pictures(size)):
        if number == 6:
            ours[2] = theirs[2] = None  # one begins afresh, others go on
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


# ---- one run for all --------------------------------------------------------------------------


def test_one_run_serves_them_all(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = of(model, "composed")
    assert isinstance(engine, OnnxEngine)
    runs = []
    real = engine._session.run

    def noted(outputs: list[str], inputs: dict[str, NDArray[Any]]) -> list[Any]:
        runs.append(inputs["image"].shape)
        return real(outputs, inputs)

    monkeypatch.setattr(engine._session, "run", noted)
    images = pictures()[0]
    sections = [filter.sections(30.0) for filter in FILTERS]
    engine.step_many(images, ALPHAS, sections, [None] * 4)
    assert runs == [(4, 48, 64, 3)]
    assert engine.step_many([], [], [], []) == ([], [])


@pytest.mark.parametrize("kind", ["drawn", "composed", "openvino"])
def test_each_stream_is_as_if_it_were_alone(kind: str, model: Path, plain: Path) -> None:
    """Pictures, factors (also below 1), filters and resets differ; streams sit out and move."""
    together, alone = of(model, kind), of(plain, kind)
    assert (together.at_once, alone.at_once) == (np.inf, 1)
    assert together.composes == (kind != "drawn")
    same_as_alone(together, alone, worst=3)


def test_a_coarser_look_serves_several_too(model: Path, plain: Path) -> None:
    same_as_alone(of(model, "composed").at(0.5), of(plain, "composed").at(0.5), worst=3)


@pytest.mark.parametrize("kind", ["drawn", "composed"])
def test_states_on_a_device_are_the_same(kind: str, model: Path) -> None:
    states = same_as_alone(bound(model, kind), of(model, kind), worst=3)
    assert all(isinstance(state, Resident) for state in states)


def test_states_on_a_device_stay_there_whoever_comes_and_goes(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where motion is taken away, and beside a state that lies with the CPU."""
    device, other = bound(model, "drawn"), of(model, "drawn")
    fetched: list[Resident] = []
    monkeypatch.setattr(Resident, "__array__", lambda state, *_, **__: fetched.append(state))
    sections = Temporal(0.5, 3).sections(30.0)
    ours: list[Any] = [None] * 4
    theirs: list[Any] = [None] * 4
    for number, images in enumerate(pictures()):
        streams = present(number) if number > 2 else [0, 1, 2, 3]
        if number == 5:
            ours[0] = theirs[0]  # as a magnifier has it after dropped frames
        step = [images[k] for k in streams], [ALPHAS[k] for k in streams], [sections] * len(streams)
        shown, after = device.step_many(*step, [ours[k] for k in streams])
        expected, others = other.step_many(*step, [theirs[k] for k in streams])
        for place, k in enumerate(streams):
            assert np.array_equal(shown[place], expected[place])
            ours[k], theirs[k] = after[place], others[place]
    assert not fetched


def test_what_one_stream_sees_does_not_reach_another(model: Path) -> None:
    engine, images = of(model, "drawn"), pictures()
    sections = [Static().sections(30.0)] * 2
    shown = []
    for other in (1, 2):
        states: list[Any] = [None, None]
        for frame in images:
            out, states = engine.step_many([frame[0], frame[other]], [20.0, 2], sections, states)
        shown.append(out[0])
    assert np.array_equal(shown[0], shown[1])


def test_a_state_given_is_not_changed(model: Path) -> None:
    for make in (of, bound):
        engine = make(model, "drawn")
        images, sections = pictures(), [Temporal(0.5, 3).sections(30.0)] * 4
        _, states = engine.step_many(images[0], ALPHAS, sections, [None] * 4)
        before = [np.array(state) for state in states]
        engine.step_many(images[1], ALPHAS, sections, states)
        assert all(np.array_equal(a, np.asarray(b)) for a, b in zip(before, states, strict=True))


# ---- networks for so many, or for one -----------------------------------------------------------


def fixed(model: Path, path: Path, count: int) -> Path:
    """The network for `count` streams, no more and no less; draws its pictures."""
    made = onnx.load(model)
    for value in [*made.graph.input, *made.graph.output]:
        for extent in value.type.tensor_type.shape.dim:
            if extent.dim_param == "streams":
                extent.dim_value = count
    del made.graph.value_info[:]  # what was known of sizes within
    about = {prop.key: prop.value for prop in made.metadata_props}
    onnx.helper.set_model_props(made, about | {"rtmag.streams": str(count)})
    path.write_bytes(made.SerializeToString())
    return path


def test_places_that_are_left_are_idle(model: Path, plain: Path, tmp_path: Path) -> None:
    engine = load_engine(fixed(model, tmp_path / "six.onnx", 6), engine="onnx")
    assert engine.at_once == 6
    same_as_alone(engine, of(plain, "drawn"), worst=3)


def test_more_than_a_network_takes_are_refused(model: Path, tmp_path: Path) -> None:
    engine = load_engine(fixed(model, tmp_path / "three.onnx", 3), engine="onnx")
    sections = [filter.sections(30.0) for filter in FILTERS]
    with pytest.raises(
        ModelIncompatible, match=r"takes 3 streams at once, got 4; step them in parts"
    ):
        engine.step_many(pictures()[0], ALPHAS, sections, [None] * 4)


@pytest.mark.parametrize("make", [IdentityEngine, lambda: load_engine("fast", engine="onnx")])
def test_a_network_for_one_takes_them_in_turn(make: Callable[[], Engine]) -> None:
    same_as_alone(make(), make(), worst=0)


def test_a_network_for_several_takes_one(model: Path, plain: Path) -> None:
    together, alone = of(model, "composed"), of(plain, "composed")
    a: Any = None
    b: Any = None
    for images in pictures():
        one, a = together.step(images[0], 20.0, FILTERS[1].sections(30.0), a)
        other, b = alone.step(images[0], 20.0, FILTERS[1].sections(30.0), b)
        assert np.abs(one.astype(int) - other).max() <= 1
    assert np.allclose(a, b, atol=1e-5)


def test_every_command_takes_such_a_file(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = ["camera", "test", "--model", str(model), "--view", "none", "--frames", "8"]
    assert execute([*args, "--size", "64x48", "--fl", "0.5", "--fh", "2"]) == 0
    assert capsys.readouterr().out.startswith("8 frames in ")


# ---- refusals ---------------------------------------------------------------------------------


def test_what_does_not_go_together_is_refused_in_a_line(model: Path) -> None:
    engine, images = of(model, "composed"), pictures()[0]
    sections = [filter.sections(30.0) for filter in FILTERS]
    large = np.zeros((80, 96, 3), np.uint8)
    with pytest.raises(ModelIncompatible, match=r"of one size, got 64x48 and 96x80; ") as caught:
        engine.step_many([images[0], large], ALPHAS[:2], sections[:2], [None] * 2)
    assert "\n" not in str(caught.value)
    _, states = engine.step_many(images, ALPHAS, sections, [None] * 4)
    with pytest.raises(ModelIncompatible, match=r"expects state \(1, 18, 12, 16\), got \(1, 36, "):
        engine.step_many(images[:2], ALPHAS[:2], sections[:2], states[1::-1])
    for few in (ALPHAS[:3], [*ALPHAS, 1.0], []):
        with pytest.raises(ValueError, match=r"zip\(\)"):
            engine.step_many(images, few, sections, states)
    with pytest.raises(ValueError, match=r"zip\(\)"):
        engine.step_many(images, ALPHAS, [], states)


def test_sizes_that_the_border_makes_equal_go_together(model: Path, plain: Path) -> None:
    together, alone = of(model, "composed"), of(plain, "composed")
    sizes = [(64, 48), (50, 33)]
    images = [pictures(size, 1)[0][0] for size in sizes]
    sections = [Static().sections(30.0)] * 2
    shown, _ = together.step_many(images, [20.0, 2.0], sections, [None, None])
    for image, own in zip(images, shown, strict=True):
        expected, _ = alone.step(image, 20.0, sections[0], None)
        assert np.array_equal(own, expected)


@pytest.mark.parametrize("count", ["0", "many", "1000000", ""])
def test_no_number_of_streams_is_refused(count: str, model: Path, tmp_path: Path) -> None:
    made = onnx.load(model)
    about = {prop.key: prop.value for prop in made.metadata_props}
    onnx.helper.set_model_props(made, about | {"rtmag.streams": count})
    path = tmp_path / "x.onnx"
    path.write_bytes(made.SerializeToString())
    with pytest.raises(ModelIncompatible, match="no metadata streams, or not as it should be"):
        load_engine(path, engine="onnx")


def test_a_graph_must_have_the_dimension_it_speaks_of(plain: Path, tmp_path: Path) -> None:
    made = onnx.load(plain)
    about = {prop.key: prop.value for prop in made.metadata_props}
    onnx.helper.set_model_props(made, about | {"rtmag.streams": "any"})
    path = tmp_path / "x.onnx"
    path.write_bytes(made.SerializeToString())
    with pytest.raises(ModelIncompatible, match="expected inputs image uint8 4-d, alpha float 1-d"):
        load_engine(path, engine="onnx")


def test_a_short_filter_beside_a_long_one_remembers_nothing_more() -> None:
    image = np.zeros((16, 16, 3), np.uint8)
    filters = [Static().sections(30.0), Temporal(0.5, 3, order=2).sections(30.0)]
    states: list[Any] = [np.ones((1, 4, 4, 4), np.float32), np.ones((1, 8, 4, 4), np.float32)]
    layout = Layout("x", channels=2, stride=4, at_once=3)
    batch = gather(layout, [image] * 2, [0.5, 2.0], filters, states)
    assert batch.shape == (3, 8, 4, 4)
    memory = batch.memory()
    assert (memory[0, :4] == -1).all()  # motion taken away: the filter is turned, and its state
    assert not memory[0, 4:].any()
    assert (memory[1] == 1).all()
    assert batch.inputs["alpha"].tolist() == [1.5, 2.0, 1.0]
    assert batch.inputs["reset"].tolist() == [0, 0, 1]
    assert batch.inputs["sections"][0].tolist() == [[-1, 1, 0, -1, 0], [1, 0, 0, 0, 0]]
    assert np.array_equal(batch.inputs["sections"][1], filters[1])
