"""Clock of streams and clock of files."""

from fractions import Fraction

import numpy as np
import pytest

from rtmag.realtime.media.timestamps import (
    FileClock,
    StreamClock,
    duration,
    even_rate,
    measure_steps,
)


def read(clock: StreamClock, stamps: np.ndarray, arrivals: np.ndarray) -> np.ndarray:
    return np.array([clock.read(s, a) for s, a in zip(stamps, arrivals, strict=True)])


def jittered(count: int, seed: int = 0) -> np.ndarray:
    """Arrivals of 30 frames per second, 12 ms late on average, in order."""
    due = np.arange(count) / 30
    return np.maximum.accumulate(1000 + due + np.random.default_rng(seed).exponential(0.012, count))


def test_jitter_of_the_network_does_not_reach_the_filter() -> None:
    arrivals = jittered(600)
    times = read(StreamClock(), np.arange(600) / 30, arrivals)
    assert np.diff(arrivals)[30:].std() > 0.01
    assert np.diff(times)[60:].std() < 0.001
    assert (times <= arrivals).all()
    assert np.median(arrivals - times) < 0.03


def test_a_sine_is_measured_more_accurately_than_with_arrivals() -> None:
    """A 5 Hz motion, sampled at the times that the filter gets."""
    true = np.arange(600) / 30
    arrivals = jittered(600)
    times = read(StreamClock(), true, arrivals)
    signal = np.sin(2 * np.pi * 5 * true)

    def residue(at: np.ndarray) -> float:
        at, seen = at[60:], signal[60:]
        basis = np.stack([np.sin(2 * np.pi * 5 * at), np.cos(2 * np.pi * 5 * at)], 1)
        return float(np.std(seen - basis @ np.linalg.lstsq(basis, seen, rcond=None)[0]))

    assert residue(times) < 0.2 * residue(arrivals)


@pytest.mark.parametrize("drift", [1.0003, 0.9997])
def test_clocks_may_drift(drift: float) -> None:
    arrivals = 1000 + np.arange(9000) / 30 * drift
    times = read(StreamClock(), np.arange(9000) / 30, arrivals)
    assert np.abs(arrivals - times).max() < 0.05


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_a_discontinuity_begins_a_new_epoch_without_a_step_in_time(jump: float) -> None:
    stamps = np.arange(200) / 30 + 5000
    stamps[100:] += jump
    clock = StreamClock()
    times = read(clock, stamps, 1000 + np.arange(200) / 30)
    assert clock.epoch == 1
    assert np.diff(times) == pytest.approx(1 / 30, abs=1e-3)


@pytest.mark.parametrize("stamps", ["missing", "repeated", "backwards", "too fast", "too slow"])
def test_invalid_timestamps_are_ignored(stamps: str) -> None:
    count = np.arange(300) / 30
    wrong = {
        "missing": [None] * 300,
        "repeated": np.zeros(300),
        "backwards": -count,
        "too fast": count * 0.5,
        "too slow": count * 2,
    }[stamps]
    arrivals = 1000 + count
    times = read(StreamClock(), wrong, arrivals)  # type: ignore[arg-type]
    assert (np.diff(times) > 0).all()
    assert np.abs(times - arrivals)[200:].max() < 0.1


@pytest.mark.parametrize("error", [0.1, 0.24, 0.9, 1.5, -0.24, -0.9, -1.5])
def test_one_damaged_timestamp_has_no_lasting_effect(error: float) -> None:
    """A timestamp in the future must not make later frames count as late."""
    stamps, arrivals = np.arange(300) / 30, jittered(300)
    stamps[150] += error
    times = read(StreamClock(), stamps, arrivals)
    late = arrivals - times
    assert late.min() > -1e-9
    assert np.median(late[155:185]) < np.median(late[60:150]) + 0.01
    assert np.diff(times)[155:].std() < 0.002


def test_many_damaged_timestamps_do_not_add_up() -> None:
    rng = np.random.default_rng(0)
    stamps, arrivals = np.arange(3000) / 30, jittered(3000)
    wrong = rng.random(3000) < 0.05
    stamps[wrong] += rng.uniform(-0.5, 0.5, wrong.sum())
    late = arrivals - read(StreamClock(), stamps, arrivals)
    assert np.median(late) < 0.05
    assert np.percentile(late, 90) < 0.1


def test_a_burst_after_a_hold_up_sets_the_delay() -> None:
    """As at the start, when a server sends seconds of buffered data in a burst."""
    stamps = np.arange(200) / 30
    arrivals = 1000 + np.maximum(stamps, 2.0)
    late = arrivals - read(StreamClock(), stamps, arrivals)
    assert late[63:].max() < 0.02


def test_equal_arrivals_still_increase() -> None:
    times = read(StreamClock(stamped=False), np.zeros(9), np.full(9, 1000.0))
    assert (np.diff(times) > 0).all()


