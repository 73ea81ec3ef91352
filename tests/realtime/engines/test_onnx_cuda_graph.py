"""Steps replayed: inputs and outputs in their places, states that outlive them, ways back."""

from typing import Any

import numpy as np
import onnxruntime
import pytest

from rtmag.realtime.engines import onnx_cuda_graph as replay
from rtmag.realtime.engines import onnx_providers as providers
from rtmag.realtime.engines.onnx_session import OrtSession
from rtmag.realtime.engines.onnx_state import Resident
from rtmag.realtime.errors import ProviderUnavailable
from rtmag.realtime.filters import Temporal
from rtmag.realtime.models import model_names, read_model
from tests.support.fakes import crossings

OUTPUTS = ["image_out", "state_out"]
STATE = 2 * 21
"""Channels of `fast`'s state under a filter of one section."""
RNG = np.random.default_rng(0)


def inputs(size: tuple[int, int], state: Any = None) -> dict[str, Any]:
    """Of one step of `fast`; a new reference where there is no state."""
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
def test_no_number_of_the_cpu_keeps_a_model_from_being_captured(name: str) -> None:
    picture, motion, _ = read_model(name)
    assert crossings(picture) == crossings(motion or b"") == []


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The graph that each run asked for; -1 is none."""
    asked: list[str] = []
    run = onnxruntime.InferenceSession.run_with_iobinding

    def noted(session: Any, binding: Any, options: Any = None) -> None:
        asked.append(options and options.get_run_config_entry("gpu_graph_id"))
        run(session, binding, options)

    monkeypatch.setattr(onnxruntime.InferenceSession, "run_with_iobinding", noted)
    return asked


def test_a_replayed_step_is_the_same_and_its_state_stays_as_it_was(
    model: bytes, graphs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = OrtSession(model, "cpu", 1)
    replayed = OrtSession(model, "cpu", 1, bound=True, replayed=True)
    monkeypatch.setattr(replay, "SETTLED", 1)
    kept: list[tuple[Any, Any]] = []
    theirs: Any = None
    ours: Any = None
    for _ in range(5):
        given = inputs((64, 48), theirs)
        expected, theirs = plain.run(OUTPUTS, given)
        found, ours = replayed.run(OUTPUTS, given | ({} if ours is None else {"state": ours}))
        kept.append((expected, found))
        assert isinstance(ours, Resident)
        kept.append((theirs, ours))
    assert all(np.array_equal(a, np.asarray(b)) for a, b in kept)
    assert graphs == ["-1", "-1", "1", "1", "1"]
    assert replayed.captured


def test_a_size_that_stays_has_a_graph_of_its_own(
    model: bytes, graphs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "SETTLED", 2)
    monkeypatch.setattr(replay, "KEPT", 2)
    session = OrtSession(model, "cpu", 1, bound=True, replayed=True)

    def steps(size: tuple[int, int], count: int) -> list[str]:
        graphs.clear()
        for _ in range(count):
            image, state = session.run(OUTPUTS, inputs(size))
            assert image.shape == (size[1], size[0], 3)
            assert state.shape == (1, STATE, size[1] // 4, size[0] // 4)
        return list(graphs)

    assert steps((32, 32), 2) == steps((48, 32), 2) == ["-1", "-1"], "sizes that pass by"
    assert not session.captured
    assert steps((32, 32), 5) == ["-1", "-1", "-1", "1", "1"]
    assert steps((48, 32), 5) == ["-1", "-1", "-1", "2", "2"]
    assert steps((64, 32), 5) == ["-1"] * 5, "there is room for no more"
    assert steps((32, 32), 2) == ["1", "1"]


def test_a_graph_that_cannot_be_captured_is_run_plainly(
    model: bytes, graphs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[bool] = []
    open_session = providers.open_session

    def reluctant(
        model: bytes, provider: str, threads: int | None, *, captured: bool = False
    ) -> Any:
        opened.append(captured)
        if captured:
            raise RuntimeError("cannot use the graph capture feature")
        return open_session(model, "cpu", 1)

    monkeypatch.setattr(providers, "open_session", reluctant)
    session = OrtSession(model, "cuda", bound=False)
    assert opened == [True, False]
    image, _ = session.run(OUTPUTS, inputs((32, 32)))
    assert image.shape == (32, 32, 3)
    assert graphs == []


def test_a_missing_provider_is_told_not_tried_again(
    model: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[bool] = []

    def missing(*_: Any, captured: bool = False) -> Any:
        opened.append(captured)
        raise ProviderUnavailable("no CUDA here")

    monkeypatch.setattr(providers, "open_session", missing)
    with pytest.raises(ProviderUnavailable, match="no CUDA here"):
        OrtSession(model, "cuda")
    assert opened == [True]


def test_a_capture_that_fails_is_the_last(
    model: bytes, graphs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = OrtSession(model, "cpu", 1, bound=True, replayed=True)
    given = inputs((32, 32))
    expected, _ = session.run(OUTPUTS, given)
    monkeypatch.setattr(replay.Replay, "run", lambda *_: 1 / 0)
    for _ in range(2):
        found, state = session.run(OUTPUTS, given)
        assert np.array_equal(found, expected)
        assert isinstance(state, Resident)
    assert graphs == ["-1", None, None]
    assert not session.captured


def test_what_is_wrong_without_graphs_too_is_told(model: bytes) -> None:
    session = OrtSession(model, "cpu", 1, bound=True, replayed=True)
    with pytest.raises(Exception, match="cannot be reshaped"):
        session.run(OUTPUTS, inputs((32, 32)) | {"state": np.zeros((1, STATE, 9, 9), np.float32)})
