"""Monitor and Judge on known motion."""

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from rtmag.realtime.analysis.measurement import Peak, RegionMotion
from rtmag.realtime.analysis.monitor import KEPT, USUAL_WINDOW, Judge, Monitor, window_of
from rtmag.realtime.analysis.sinusoids import Sinusoid
from rtmag.realtime.frame import Frame
from rtmag.realtime.sources.scene.scene import SceneSource


@pytest.fixture(scope="module")
def scene() -> Iterator[tuple[SceneSource, list[Frame]]]:
    with SceneSource(fps=30.0, frames=150) as source:
        yield source, list(source)


def peak(hz: float, px: float = 0.1, deviation: float = 0.01) -> Peak:
    return Peak(hz, px, 0.01, deviation, Sinusoid(hz, 0.01, (px, 0), (deviation, 0), 0.0))


@pytest.mark.parametrize("number", [0, 1])
def test_samples_and_peak_match_the_true_motion(
    scene: tuple[SceneSource, list[Frame]], number: int
) -> None:
    source, frames = scene
    vibration = source.vibrations[number]
    monitor = Monitor(vibration.region, 10_000)
    for frame in frames:
        monitor.add(frame, frame.time)
    times, values = monitor.latest(1000)
    assert times.tolist() == [frame.time for frame in frames]
    along = values @ vibration.direction
    truth = np.array([vibration.shift(time) for time in times])
    assert np.std(along - truth) < 0.25 * vibration.amplitude
    largest = monitor.motion("it", None).peaks[0]
    assert largest.hz == pytest.approx(vibration.hz, abs=0.03)
    assert largest.px == pytest.approx(vibration.amplitude, rel=0.15)


def test_a_file_that_is_played_again_replaces_its_samples(
    scene: tuple[SceneSource, list[Frame]],
) -> None:
    source, frames = scene
    monitor = Monitor(source.vibrations[1].region, 1500)
    for frame in frames[:60]:
        monitor.add(frame, frame.time)
    once = monitor.motion("it", None)
    for frame in frames[:20]:
        monitor.add(frame, frame.time)
    again = monitor.motion("it", None)
    assert again.times.tolist() == once.times.tolist()
    np.testing.assert_allclose(again.displacement, once.displacement, atol=0.02)
    assert monitor.latest(3)[0].tolist() == [frame.time for frame in frames[17:20]]
    for frame in frames[50:70]:  # after a jump forward, what lies between is kept
        monitor.add(frame, frame.time)
    assert monitor.motion("it", None).times.tolist() == [frame.time for frame in frames[:70]]


def test_the_last_two_minutes_are_kept() -> None:
    image = np.random.default_rng(0).integers(0, 255, (16, 16, 3)).astype(np.uint8)
    monitor = Monitor(None, 1000)
    for index in range(400):
        monitor.add(Frame(image, index / 2, index), index / 2)
    times = monitor.motion("it", None).times
    assert (times[0], times[-1]) == (199.5 - KEPT, 199.5)
    assert monitor.motion("it", None, 30.0).times[0] == 169.5


def test_a_region_that_shows_something_else_is_measured_again_after_two_seconds() -> None:
    rng = np.random.default_rng(0)
    one, other = (rng.integers(0, 255, (48, 48, 3)).astype(np.uint8) for _ in range(2))
    monitor = Monitor(None, 10_000)
    for index in range(150):
        monitor.add(Frame(one if index < 30 else other, index / 30, index), index / 30)
    motion = monitor.motion("it", None)
    gaps = np.diff(motion.times)
    assert gaps.max() == pytest.approx(2.0, abs=0.2)
    assert np.abs(motion.displacement).max() < 0.01
    assert motion.times[-1] == 149 / 30


def test_a_slow_band_is_judged_over_six_of_its_periods() -> None:
    assert window_of(None) == window_of((5.0, 14.0)) == USUAL_WINDOW == 30.0
    assert window_of((0.1, 0.5)) == pytest.approx(60.0)
    assert window_of((0.01, 0.5)) == KEPT


@pytest.mark.parametrize(
    "shape",
    [
        lambda t: 1.0 * (t > 13.3),
        lambda t: 1 / (1 + np.exp(-(t - 14) / 0.3)),
        lambda t: 5 * (t / 30) ** 2,
        lambda t: 3 * np.exp(-t / 3),
        lambda t: 2 * np.exp(-(((t - 11) / 0.6) ** 2)),
        lambda t: 0.5 * np.sin(2 * np.pi * 0.04 * t),
    ],
    ids=["step", "soft step", "drift", "settling", "bump", "one slow period"],
)
def test_a_step_or_a_drift_is_no_peak(shape: object) -> None:
    times = np.arange(0, 30, 1 / 30)
    values = np.random.default_rng(0).normal(0, 0.01, (len(times), 2))
    values[:, 0] += shape(times)  # type: ignore[operator]
    motion = RegionMotion("it", (0, 0, 9, 9), times, values, np.full_like(values, 0.01))
    assert motion.peaks == []
    values[:, 1] += 0.05 * np.sin(2 * np.pi * 7 * times)
    (found,) = RegionMotion("it", (0, 0, 9, 9), times, values, np.full_like(values, 0.01)).peaks
    assert found.hz == pytest.approx(7, abs=0.01)


def shown(judge: Judge, rounds: Sequence[Sequence[Peak]]) -> list[tuple[float, bool] | None]:
    """Frequency of the reading after each judgement, and True if it is held."""
    readings = [judge.update(peaks) for peaks in rounds]
    return [(each.peak.hz, each.held) if each is not None else None for each in readings]


def test_a_faint_peak_is_shown_when_it_is_found_again() -> None:
    faint = peak(3.0, 0.05)
    assert shown(Judge(), [[faint], [], [faint], [peak(3.02, 0.05)]]) == [
        None, None, None, (3.02, False),
    ]  # fmt: skip
    assert shown(Judge(), [[peak(3.0, 0.2)]]) == [(3.0, False)]


def test_a_reading_does_not_alternate_with_none() -> None:
    clear = peak(3.0, 0.2)
    rounds = [[clear], [], [clear], [], [], [clear]]
    states = shown(Judge(), rounds)
    assert [state and state[0] for state in states] == [3.0] * 6
    assert [state and state[1] for state in states] == [False, True, False, True, True, False]
    assert shown(Judge(), [[clear], *([[]] * 6)])[-3:] == [(3.0, True), None, None]


def test_another_peak_replaces_the_reading_if_it_stays_larger() -> None:
    one, other, slightly = peak(3.0, 0.2), peak(8.0, 0.4), peak(8.0, 0.25)
    rounds = [[one], [other, one], [one], [other, one], [other, one]]
    assert [state and state[0] for state in shown(Judge(), rounds)] == [3, 3, 3, 3, 8]
    assert shown(Judge(), [[one], *([[slightly, one]] * 5)])[-1] == (3.0, False)
