"""Loading and stepping engines: errors, sizes, states, and results of the shipped models."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from rtmag.realtime.analysis.tracking import displacement, gray
from rtmag.realtime.engines import onnx_providers as providers
from rtmag.realtime.engines import onnx_session
from rtmag.realtime.engines.loading import load_engine
from rtmag.realtime.engines.onnx_engine import OnnxEngine
from rtmag.realtime.engines.onnx_session import OrtSession
from rtmag.realtime.errors import ModelError, ModelIncompatible, OptionError, ProviderUnavailable
from rtmag.realtime.filters import Dynamic, Filter, Static, Temporal
from rtmag.realtime.frame import Frame, Image
from rtmag.realtime.magnifier import Magnifier
from rtmag.realtime.models import DEFAULT_MODEL, model_names, motion_form
from tests.support.fakes import half_precision_model, identity_model, run_python

FILTERS: list[Filter] = [
    Static(), Static(drift=0.2), Dynamic(), Temporal(0.5, 3), Temporal(0.5, 3, order=2),
]  # fmt: skip
STATIC = Static().sections(30)

shipped = pytest.mark.skipif(
    DEFAULT_MODEL not in model_names(), reason="the default model is not here"
)


@pytest.fixture
def identity(tmp_path: Path) -> Path:
    return identity_model(tmp_path / "identity.onnx")


def changed(path: Path, **fields: str | None) -> Path:
    """Change metadata of a file; None removes a field."""
    model = onnx.load(path)
    about = {prop.key: prop.value for prop in model.metadata_props}
    for key, value in fields.items():
        about.pop(f"rtmag.{key}", None)
        if value is not None:
            about[f"rtmag.{key}"] = value
    helper.set_model_props(model, about)
    path.write_bytes(model.SerializeToString())
    return path


def counting_model(path: Path, *, frozen: bool = False) -> Path:
    """A model that adds alpha - 1 to every pixel, and 1 to the state unless it is reset."""
    height, width = (16, 32) if frozen else ("h", "w")
    h, w = (4, 8) if frozen else ("y", "x")
    info = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["alpha", "one"], ["added"]),
        helper.make_node("Add", ["x", "added"], ["more"]),
        helper.make_node("Cast", ["more"], ["image_out"], to=TensorProto.UINT8),
        helper.make_node("Sub", ["one", "reset"], ["kept"]),
        helper.make_node("Add", ["state", "one"], ["next"]),
        helper.make_node("Mul", ["next", "kept"], ["state_out"]),
    ]
    graph = helper.make_graph(
        nodes,
        "counting",
        [
            info("image", TensorProto.UINT8, [height, width, 3]),
            info("alpha", TensorProto.FLOAT, []),
            info("sections", TensorProto.FLOAT, ["s", 5]),
            info("reset", TensorProto.FLOAT, []),
            info("state", TensorProto.FLOAT, [1, "c", h, w]),
        ],
        [
            info("image_out", TensorProto.UINT8, [height, width, 3]),
            info("state_out", TensorProto.FLOAT, [1, "c", h, w]),
        ],
        [numpy_helper.from_array(np.array(1, np.float32), "one")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    about = {"contract": "2", "model": "counting", "channels": "2", "stride": "4"}
    helper.set_model_props(model, {f"rtmag.{key}": value for key, value in about.items()})
    path.write_bytes(model.SerializeToString())
    return path


def moving_model(path: Path, *, frozen: bool = False) -> Path:
    """`counting_model` with a form `motion` whose flow points alpha px to the right."""
    model = onnx.load(counting_model(path, frozen=frozen))
    constants: dict[str, NDArray[Any]] = {
        "two": np.array([1, 2], np.int64), "last": np.array([2, 3], np.int64),
        "rightwards": np.array([[[[1.0]], [[0.0]]]], np.float32),
    }  # fmt: skip
    model.graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in constants.items())
    node = helper.make_node
    model.graph.node.extend(
        [
            node("Mul", ["rightwards", "alpha"], ["cell"]),
            node("Shape", ["state"], ["extent"]),
            node("Gather", ["extent", "last"], ["sides"]),
            node("Concat", ["two", "sides"], ["field"], axis=0),
            node("Expand", ["cell", "field"], ["flow"]),
        ]
    )
    info = helper.make_tensor_value_info
    model.graph.output.pop(0)
    model.graph.output.append(info("flow", TensorProto.FLOAT, [1, 2, "y", "x"]))
    motion_form(path).write_bytes(model.SerializeToString())
    return path


def noise(size: tuple[int, int], seed: int = 0) -> Image:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 200, (size[1], size[0], 3)).astype(np.uint8)


# ---- errors -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"contract": None}, "not made by rtmag export"),
        ({"contract": "1"}, "contract 1, this version of rtmag needs 2"),
        ({"channels": None}, "metadata channels is missing or invalid"),
        ({"channels": "many"}, "metadata channels is missing or invalid"),
        ({"stride": "0"}, "metadata stride is missing or invalid"),
        ({"model": None, "stride": None}, "metadata stride, model is missing or invalid"),
    ],
)
def test_invalid_metadata_is_refused(
    fields: dict[str, str | None], message: str, identity: Path
) -> None:
    with pytest.raises(ModelIncompatible, match=message):
        load_engine(changed(identity, **fields))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("name", "picture"), "expected inputs image uint8 3-d, alpha.*got picture uint8 3-d"),
        (("type", TensorProto.FLOAT), "got image float 3-d"),
        (("rank", 4), "got image uint8 4-d"),
    ],
)
def test_unexpected_inputs_are_refused(
    change: tuple[str, Any], message: str, identity: Path
) -> None:
    model = onnx.load(identity)
    image, (kind, value) = model.graph.input[0], change
    if kind == "name":
        image.name = model.graph.node[0].input[0] = value
    elif kind == "type":
        for info in (image, model.graph.output[0]):
            info.type.tensor_type.elem_type = value
    else:
        for info in (image, model.graph.output[0]):
            info.type.tensor_type.shape.dim.add().dim_value = 1
    identity.write_bytes(model.SerializeToString())
    with pytest.raises(ModelIncompatible, match=message):
        load_engine(identity)


def test_missing_outputs_are_refused(identity: Path) -> None:
    model = onnx.load(identity)
    del model.graph.output[1]
    del model.graph.node[1]
    identity.write_bytes(model.SerializeToString())
    with pytest.raises(ModelIncompatible, match="expected outputs"):
        load_engine(identity)


def test_a_foreign_model_is_refused(identity: Path) -> None:
    model = onnx.load(identity)
    del model.metadata_props[:]
    identity.write_bytes(model.SerializeToString())
    with pytest.raises(ModelIncompatible, match="it has no rtmag metadata"):
        load_engine(identity)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x08\x0a" * 500, bytes(range(256)) * 40])
def test_a_file_that_is_not_a_model_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelIncompatible, match=r"cannot (load|use) model '.*model\.onnx'"):
        load_engine(path)


def test_a_truncated_model_is_refused(identity: Path) -> None:
    whole = identity.read_bytes()
    for part in (1, 2, 3):
        identity.write_bytes(whole[: len(whole) * part // 4])
        with pytest.raises(ModelIncompatible):
            load_engine(identity)


@pytest.mark.parametrize("name", ["none.onnx", "nonsense"])
def test_a_missing_model_is_refused_with_the_known_names(name: str) -> None:
    with pytest.raises(ModelIncompatible, match=r"no such file or model \(in the package: "):
        load_engine(name)


@pytest.mark.parametrize("location", ["weights.bin", "../weights.bin", "../../../../etc/passwd"])
def test_external_weights_are_refused_unread(
    location: str, identity: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = onnx.load(identity)
    tensor = model.graph.initializer.add()
    tensor.name, tensor.data_type = "w", TensorProto.FLOAT
    tensor.dims.extend([4])
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    identity.write_bytes(model.SerializeToString())
    monkeypatch.setattr(providers, "open_session", lambda *_: pytest.fail("it was opened"))
    with pytest.raises(ModelIncompatible, match="its weights are in another file"):
        load_engine(identity)


def test_a_frozen_model_refuses_other_sizes(tmp_path: Path) -> None:
    engine = load_engine(counting_model(tmp_path / "frozen.onnx", frozen=True))
    assert engine.size == (32, 16)
    for size in ((32, 16), (30, 9)):  # padding gives the same size
        out, _ = engine.step(noise(size), 1, STATIC, None)
        assert out.shape == (*size[::-1], 3)
    with pytest.raises(ModelIncompatible, match="exported for 32x16, got 64x48"):
        engine.step(noise((64, 48)), 1, STATIC, None)


def test_an_error_of_the_runtime_becomes_one_line(identity: Path) -> None:
    model = onnx.load(identity)
    node = model.graph.node[0]
    node.op_type = "Reshape"  # to a shape that no image has
    node.input.append("shape")
    model.graph.initializer.append(numpy_helper.from_array(np.array([7, 7, 3]), "shape"))
    onnx.save(model, identity)
    engine = load_engine(identity, engine="onnx")
    with pytest.raises(ModelError, match="cannot run model 'identity' on cpu: ") as caught:
        engine.step(noise((32, 16)), 1, STATIC, None)
    assert not isinstance(caught.value, ModelIncompatible)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : no such input\nmore", "no such input"),
        (
            "Exception from core.cpp:1:\nException from b.cpp:2:\nno such device\n\n",
            "no such device",
        ),
        ("Exception from a.cpp:3:\nCheck 'ptr' failed at b.cpp:4:\nFailed to\n", "Failed to"),
        ("Exception from a.cpp:3:\n", "Exception from a.cpp:3:"),
        ("", "RuntimeError"),
    ],
)
def test_the_informative_line_of_a_long_error_is_shown(
    message: str, reason: str, identity: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = load_engine(identity)

    def fail(*_: object) -> None:
        raise RuntimeError(message)

    assert isinstance(engine, OnnxEngine)
    monkeypatch.setattr(engine._session, "run", fail)
    with pytest.raises(ModelError, match="cannot run model 'identity' on cpu: ") as caught:
        engine.step(noise((32, 16)), 1, STATIC, None)
    assert str(caught.value).endswith(f": {reason}")


# ---- providers -------------------------------------------------------------------------------


def no_gpu() -> bool:
    # Independent of the code under test: NVIDIA's driver makes these devices.
    return not any(Path("/dev").glob("nvidia[0-9]*"))


@pytest.mark.skipif(not no_gpu(), reason="for machines without an NVIDIA GPU")
def test_without_a_gpu_cuda_is_refused_and_auto_takes_the_cpu_silently(
    identity: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ProviderUnavailable, match="cannot open provider 'cuda': ") as caught:
        load_engine(identity, engine="cuda")
    assert "\n" not in str(caught.value)
    assert "rtmag[cuda]" in str(caught.value)
    assert load_engine(identity).provider == "cpu"
    assert capfd.readouterr() == ("", "")


def test_an_unknown_engine_is_refused(identity: Path) -> None:
    with pytest.raises(ProviderUnavailable, match=r"engine must be auto, cuda, .*, got 'tpu'"):
        load_engine(identity, engine="tpu")


@pytest.mark.parametrize(
    ("model", "engine", "message"),
    [
        (
            "fast",
            "torch",
            r"runs \.pt2 files, got 'fast'; make one with rtmag export --target pt2$",
        ),
        ("fast", "tensorrt", "--target tensorrt$"),
        ("x.pt2", "onnx", r"runs \.onnx files, got 'x\.pt2'; give --engine torch"),
        ("x.pt2", "openvino", r"runs \.onnx files, got 'x\.pt2'"),
    ],
)
def test_an_engine_for_other_files_is_refused_with_a_hint(
    model: str, engine: str, message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        load_engine(model, engine=engine, unsafe=True)


def test_a_missing_runtime_is_not_reported_as_a_broken_model(
    identity: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match="pip install onnxruntime"):
        load_engine(identity)


@pytest.mark.skipif(providers.has_nvidia_driver(), reason="a GPU is tried first")
def test_onnx_runtime_is_not_loaded_if_openvino_is_used() -> None:
    session = pytest.importorskip("rtmag.realtime.engines.openvino_session")
    pytest.importorskip("openvino")
    if not session.has_bfloat16():
        pytest.skip("auto takes ONNX Runtime on this CPU")
    code = "import sys; from rtmag.realtime import load_engine; e = load_engine('fast')"
    assert run_python(f"{code}; print(e.provider, 'onnxruntime' in sys.modules)") == (
        "openvino False\n"
    )


def test_if_cuda_fails_auto_takes_the_cpu_but_cuda_is_an_error(
    identity: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = providers.open_session

    def open_session(model: bytes, provider: str, *options: Any, **_: Any) -> Any:
        if provider == "cuda":
            raise RuntimeError("[ONNXRuntimeError] : 1 : FAIL : no kernel image\nand more")
        return real(model, provider, *options)

    monkeypatch.setattr(providers, "open_session", open_session)
    monkeypatch.setattr(providers, "has_nvidia_driver", lambda: True)
    assert load_engine(identity).provider == "cpu"
    with pytest.raises(ProviderUnavailable, match=r"'cuda': no kernel image$"):
        load_engine(identity, engine="cuda")


# ---- sizes and state -------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (17, 3), (321, 241), (16, 16), (64, 48), (15, 400)])
def test_the_output_has_the_size_of_the_input(size: tuple[int, int], tmp_path: Path) -> None:
    engine = load_engine(counting_model(tmp_path / "counting.onnx"))
    image = noise(size)
    out, state = engine.step(image, 4, STATIC, None)
    assert np.array_equal(out, image + 3)
    h, w = (4 * -(-side // 16) for side in (size[1], size[0]))
    assert state.shape == (1, 4, h, w)
    out, state = engine.step(image, 1, STATIC, state)
    assert np.array_equal(out, image)
    assert (state == 1).all()


def test_a_view_of_an_image_is_accepted(tmp_path: Path) -> None:
    engine = load_engine(counting_model(tmp_path / "counting.onnx"))
    part = noise((100, 80))[8:72, 4:68]
    assert np.array_equal(engine.step(part, 1, STATIC, None)[0], part)


def test_the_state_is_reset_and_carried_but_not_kept_by_the_engine(tmp_path: Path) -> None:
    engine = load_engine(counting_model(tmp_path / "counting.onnx"))
    states: dict[str, Any] = {"a": None, "b": None}
    for number in range(6):
        for name, seed in (("a", 1), ("b", 2)):
            size = (32, 16) if name == "a" else (40, 24)
            image = noise(size, seed)
            out, states[name] = engine.step(image, 1 + number, STATIC, states[name])
            assert np.array_equal(out, image + np.uint8(number))
            assert (states[name] == number).all()
    before = states["a"].copy()
    engine.step(noise((32, 16)), 1, STATIC, states["a"])
    assert np.array_equal(states["a"], before)


def test_a_state_of_another_size_or_filter_is_refused(tmp_path: Path) -> None:
    engine = load_engine(counting_model(tmp_path / "counting.onnx"))
    _, state = engine.step(noise((32, 16)), 1, STATIC, None)
    with pytest.raises(ModelIncompatible, match=r"state \(1, 4, 8, 12\), got \(1, 4, 4, 8\)"):
        engine.step(noise((40, 24)), 1, STATIC, state)
    two = Temporal(1, 2, order=2).sections(30)
    with pytest.raises(ModelIncompatible, match=r"state \(1, 8, 4, 8\), got \(1, 4, 4, 8\)"):
        engine.step(noise((32, 16)), 1, two, state)


# ---- images warped by the engine ----------------------------------------------------------


@pytest.mark.parametrize(("scale", "steps"), [(1.0, 1), (0.5, 2), (0.25, 4)])
@pytest.mark.parametrize("size", [(64, 64), (61, 43)])
def test_the_network_gets_a_smaller_image_and_the_full_one_is_warped(
    scale: float, steps: int, size: tuple[int, int], tmp_path: Path
) -> None:
    path = moving_model(tmp_path / "moving.onnx")
    engine = load_engine(path, engine="onnx", motion_scale=scale)
    assert engine.motion_scale == scale
    image = noise(size)
    out, state = engine.step(image, 2.0, STATIC, None)
    assert np.array_equal(out[:, : -2 * steps], image[:, 2 * steps :])
    cells = [4 * -(-side // (16 * steps)) for side in (size[1], size[0])]
    assert state.shape == (1, 4, *cells)
    assert engine.step(image, 2.0, STATIC, state)[1].min() == 1


def test_a_cpu_uses_the_motion_form_if_there_is_one(tmp_path: Path) -> None:
    path = moving_model(tmp_path / "moving.onnx")
    image = noise((32, 16))
    assert load_engine(path, engine="onnx").scalable
    assert load_engine(motion_form(path), engine="onnx").scalable
    drawn = OnnxEngine(path.read_bytes(), source="x")
    assert not drawn.scalable
    assert np.array_equal(drawn.step(image, 1.0, STATIC, None)[0], image)


def test_float32_is_refused_for_a_half_precision_file(tmp_path: Path) -> None:
    half = half_precision_model(tmp_path)
    with pytest.raises(
        OptionError, match=r"half\.onnx' was exported with --precision fp16 and cannot run in fp32"
    ):
        load_engine(half, engine="onnx", precision="fp32")
    assert load_engine(half, engine="onnx").precision == "fp32+fp16"
    with pytest.raises(OptionError, match="precision must be auto or fp32, got 'fp16'"):
        load_engine("fast", precision="fp16")


def test_a_full_graph_supports_motion_scale_1_only(identity: Path) -> None:
    assert not load_engine(identity).scalable
    with pytest.raises(ModelIncompatible, match=r"supports motion scale 1 only.*got 0\.5"):
        load_engine(identity, motion_scale=0.5)
    with pytest.raises(OptionError, match=r"must be 1, 1/2 or 1/4, got 0\.3"):
        load_engine(identity, motion_scale=0.3)


def test_the_motion_scale_of_a_scalable_engine_can_be_changed(tmp_path: Path) -> None:
    path = moving_model(tmp_path / "moving.onnx")
    engine, image = load_engine(path, engine="onnx"), noise((61, 43))
    for scale in (0.5, 0.25, 1.0):
        engine = engine.at(scale)
        assert engine.motion_scale == scale
        fresh = load_engine(path, engine="onnx", motion_scale=scale)
        for result, expected in zip(
            engine.step(image, 2.0, STATIC, None), fresh.step(image, 2.0, STATIC, None), strict=True
        ):
            assert np.array_equal(np.asarray(result), np.asarray(expected))
    frozen = load_engine(moving_model(tmp_path / "frozen.onnx", frozen=True))
    assert (frozen.at(0.5).size, frozen.size) == ((64, 32), (32, 16))


def test_a_gpu_uses_the_full_graph_but_the_motion_form_at_smaller_scales(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CPU session stands in for CUDA."""

    class Device(OrtSession):
        def __init__(self, model: bytes, provider: str, threads: int | None) -> None:
            super().__init__(model, "cpu", threads)
            self.provider = provider

    monkeypatch.setattr(onnx_session, "OrtSession", Device)
    path, image = moving_model(tmp_path / "moving.onnx"), noise((64, 32))
    drawn = load_engine(path, engine="cuda")
    assert (drawn.provider, drawn.scalable, drawn.motion_scale) == ("cuda", True, 1)
    assert drawn.at(1) is drawn
    half = drawn.at(0.5)
    assert (half.provider, half.motion_scale) == ("cuda", 0.5)
    expected = load_engine(path, engine="onnx", motion_scale=0.5).step(image, 2.0, STATIC, None)
    assert np.array_equal(half.step(image, 2.0, STATIC, None)[0], expected[0])
    assert half.at(1).motion_scale == 1