def test_an_early_frame_waits_until_it_is_due() -> None:
    clock = StreamClock()
    clock.read(10.0, 1000.0)
    assert clock.early_by(10.5, 1000.1) == pytest.approx(0.4)
    assert clock.early_by(10.5, 1000.6) == 0
    assert clock.early_by(4000.0, 1000.1) == 0
    assert clock.early_by(None, 1000.1) == 0


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([0.5, 1.0, 1.5], [0.5, 1.0, 1.5]),
        ([None, None, 3.0], [0.0, 0.1, 3.0]),
        ([1.0, 1.0, 1.1], [1.0, 1.05, 1.1]),
        ([100.0, 1.0, 1.1], [100.0, 100.1, 100.2]),
        ([1.0, 3601.0, 3601.1], [1.0, 3601.0, 3601.1]),
    ],
    ids=["good", "missing", "repeated", "back", "ahead"],
)
def test_file_clock(given: list[float | None], expected: list[float]) -> None:
    clock = FileClock(0.1)
    assert [clock.read(time) for time in given] == pytest.approx(expected)


@pytest.mark.parametrize(("to", "jumps"), [(2.0, 0), (36_000.0, 0), (108_000.0, 1), (-100.0, 1)])
def test_jumps_of_a_file_clock_are_counted(to: float, jumps: int) -> None:
    clock = FileClock(0.1)
    for time in (0.0, 1.0, to, to + 0.1):
        clock.read(time)
    assert clock.jumps == jumps


@pytest.mark.parametrize(
    ("ticks", "step"),
    [
        ([0, 33, 67, 100, 133, 167, 200], 100 / 3),
        ([0, 2, 1, 4, 3], 1.0),
        ([0, 40, 80, 5000, 5040], 40.0),
        ([0, 10, 1010], 505.0),
        ([7, 7, 7], 0.0),
        ([5], 0.0),
        ([], 0.0),
    ],
    ids=["rounded", "reordered", "gap", "two", "repeated", "one", "none"],
)
def test_usual_step(ticks: list[int], step: float) -> None:
    assert measure_steps(np.array(ticks, np.int64), Fraction(1, 1000))[0] == pytest.approx(step)


def ticks_of(steps: list[int], count: int) -> np.ndarray:
    return np.cumsum([0, *np.resize(steps, count - 1)])


@pytest.mark.parametrize(
    ("steps", "time_base", "fps"),
    [
        ([2, 3], 600, 240),
        ([300, 450], 90_000, 240),
        ([300, 450, 300, 450, 450, 300], 90_000, 240),
        ([4500, 3000], 90_000, 24),
        ([1800, 4203], 90_000, 30),
        ([2, 1, 2], 1000, 600),
        ([1, 1, 1, 1, 2], 1000, 833),
        ([1, 1, 1, 2], 30, 30),
        ([3000, 3000, 3000, 6000], 90_000, 30),
        ([1, 2, 1, 1, 3], 60, 60),
    ],
)
def test_the_rate_of_a_file(steps: list[int], time_base: int, fps: float) -> None:
    """Steps that a clock rounds, that alternate, or between which frames are missing."""
    usual, fastest = measure_steps(ticks_of(steps, 301), Fraction(1, time_base))
    assert time_base / usual == pytest.approx(fps, rel=0.01)
    assert fastest == usual


@pytest.mark.parametrize("counts", [(300, 100), (100, 300)])
def test_a_file_of_two_rates_has_that_of_most_frames_and_the_fastest(
    counts: tuple[int, int],
) -> None:
    slow, fast = counts
    ticks = np.cumsum([0, *[3000] * slow, *[375] * fast, *[3000] * slow])
    usual, fastest = measure_steps(ticks, Fraction(1, 90_000))
    assert 90_000 / usual == pytest.approx(30 if slow > fast else 240)
    assert 90_000 / fastest == pytest.approx(240)


def test_duration_leaves_out_a_clock_that_wrapped_around() -> None:
    ticks = np.array([0, 1000, 2000, 95_000_000, 95_001_000], np.int64)
    assert duration(ticks, Fraction(1, 1000)) == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("ticks", "fps", "rate"),
    [
        (range(0, 30_000, 1000), 30.0, 30.0),
        ([round(1000 * index / 30) * 30 for index in range(9000)], 29.9, 30.0),
        ([*range(0, 10_000, 1000), *range(20_000, 30_000, 1000)], 30.0, 30.0),
        ([*range(0, 10_000, 1000), 10_100, *range(11_000, 30_000, 1000)], 30.0, 30.0),
        ([0, 14_400, 15_600, 30_000, 44_400], 2.1, 16.8),
        ([*range(0, 100_000, 1000), *range(100_000, 110_000, 125)], 30.0, 240.0),
        ([*range(0, 100, 100), *range(4_000_000_000, 4_000_000_200, 100)], 300.0, 300.0),
    ],
    ids=["even", "rounded", "gap", "close", "slow", "faster", "jump"],
)
def test_rate_of_a_file_without_times(ticks: list[int], fps: float, rate: float) -> None:
    assert even_rate(np.array(ticks), Fraction(1, 30_000), fps) == pytest.approx(rate, rel=1e-3)
