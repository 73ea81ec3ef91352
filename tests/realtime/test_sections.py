"""The operations on second-order sections, against the recurrence in double precision."""

import numpy as np
import pytest

from rtmag.realtime.filters import Dynamic, Filter, Static, Temporal
from rtmag.realtime.sections import (
    Sections,
    State,
    advance,
    negated,
    padded,
)
from tests.realtime.test_filters import Signal, filtered, reset, step


@pytest.fixture
def signal() -> Signal:
    return 5 + np.random.default_rng(0).standard_normal(400)


@pytest.mark.parametrize("filter", [Static(0.2), Dynamic(), Temporal(1, 4, 2)], ids=str)
def test_negated_sections_give_the_opposite_and_padded_ones_the_same(
    filter: Filter, signal: Signal
) -> None:
    sections = filter.sections(30)
    expected = filtered(sections, signal)
    assert filtered(negated(sections), signal) == pytest.approx(-expected)
    assert padded(sections, 3).shape == (3, 5)
    assert filtered(padded(sections, 3), signal) == pytest.approx(expected)


def states(sections: Sections, signal: Signal, elements: int = 3) -> list[State]:
    """The state after every frame, for elements that are multiples of the signal."""
    exact, result = sections.astype(np.float64), []
    memories = [reset(sections, signal[0] * (e + 1)) for e in range(elements)]
    for number, s in enumerate(signal):
        for e, memory in enumerate(memories):
            if number:
                step(exact, memory, s * (e + 1))
        state = np.stack([memory.ravel() for memory in memories], axis=1)
        result.append(state.reshape(1, -1, 1, 1).astype(np.float32))
    return result


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("frames", [1, 2, 7])
def test_held_frames_equal_stepping_with_the_last_frame(
    order: int, frames: int, signal: Signal
) -> None:
    filter = Temporal(1, 4, order)
    rows = filter.coefficients(30)
    seen = np.concatenate([signal[:20], np.full(frames, signal[19])])
    result = states(filter.sections(30), seen)
    advanced = advance(result[18], result[19], rows, [rows] * (frames + 1))
    assert advanced.dtype == np.float32
    assert advanced == pytest.approx(result[-1], abs=1e-4)


@pytest.mark.parametrize("order", [1, 2])
def test_held_frames_right_after_a_reset_change_nothing(order: int, signal: Signal) -> None:
    filter = Temporal(1, 4, order)
    rows = filter.coefficients(30)
    first = states(filter.sections(30), signal[:1])[0]
    assert advance(first, first, rows, [rows] * 4) == pytest.approx(first, abs=1e-6)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("new", [Temporal(1, 4), Temporal(5, 7)], ids=str)
def test_a_constant_remains_one_when_coefficients_change(order: int, new: Temporal) -> None:
    old, new = Temporal(1, 4, order), Temporal(new.fl, new.fh, order)
    seen = states(old.sections(30), np.full(50, 7.0))
    state = advance(seen[-2], seen[-1], old.coefficients(30), [new.coefficients(24)])
    assert state == pytest.approx(states(new.sections(24), np.full(50, 7.0))[-1], abs=1e-5)


@pytest.mark.parametrize("order", [1, 2])
def test_equal_coefficients_keep_the_state(order: int, signal: Signal) -> None:
    filter = Temporal(1, 4, order)
    rows, seen = filter.coefficients(30), states(filter.sections(30), signal[:20])
    same = advance(seen[18], seen[19], rows, [rows])
    assert same == pytest.approx(seen[19], abs=1e-5)
