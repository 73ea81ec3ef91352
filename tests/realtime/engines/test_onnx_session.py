"""Sessions: what a graph on ONNX Runtime tells of itself, and a state that stays on its device."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rtmag.realtime.engines import onnx_session as opening
from rtmag.realtime.engines.onnx_engine import OnnxEngine
from rtmag.realtime.engines.onnx_session import OrtSession
from rtmag.realtime.engines.onnx_state import Resident
from rtmag.realtime.filters import Temporal
from rtmag.realtime.frame import Frame
from rtmag.realtime.magnifier import Magnifier
from rtmag.realtime.models import read_model
from rtmag.realtime.sources.scene.scene import SceneSource

SIZE = (64, 48)


def engine(*, bound: bool, replayed: bool = False) -> OnnxEngine:
    """The shipped model on the CPU, which stands for any device when it is bound."""
    model, motion, source = read_model("fast")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            opening,
            "OrtSession",
            lambda model, provider, threads: OrtSession(
                model, provider, 1, bound=bound, replayed=replayed
            ),
        )
        return OnnxEngine(model, motion, source=source, engine="onnx")


@pytest.fixture
def frames() -> list[Frame]:
    with SceneSource(SIZE, frames=12) as scene:
        return list(scene)


def test_what_a_graph_says_of_itself() -> None:
    session = OrtSession(read_model("fast")[0], "cpu")
    assert session.inputs["image"] == ("uint8", 3)
    assert session.outputs == {"image_out": ("uint8", 3), "state_out": ("float", 4)}
    assert session.metadata["rtmag.model"] == "fast"
    assert session.size is None


@pytest.mark.parametrize("replayed", [False, True])
def test_a_state_on_a_device_is_the_same_and_is_not_fetched_between_steps(
    frames: list[Frame], monkeypatch: pytest.MonkeyPatch, replayed: bool
) -> None:
    plain, bound = engine(bound=False), engine(bound=True, replayed=replayed)
    sections = Temporal(0.5, 3).sections(30.0)
    a: Any = None
    b: Any = None
    fetched: list[Resident] = []
    fetch = Resident.__array__

    def noted(state: Resident, *args: Any, **named: Any) -> NDArray[Any]:
        fetched.append(state)
        return fetch(state, *args, **named)

    monkeypatch.setattr(Resident, "__array__", noted)
    for alpha in (20.0, 0.25):  # motion taken away: the filter and its state change sign
        fetched.clear()
        for frame in frames:
            one, a = plain.step(frame.image, alpha, sections, a)
            other, b = bound.step(frame.image, alpha, sections, b)
            assert np.array_equal(one, other)
            assert isinstance(b, Resident)
        assert len(fetched) == (alpha < 1), "only the change of sign goes through the CPU"
    assert np.array_equal(a, np.asarray(b))
    assert b.shape == a.shape


def test_a_magnifier_passes_over_dropped_frames_on_any_device(frames: list[Frame]) -> None:
    kept = [frame for frame in frames if frame.index not in (6, 7)]
    shown = [
        [magnifier(frame).image for frame in kept]
        for magnifier in (
            Magnifier(engine(bound=bound), filter=Temporal(0.5, 3), fps=30.0)
            for bound in (False, True)
        )
    ]
    for one, other in zip(*shown, strict=True):
        assert np.array_equal(one, other)
