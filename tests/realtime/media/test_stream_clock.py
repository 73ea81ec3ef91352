"""Timestamps of streams on our own clock: even where the network trembles, true where they lie."""

import numpy as np
import pytest

from rtmag.realtime.media.timestamps import RateMeter, StreamClock


def read(clock: StreamClock, stamps: np.ndarray, arrivals: np.ndarray) -> np.ndarray:
    return np.array([clock.read(s, a) for s, a in zip(stamps, arrivals, strict=True)])


def trembling(count: int, seed: int = 0) -> np.ndarray:
    """Arrivals of 30 frames a second, held up by 12 ms on average, never overtaking."""
    due = np.arange(count) / 30
    return np.maximum.accumulate(1000 + due + np.random.default_rng(seed).exponential(0.012, count))


def test_jitter_of_the_network_does_not_reach_the_filter() -> None:
    arrivals = trembling(600)
    times = read(StreamClock(), np.arange(600) / 30, arrivals)
    assert np.diff(arrivals)[30:].std() > 0.01
    assert np.diff(times)[60:].std() < 0.001
    assert (times <= arrivals).all()
    assert np.median(arrivals - times) < 0.03


def test_a_sine_is_measured_truer_than_with_arrivals() -> None:
    """The reason for all this: a 5 Hz motion, seen at the times that the filter is given."""
    true = np.arange(600) / 30
    arrivals = trembling(600)
    times = read(StreamClock(), true, arrivals)
    signal = np.sin(2 * np.pi * 5 * true)

    def residue(at: np.ndarray) -> float:
        at, seen = at[60:], signal[60:]
        basis = np.stack([np.sin(2 * np.pi * 5 * at), np.cos(2 * np.pi * 5 * at)], 1)
        return float(np.std(seen - basis @ np.linalg.lstsq(basis, seen, rcond=None)[0]))

    assert residue(times) < 0.2 * residue(arrivals)


@pytest.mark.parametrize("drift", [1.0003, 0.9997])
def test_clocks_may_run_apart(drift: float) -> None:
    arrivals = 1000 + np.arange(9000) / 30 * drift
    times = read(StreamClock(), np.arange(9000) / 30, arrivals)
    assert np.abs(arrivals - times).max() < 0.05


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_a_leap_begins_a_new_epoch_without_a_step_in_time(jump: float) -> None:
    stamps = np.arange(200) / 30 + 5000
    stamps[100:] += jump
    clock = StreamClock()
    times = read(clock, stamps, 1000 + np.arange(200) / 30)
    assert clock.epoch == 1
    assert np.diff(times) == pytest.approx(1 / 30, abs=1e-3)


@pytest.mark.parametrize("stamps", ["missing", "repeated", "backwards", "too fast", "too slow"])
def test_stamps_that_make_no_sense_are_given_up(stamps: str) -> None:
    count = np.arange(300) / 30
    lies = {
        "missing": [None] * 300,
        "repeated": np.zeros(300),
        "backwards": -count,
        "too fast": count * 0.5,
        "too slow": count * 2,
    }[stamps]
    arrivals = 1000 + count
    times = read(StreamClock(), lies, arrivals)  # type: ignore[arg-type]
    assert (np.diff(times) > 0).all()
    assert np.abs(times - arrivals)[200:].max() < 0.1


@pytest.mark.parametrize("lie", [0.1, 0.24, 0.9, 1.5, -0.24, -0.9, -1.5])
def test_a_damaged_stamp_is_forgotten_at_once(lie: float) -> None:
    """One that lay ahead used to make all that followed look late for minutes."""
    stamps, arrivals = np.arange(300) / 30, trembling(300)
    stamps[150] += lie
    times = read(StreamClock(), stamps, arrivals)
    late = arrivals - times
    assert late.min() > -1e-9
    assert np.median(late[155:185]) < np.median(late[60:150]) + 0.01
    assert np.diff(times)[155:].std() < 0.002


def test_many_damaged_stamps_do_not_add_up() -> None:
    rng = np.random.default_rng(0)
    stamps, arrivals = np.arange(3000) / 30, trembling(3000)
    wrong = rng.random(3000) < 0.05
    stamps[wrong] += rng.uniform(-0.5, 0.5, wrong.sum())
    late = arrivals - read(StreamClock(), stamps, arrivals)
    assert np.median(late) < 0.05
    assert np.percentile(late, 90) < 0.1


def test_a_burst_after_a_hold_up_is_believed() -> None:
    """As at the start, when a server sends what it has kept: seconds, within a moment."""
    stamps = np.arange(200) / 30
    arrivals = 1000 + np.maximum(stamps, 2.0)
    late = arrivals - read(StreamClock(), stamps, arrivals)
    assert late[63:].max() < 0.02


def test_equal_arrivals_still_increase() -> None:
    times = read(StreamClock(stamped=False), np.zeros(9), np.full(9, 1000.0))
    assert (np.diff(times) > 0).all()


def test_a_stream_that_comes_early_waits_for_its_time() -> None:
    clock = StreamClock()
    clock.read(10.0, 1000.0)
    assert clock.early_by(10.5, 1000.1) == pytest.approx(0.4)
    assert clock.early_by(10.5, 1000.6) == 0
    assert clock.early_by(4000.0, 1000.1) == 0
    assert clock.early_by(None, 1000.1) == 0


def test_a_rate_is_told_when_enough_came() -> None:
    rate = RateMeter()
    for index in range(10):
        rate.add(index / 25)
    assert rate.fps is None
    for index in range(10, 40):
        rate.add(index / 25)
    assert rate.fps == pytest.approx(25)