def test_a_full_graph_keeps_its_motion_scale(identity: Path) -> None:
    with pytest.raises(ModelIncompatible, match="supports motion scale 1 only"):
        load_engine(identity).at(0.5)


def test_a_motion_form_without_half_of_its_outputs_is_refused(tmp_path: Path) -> None:
    path = moving_model(tmp_path / "moving.onnx")
    model = onnx.load(motion_form(path))
    model.graph.output.pop(0)
    motion_form(path).write_bytes(model.SerializeToString())
    with pytest.raises(ModelIncompatible, match=r"flow .*, state_out .*, got flow float 4-d$"):
        load_engine(path)


def test_a_frozen_model_takes_a_larger_image_at_a_smaller_scale(tmp_path: Path) -> None:
    path = moving_model(tmp_path / "frozen.onnx", frozen=True)
    assert load_engine(path).size == (32, 16)
    assert load_engine(path, motion_scale=0.5).size == (64, 32)


# ---- the shipped model -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def standard() -> OnnxEngine:
    engine = load_engine()
    assert isinstance(engine, OnnxEngine)
    return engine


def scene(dx: float = 0.0, dy: float = 0.0, size: int = 96) -> NDArray[np.float64]:
    """(size, size) soft stripes and waves of many directions, moved by a Fourier shift."""
    rng = np.random.default_rng(3)
    fy, fx = np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None]
    k = np.hypot(fx, fy)
    spectrum = np.fft.fft2(rng.standard_normal((size, size)))
    spectrum *= np.exp(-((k / 0.12) ** 2)) / (k + 0.02)
    spectrum[0, 0] = 0
    still = np.fft.ifft2(spectrum).real
    moved = np.fft.ifft2(spectrum * np.exp(-2j * np.pi * (fx * dx + fy * dy))).real
    return np.asarray(128 + 40 * moved / still.std())


