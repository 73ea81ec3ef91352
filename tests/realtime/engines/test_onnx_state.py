"""States in device memory: rows of a batch, and batches made of them."""

from typing import Any

import numpy as np
import onnxruntime
import pytest

from rtmag.realtime.engines.batching import StreamBatch, collate
from rtmag.realtime.engines.contract import GraphLayout
from rtmag.realtime.engines.onnx_state import DeviceState, concat_states

LAYOUT = GraphLayout("x", channels=2, stride=4, streams_per_run=float("inf"))
ONE = np.array([[1, -1, 0, -1, 0]], np.float32)
TWO = np.repeat(ONE, 2, axis=0)


def value(rows: int, channels: int = 4, seed: int = 0) -> Any:
    """The output state of a step."""
    array = np.random.default_rng(seed).normal(size=(rows, channels, 4, 4)).astype(np.float32)
    return onnxruntime.OrtValue.ortvalue_from_numpy(array)


def batch(states: list[Any], alphas: list[float], sections: Any = ONE) -> StreamBatch:
    """A batch of streams with black images."""
    count = len(states)
    filters = sections if isinstance(sections, list) else [sections] * count
    return collate(LAYOUT, [np.zeros((16, 16, 3), np.uint8)] * count, alphas, filters, states)


def test_a_part_has_a_row_channels_and_a_sign() -> None:
    whole = DeviceState(value(3, channels=8))
    assert whole.shape == (3, 8, 4, 4)
    part = -whole[1:2, :4]
    assert part.shape == (1, 4, 4, 4)
    assert np.array_equal(np.asarray(part), -np.asarray(whole)[1:2, :4])
    assert np.array_equal(np.asarray(-part), np.asarray(whole)[1:2, :4])


def test_the_same_streams_in_the_same_places_are_reused_without_a_copy() -> None:
    output = value(3)
    result = concat_states(
        batch([DeviceState(output, 1, k, 4) for k in range(3)], [20.0] * 3), "cpu"
    )
    assert isinstance(result, DeviceState)
    assert result.value is output


@pytest.mark.parametrize("alphas", [[20.0] * 3, [0.5, 20.0, 20.0]])
@pytest.mark.parametrize("places", [[2, 0, 1], [0, 1, 2]])
def test_streams_that_move_or_change_sign_are_gathered(
    places: list[int], alphas: list[float]
) -> None:
    output = value(3)
    made = batch([DeviceState(output, 1, row, 4) for row in places], alphas)
    assert np.array_equal(np.asarray(concat_states(made, "cpu")), made.state())


@pytest.mark.parametrize("places", [[2, 0, 1], [0, 1], [1, 1, 1, 0]])
@pytest.mark.parametrize("alphas", [[20.0] * 4, [0.5, 2.0, 0.0, 3.0]])
def test_rows_are_gathered_on_the_device(
    places: list[int], alphas: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sources are two steps' outputs, an array, and none; in any order, with either sign."""
    sources = value(3, seed=1), value(2, seed=2)
    broken = sources[1].numpy().copy()
    broken[0] = np.nan  # NaN of one stream must not reach another
    sources = sources[0], onnxruntime.OrtValue.ortvalue_from_numpy(broken)
    array = np.full((1, 4, 4, 4), 7, np.float32)
    states = [DeviceState(sources[k % 2], (-1) ** k, row % 2, 4) for k, row in enumerate(places)]
    made = batch([*states, array, None], [*alphas[: len(places)], 0.5, 0.5])
    expected = made.state()
    to_array = DeviceState.__array__
    monkeypatch.setattr(DeviceState, "__array__", lambda *_: pytest.fail("copied to the CPU"))
    result = concat_states(made, "cpu")
    monkeypatch.setattr(DeviceState, "__array__", to_array)
    assert isinstance(result, DeviceState)
    assert np.array_equal(np.asarray(result), expected, equal_nan=True)
    assert np.isfinite(expected[-2:]).all()
    assert (expected[-2] == -7).all()
    assert not expected[-1].any()


def test_states_are_copied_through_the_cpu_when_the_number_of_sections_grows() -> None:
    short, long = DeviceState(value(1), 1, 0, 4), DeviceState(value(1, channels=8), 1, 0, 8)
    made = batch([short, long], [20.0, 20.0], [ONE, TWO])
    result = concat_states(made, "cpu")
    assert isinstance(result, np.ndarray)
    assert np.array_equal(result[0, :4], np.asarray(short)[0])
    assert not result[0, 4:].any()
    assert np.array_equal(result[1:], np.asarray(long))


def test_split_returns_the_state_of_each_stream() -> None:
    made = batch([None, None], [0.5, 2.0], [ONE, TWO])
    after = value(2, channels=8)
    for whole in (DeviceState(after), after.numpy()):
        parts = made.split(whole)
        assert [part.shape for part in parts] == [(1, 4, 4, 4), (1, 8, 4, 4)]
        assert np.array_equal(np.asarray(parts[0]), -after.numpy()[:1, :4])
        assert np.array_equal(np.asarray(parts[1]), after.numpy()[1:])
