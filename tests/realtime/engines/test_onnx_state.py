"""States on a device: which row of what they are, and how they are put together there."""

from typing import Any

import numpy as np
import onnxruntime
import pytest

from rtmag.realtime.engines.batching import Gathering, Layout, gather
from rtmag.realtime.engines.onnx_state import Resident, joined, parted

LAYOUT = Layout("x", channels=2, stride=4, at_once=float("inf"))
ONE = np.array([[1, -1, 0, -1, 0]], np.float32)
TWO = np.repeat(ONE, 2, axis=0)


def value(rows: int, channels: int = 4, seed: int = 0) -> Any:
    """What a step left."""
    array = np.random.default_rng(seed).normal(size=(rows, channels, 4, 4)).astype(np.float32)
    return onnxruntime.OrtValue.ortvalue_from_numpy(array)


def batch(states: list[Any], alphas: list[float], sections: Any = ONE) -> Gathering:
    """Of streams that show nothing."""
    count = len(states)
    filters = sections if isinstance(sections, list) else [sections] * count
    return gather(LAYOUT, [np.zeros((16, 16, 3), np.uint8)] * count, alphas, filters, states)


def test_a_part_knows_its_place_width_and_sign() -> None:
    whole = Resident(value(3, channels=8))
    assert whole.shape == (3, 8, 4, 4)
    part = -whole.of(1, 4)
    assert part.shape == (1, 4, 4, 4)
    assert np.array_equal(np.asarray(part), -np.asarray(whole)[1:2, :4])
    assert np.array_equal(np.asarray(-part), np.asarray(whole)[1:2, :4])


def test_the_same_streams_in_the_same_places_cost_nothing() -> None:
    left = value(3)
    found = joined(batch([Resident(left, 1, k, 4) for k in range(3)], [20.0] * 3), "cpu")
    assert isinstance(found, Resident)
    assert found.value is left


@pytest.mark.parametrize("alphas", [[20.0] * 3, [0.5, 20.0, 20.0]])
@pytest.mark.parametrize("places", [[2, 0, 1], [0, 1, 2]])
def test_streams_that_change_places_or_turn_are_no_whole(
    places: list[int], alphas: list[float]
) -> None:
    left = value(3)
    made = batch([Resident(left, 1, row, 4) for row in places], alphas)
    assert np.array_equal(np.asarray(joined(made, "cpu")), made.memory())


@pytest.mark.parametrize("places", [[2, 0, 1], [0, 1], [1, 1, 1, 0]])
@pytest.mark.parametrize("alphas", [[20.0] * 4, [0.5, 2.0, 0.0, 3.0]])
def test_rows_are_picked_where_they_lie(
    places: list[int], alphas: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From two steps' leavings, the CPU's memory, and nothing; in any order, with either sign."""
    sources = value(3, seed=1), value(2, seed=2)
    broken = sources[1].numpy().copy()
    broken[0] = np.nan  # one stream's numbers are none; that is no other's fault
    sources = sources[0], onnxruntime.OrtValue.ortvalue_from_numpy(broken)
    with_cpu = np.full((1, 4, 4, 4), 7, np.float32)
    states = [Resident(sources[k % 2], (-1) ** k, row % 2, 4) for k, row in enumerate(places)]
    made = batch([*states, with_cpu, None], [*alphas[: len(places)], 0.5, 0.5])
    expected = made.memory()
    fetch = Resident.__array__
    monkeypatch.setattr(Resident, "__array__", lambda *_: pytest.fail("it was fetched"))
    found = joined(made, "cpu")
    monkeypatch.setattr(Resident, "__array__", fetch)
    assert isinstance(found, Resident)
    assert np.array_equal(np.asarray(found), expected, equal_nan=True)
    assert np.isfinite(expected[-2:]).all()
    assert (expected[-2] == -7).all()
    assert not expected[-1].any()


def test_filters_of_more_sections_than_before_go_through_the_cpu() -> None:
    short, long = Resident(value(1), 1, 0, 4), Resident(value(1, channels=8), 1, 0, 8)
    made = batch([short, long], [20.0, 20.0], [ONE, TWO])
    found = joined(made, "cpu")
    assert isinstance(found, np.ndarray)
    assert np.array_equal(found[0, :4], np.asarray(short)[0])
    assert not found[0, 4:].any()
    assert np.array_equal(found[1:], np.asarray(long))


def test_a_batch_is_parted_as_it_was_joined() -> None:
    made = batch([None, None], [0.5, 2.0], [ONE, TWO])
    after = value(2, channels=8)
    for whole in (Resident(after), after.numpy()):
        parts = parted(whole, made)
        assert [part.shape for part in parts] == [(1, 4, 4, 4), (1, 8, 4, 4)]
        assert np.array_equal(np.asarray(parts[0]), -after.numpy()[:1, :4])
        assert np.array_equal(np.asarray(parts[1]), after.numpy()[1:])
