"""CUDA graphs of ONNX Runtime: fixed buffers, copied states, and the fallback without graphs."""

from typing import Any

import numpy as np
import onnxruntime
import pytest

from rtmag.realtime.engines import onnx_cuda_graph
from rtmag.realtime.engines import onnx_providers as providers
from rtmag.realtime.engines.onnx_session import OrtSession
from rtmag.realtime.engines.onnx_state import DeviceState
from rtmag.realtime.errors import ProviderUnavailable
from rtmag.realtime.filters import Temporal
from rtmag.realtime.models import model_names, read_model
from tests.support.fakes import cpu_to_gpu_copies

OUTPUTS = ["image_out", "state_out"]
STATE = 2 * 22
"""Channels of `fast`'s state under a filter of one section."""
RNG = np.random.default_rng(0)


def inputs(size: tuple[int, int], state: Any = None) -> dict[str, Any]:
    """Inputs of one step of `fast`; a new reference if there is no state."""
    width, height = size
    return {
        "image": RNG.integers(0, 256, (height, width, 3), np.uint8),
        "alpha": np.array(20, np.float32),
        "sections": Temporal(0.5, 3).sections(30.0),
        "reset": np.array(state is None, np.float32),
        "state": np.zeros((1, STATE, height // 4, width // 4), np.float32)
        if state is None
        else state,
    }


@pytest.fixture(scope="module")
def model() -> bytes:
    return read_model("fast")[0]


@pytest.mark.parametrize("name", model_names())
def test_no_copy_from_the_cpu_prevents_a_capture(name: str) -> None:
    picture, motion, _ = read_model(name)
    assert cpu_to_gpu_copies(picture) == cpu_to_gpu_copies(motion or b"") == []


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The graph id of each run; -1 is none."""
    ids: list[str] = []
    run = onnxruntime.InferenceSession.run_with_iobinding

    def record(session: Any, binding: Any, options: Any = None) -> None:
        ids.append(options and options.get_run_config_entry("gpu_graph_id"))
        run(session, binding, options)

    monkeypatch.setattr(onnxruntime.InferenceSession, "run_with_iobinding", record)
    return ids


def test_a_replayed_step_is_equal_and_leaves_earlier_states_unchanged(
    model: bytes, graphs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = OrtSession(model, "cpu", 1)
    replayed = OrtSession(model, "cpu", 1, device_state=True, cuda_graphs=True)
    monkeypatch.setattr(onnx_cuda_graph, "STEPS_BEFORE_CAPTURE", 1)
    kept: list[tuple[Any, Any]] = []
    theirs: Any = None
    ours: Any = None
    for _ in range(5):
        values = inputs((64, 48), theirs)
        expected, theirs = plain.run(OUTPUTS, values)
        result, ours = replayed.run(OUTPUTS, values | ({} if ours is None else {"state": ours}))
        kept.append((expected, result))
        assert isinstance(ours, DeviceState)
        kept.append((theirs, ours))
    assert all(np.array_equal(a, np.asarray(b)) for a, b in kept)
    assert graphs == ["-1", "-1", "1", "1", "1"]
    assert replayed.uses_cuda_graph


def test_a_repeated_size_gets_its_own_graph(
    model: bytes, graphs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_cuda_graph, "STEPS_BEFORE_CAPTURE", 2)
    monkeypatch.setattr(onnx_cuda_graph, "MAX_GRAPHS", 2)
    session = OrtSession(model, "cpu", 1, device_state=True, cuda_graphs=True)

    def steps(size: tuple[int, int], count: int) -> list[str]:
        graphs.clear()
        for _ in range(count):
            image, state = session.run(OUTPUTS, inputs(size))
            assert image.shape == (size[1], size[0], 3)
            assert state.shape == (1, STATE, size[1] // 4, size[0] // 4)
        return list(graphs)

    assert steps((32, 32), 2) == steps((48, 32), 2) == ["-1", "-1"], "too few steps of a size"
    assert not session.uses_cuda_graph
    assert steps((32, 32), 5) == ["-1", "-1", "-1", "1", "1"]
    assert steps((48, 32), 5) == ["-1", "-1", "-1", "2", "2"]
    assert steps((64, 32), 5) == ["-1"] * 5, "the limit is reached"
    assert steps((32, 32), 2) == ["1", "1"]


def test_a_graph_that_cannot_be_captured_runs_without_a_cuda_graph(
    model: bytes, graphs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[bool] = []
    open_session = providers.open_session

    def open_without_graphs(
        model: bytes, provider: str, threads: int | None, *, cuda_graph: bool = False
    ) -> Any:
        opened.append(cuda_graph)
        if cuda_graph:
            raise RuntimeError("cannot use the graph capture feature")
        return open_session(model, "cpu", 1)

    monkeypatch.setattr(providers, "open_session", open_without_graphs)
    session = OrtSession(model, "cuda", device_state=False)
    assert opened == [True, False]
    image, _ = session.run(OUTPUTS, inputs((32, 32)))
    assert image.shape == (32, 32, 3)
    assert graphs == []


def test_a_missing_provider_is_an_error_and_is_not_tried_again(
    model: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[bool] = []

    def missing(*_: Any, cuda_graph: bool = False) -> Any:
        opened.append(cuda_graph)
        raise ProviderUnavailable("no CUDA here")

    monkeypatch.setattr(providers, "open_session", missing)
    with pytest.raises(ProviderUnavailable, match="no CUDA here"):
        OrtSession(model, "cuda")
    assert opened == [True]


def test_after_a_failed_capture_no_graphs_are_used(
    model: bytes, graphs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = OrtSession(model, "cpu", 1, device_state=True, cuda_graphs=True)
    values = inputs((32, 32))
    expected, _ = session.run(OUTPUTS, values)
    monkeypatch.setattr(onnx_cuda_graph.OrtCudaGraphs, "run", lambda *_: 1 / 0)
    for _ in range(2):
        result, state = session.run(OUTPUTS, values)
        assert np.array_equal(result, expected)
        assert isinstance(state, DeviceState)
    assert graphs == ["-1", None, None]
    assert not session.uses_cuda_graph


def test_an_error_that_also_occurs_without_graphs_is_raised(model: bytes) -> None:
    session = OrtSession(model, "cpu", 1, device_state=True, cuda_graphs=True)
    with pytest.raises(Exception, match="cannot be reshaped"):
        session.run(OUTPUTS, inputs((32, 32)) | {"state": np.zeros((1, STATE, 9, 9), np.float32)})