def picture(dx: float = 0.0, dy: float = 0.0, seed: int = 0) -> Image:
    """An image as from a camera: dithered, so that rounding hides no motion."""
    values = scene(dx, dy)
    dithered = np.floor(values + np.random.default_rng(seed).random(values.shape))
    return np.repeat(dithered.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def moved(a: Image, b: Image) -> float:
    """Pixels to the right."""
    return displacement(gray(a)[8:-8, 8:-8], gray(b)[8:-8, 8:-8])[0]


@shipped
@pytest.mark.parametrize("filter", FILTERS, ids=str)
def test_alpha_1_is_the_input_within_a_grey_level(standard: OnnxEngine, filter: Filter) -> None:
    magnifier = Magnifier(standard, alpha=1, filter=filter, fps=30)
    for number in range(12):
        image = picture(2 * np.sin(number), number / 5, seed=number)
        out = magnifier(Frame(image, number / 30, number)).image
        assert np.abs(out.astype(int) - image).max() <= 1


@shipped
@pytest.mark.parametrize("filter", FILTERS, ids=str)
@pytest.mark.parametrize("size", [(96, 96), (61, 43)])
def test_a_still_scene_stays_exactly_still(
    standard: OnnxEngine, filter: Filter, size: tuple[int, int]
) -> None:
    image = np.ascontiguousarray(picture()[: size[1], : size[0]])
    magnifier = Magnifier(standard, alpha=50, filter=filter, fps=30)
    first = magnifier(Frame(image, 0.0, 0)).image
    assert np.abs(first.astype(int) - image).max() <= 1
    for number in range(1, 60):
        out = magnifier(Frame(image, number / 30, number)).image
        assert np.array_equal(out, first), number


@shipped
@pytest.mark.parametrize(("motion", "alpha"), [(0.1, 20), (0.4, 5), (0.05, 40)])
def test_small_motion_becomes_alpha_times_larger(
    standard: OnnxEngine, motion: float, alpha: float
) -> None:
    magnifier = Magnifier(standard, alpha=alpha, filter=Static(), fps=30)
    magnifier(Frame(picture(), 0.0, 0))
    shown = [
        moved(picture(), magnifier(Frame(picture(motion, seed=n), n / 30, n)).image)
        for n in range(1, 4)
    ]
    assert np.mean(shown) == pytest.approx(alpha * motion, rel=0.2)


@shipped
@pytest.mark.parametrize("alpha", [0, 0.5, 0.9])
def test_alpha_below_1_attenuates(standard: OnnxEngine, alpha: float) -> None:
    magnifier = Magnifier(standard, alpha=alpha)
    magnifier(Frame(picture(), 0.0, 0))
    shown = [
        moved(picture(), magnifier(Frame(picture(0.5, seed=n), n / 30, n)).image)
        for n in range(1, 4)
    ]
    assert np.mean(shown) == pytest.approx(alpha * 0.5, abs=0.2)


@shipped
@pytest.mark.parametrize(("hz", "low", "high"), [(2.0, 0.75, 1.25), (10.0, 0.0, 0.25)])
def test_temporal_passes_2_hz_and_rejects_10(
    standard: OnnxEngine, hz: float, low: float, high: float
) -> None:
    alpha, motion = 15.0, 0.1
    magnifier = Magnifier(standard, alpha=alpha, filter=Temporal(1.2, 3.3, order=2), fps=30)
    path = []
    for number in range(75):
        dx = motion * np.sin(2 * np.pi * hz * number / 30)
        out = magnifier(Frame(picture(dx, seed=number), number / 30, number)).image
        if number >= 45:
            path.append(moved(picture(), out))
    turn = np.exp(-2j * np.pi * hz * np.arange(30) / 30)
    amplitude = abs(np.dot(path, turn)) / 15
    # The input's own motion is added to the magnified part.
    assert low * (alpha - 1) * motion < amplitude < high * (alpha - 1) * motion + motion


@shipped
def test_the_shipped_model_takes_changing_sizes(standard: OnnxEngine) -> None:
    magnifier = Magnifier(standard, alpha=30)
    for number, size in enumerate([(64, 48), (321, 241), (1, 1), (17, 3), (64, 48)]):
        image = noise(size, number)
        out = magnifier(Frame(image, number / 30, number)).image
        assert out.shape == image.shape
        assert np.abs(out.astype(int) - image).max() <= 1  # each is its own reference


@shipped
@pytest.mark.parametrize(("engine", "library"), [("onnx", "onnxruntime"), ("openvino",) * 2])
def test_the_model_loads_in_a_second_without_torch_or_a_network(engine: str, library: str) -> None:
    pytest.importorskip(library, reason=f"needs {library}")
    code = f"""if True:
        import socket, sys, time
        def refuse(*args, **kwargs): raise AssertionError("the network was used")
        socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
        import numpy, cv2, {library}
        start = time.process_time()  # of this process: others may keep the machine busy
        from rtmag.realtime import load_engine
        engine = load_engine(engine={engine!r})
        print(time.process_time() - start, engine.name, "torch" in sys.modules)
    """
    seconds, name, torch = run_python(code).split()
    assert float(seconds) < 1
    assert (name, torch) == (DEFAULT_MODEL, "False")
