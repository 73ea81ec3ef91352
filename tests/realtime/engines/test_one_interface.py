"""What every engine accepts, refuses and returns, whatever runtime is behind it."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper

from rtmag.realtime.cli.main import execute
from rtmag.realtime.engines.contract import CONTRACT
from rtmag.realtime.engines.engine import Engine, IdentityEngine
from rtmag.realtime.engines.loading import load_engine
from rtmag.realtime.engines.torch_program import METADATA_FILE
from rtmag.realtime.errors import ModelError, ModelIncompatible, OptionError
from rtmag.realtime.filters import Static, Temporal
from rtmag.realtime.frame import Frame, Image
from rtmag.realtime.magnifier import Magnifier
from rtmag.realtime.run.guard import Guard
from tests.support.fakes import FakeEngine, identity_model

SECTIONS = Static().sections(30.0)
SIZE = (64, 48)

needs_openvino = pytest.mark.skipif(find_spec("openvino") is None, reason="needs OpenVINO")
needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="needs PyTorch")
ENGINES = [
    "onnx",
    pytest.param("openvino", marks=needs_openvino),
    pytest.param("torch", marks=needs_torch),
    "none",
]


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """An engine on each runtime."""
    if request.param == "none":
        return IdentityEngine()
    if request.param != "torch":
        return load_engine("fast", engine=request.param, threads=1)
    program = small_program(tmp_path_factory.mktemp("program") / "small.pt2")
    return load_engine(program, engine="torch", unsafe=True)


def small_program(path: Path) -> Path:
    """A PyTorch program that keeps the contract; a trained one takes half a minute to export."""
    import torch

    class Program(torch.nn.Module):
        def forward(self, image: Any, alpha: Any, sections: Any, reset: Any, state: Any) -> Any:
            mean = image.to(torch.float32).mean() * sections.sum() * (2 - reset)
            after = state + mean
            shown = image.to(torch.float32) / alpha + after.mean()
            return shown.clamp(0, 255).to(torch.uint8), after

    width, height = SIZE
    inputs = (
        torch.zeros(height, width, 3, dtype=torch.uint8), torch.tensor(2.0), torch.ones(2, 5),
        torch.tensor(0.0), torch.zeros(1, 4, height // 4, width // 4),
    )  # fmt: skip
    facts = {"contract": CONTRACT, "model": "small", "channels": "1", "stride": "4"}
    facts["size"] = f"{width}x{height}"
    metadata = json.dumps({f"rtmag.{key}": value for key, value in facts.items()})
    program = torch.export.export(Program(), inputs)
    torch.export.save(program, path, extra_files={METADATA_FILE: metadata})
    return path


def picture(seed: int) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (SIZE[1], SIZE[0], 3)).astype(np.uint8)


@pytest.mark.parametrize(
    "image",
    [
        picture(0).astype(np.float32) / 255,
        picture(0).astype(np.float32),
        picture(0).astype(np.uint16) * 257,
        picture(0).astype(np.int8),
        picture(0)[..., 0],
        np.dstack([picture(0), picture(0)[..., :1]]),
        picture(0)[None],
        picture(0)[None, None],
        picture(0)[:0],
    ],
    ids=["0..1", "float", "uint16", "int8", "grey", "BGRA", "4-d", "5-d", "empty"],
)
def test_only_images_of_bytes_are_taken(engine: Engine, image: NDArray[Any]) -> None:
    """OpenVINO would convert other types, and return garbage."""
    with pytest.raises(ModelIncompatible, match=r"takes images \(H, W, 3\) uint8, got \("):
        engine.step(image, 2.0, SECTIONS, None)
    with pytest.raises(ModelIncompatible, match=r"takes images \(H, W, 3\) uint8, got \("):
        engine.step_many([image], [2.0], [SECTIONS], [None])


def test_other_inputs_of_a_wrong_type_are_refused(engine: Engine) -> None:
    if engine.name == "none":
        pytest.skip("uses no other inputs")
    _, state = engine.step(picture(0), 2.0, SECTIONS, None)
    wide = np.asarray(state).astype(np.float64)
    for alpha, sections, before, words in (
        (float("nan"), SECTIONS, None, "alpha must be a finite number"),
        (2.0, SECTIONS.astype(np.float64), None, "sections must be float32, got float64"),
        (2.0, SECTIONS[0], None, r"sections must be \(S, 5\)"),
        (2.0, SECTIONS[:, :4], None, r"sections must be \(S, 5\)"),
        (2.0, SECTIONS, wide, "state must be float32, got float64"),
        (2.0, SECTIONS, np.asarray(state)[:, :1], "model expects state"),
    ):
        with pytest.raises(ModelIncompatible, match=words):
            engine.step(picture(0), alpha, sections, before)  # type: ignore[arg-type]


def test_threads_share_an_engine(engine: Engine) -> None:
    """Each stream gets the same pictures as alone."""

    def stream(seed: int) -> list[Image]:
        magnifier = Magnifier(engine, alpha=5, filter=Temporal(1, 5), fps=30)
        return [magnifier(picture(10 * seed + k)) for k in range(5)]

    alone = [stream(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(stream, range(4)))
    for one, other in zip(alone, together, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_the_time_of_a_frame_must_be_finite(engine: Engine) -> None:
    magnifier = Magnifier(engine, alpha=5)
    magnifier(Frame(picture(0), 0.0, 0))
    for time in (float("nan"), float("inf")):
        with pytest.raises(OptionError, match="the time of a frame must be finite"):
            magnifier(Frame(picture(1), time, 1))
        with pytest.raises(OptionError, match="the time of a frame must be finite"):
            magnifier(picture(1), time=time)
    assert magnifier(Frame(picture(0), 0.1, 1)).image.shape == (SIZE[1], SIZE[0], 3)


def turning_model(path: Path, output: str) -> Path:
    """A model that keeps the contract until it runs: it turns one output by a quarter."""
    model = onnx.load(identity_model(path))
    (node,) = (each for each in model.graph.node if each.output == [output])
    order = [1, 0, 2] if output == "image_out" else [0, 1, 3, 2]
    node.op_type = "Transpose"
    node.attribute.append(helper.make_attribute("perm", order))
    for value in model.graph.output:
        if value.name == output:
            for k, dimension in enumerate(value.type.tensor_type.shape.dim):
                dimension.dim_param = f"{output}{k}"
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("output", ["image_out", "state_out"])
def test_results_of_a_wrong_shape_are_refused(
    output: str,
    clip: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """S06: in files and live."""
    model = turning_model(tmp_path / "model.onnx", output)
    with pytest.raises(ModelIncompatible, match=f"returned {output} of shape .*, expected "):
        load_engine(model, engine="onnx").step(picture(0), 2.0, SECTIONS, None)
    monkeypatch.chdir(tmp_path)
    clip("in.mp4", frames=4, size=SIZE)
    chosen = ["--model", "model.onnx", "--engine", "onnx"]
    for command in (
        ["file", "in.mp4", *chosen],
        ["camera", "test", "--view", "none", "--size", "64x48", "--frames", "3", *chosen],
    ):
        assert execute(command) == 2
        last = capsys.readouterr().err.splitlines()[-1]
        assert last.startswith(f"error: model 'identity' returned {output} of shape")


def test_a_model_that_has_worked_is_not_refused_live() -> None:
    """A camera that changes its size is shown unmagnified."""

    class OneSize(FakeEngine):
        def step(self, image: Image, *_: object) -> tuple[Image, NDArray[np.float32]]:
            if image.shape[0] != SIZE[1]:
                raise ModelIncompatible("one size only")
            return image, np.zeros((1, 2, 1, 1), np.float32)

    notices: list[str] = []

    def reload() -> Engine:
        raise ModelError("no")

    small = Frame(picture(0)[:16], 0.0, 0)
    with Guard(Magnifier(OneSize()), reload, notices.append) as guard:
        with pytest.raises(ModelIncompatible, match="one size only"):
            guard(small)
        guard(Frame(picture(0), 0.1, 1))
        assert guard(Frame(small.image, 0.2, 2)).image is small.image
    assert notices == ["error: not magnified: one size only"]
