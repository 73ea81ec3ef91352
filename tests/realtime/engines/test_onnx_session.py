"""ONNX Runtime sessions: a graph's properties, and a state that stays on the device."""

from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rtmag.realtime.engines.onnx_engine import OnnxEngine
from rtmag.realtime.engines.onnx_session import OrtSession
from rtmag.realtime.engines.onnx_state import DeviceState
from rtmag.realtime.filters import Temporal
from rtmag.realtime.frame import Frame
from rtmag.realtime.magnifier import Magnifier
from rtmag.realtime.models import read_model
from rtmag.realtime.sources.scene.scene import SceneSource

SIZE = (64, 48)


def engine(*, bound: bool, graphs: bool = False) -> OnnxEngine:
    """The shipped model on the CPU, which stands in for a device if it is bound."""
    model, motion, source = read_model("fast")
    open_session = partial(OrtSession, threads=1, device_state=bound, cuda_graphs=graphs)
    return OnnxEngine(model, motion, source=source, open_session=open_session)


@pytest.fixture
def frames() -> list[Frame]:
    with SceneSource(SIZE, frames=12) as scene:
        return list(scene)


def test_a_session_reports_inputs_outputs_and_metadata() -> None:
    session = OrtSession(read_model("fast")[0], "cpu")
    assert session.inputs["image"] == ("uint8", 3)
    full = {"image_out": ("uint8", 3), "state_out": ("float", 4), "flow": ("float", 4)}
    assert session.outputs == full
    assert session.metadata["rtmag.model"] == "fast"
    assert session.size is None


@pytest.mark.parametrize("graphs", [False, True])
def test_a_device_state_is_equal_and_is_not_copied_between_steps(
    frames: list[Frame], monkeypatch: pytest.MonkeyPatch, graphs: bool
) -> None:
    plain, bound = engine(bound=False), engine(bound=True, graphs=graphs)
    sections = Temporal(0.5, 3).sections(30.0)
    a: Any = None
    b: Any = None
    copied: list[DeviceState] = []
    to_array = DeviceState.__array__

    def record(state: DeviceState, *args: Any, **named: Any) -> NDArray[Any]:
        copied.append(state)
        return to_array(state, *args, **named)

    monkeypatch.setattr(DeviceState, "__array__", record)
    for alpha in (20.0, 0.25):  # below 1 the filter and its state are negated
        copied.clear()
        for frame in frames:
            one, a = plain.step(frame.image, alpha, sections, a)
            other, b = bound.step(frame.image, alpha, sections, b)
            assert np.array_equal(one, other)
            assert isinstance(b, DeviceState)
        assert len(copied) == (alpha < 1), "only a change of sign is copied through the CPU"
    assert np.array_equal(a, np.asarray(b))
    assert b.shape == a.shape


def test_a_magnifier_skips_dropped_frames_on_any_device(frames: list[Frame]) -> None:
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
