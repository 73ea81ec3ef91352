"""MotionMeter on known motion."""

import time
from collections.abc import Iterator

import numpy as np
import pytest

from rtmag.realtime.analysis.motion import MotionMeter
from rtmag.realtime.frame import Frame
from rtmag.realtime.sources.scene.scene import SceneSource


@pytest.fixture(scope="module")
def scene() -> Iterator[tuple[SceneSource, list[Frame]]]:
    with SceneSource(fps=30.0, frames=200) as source:
        yield source, list(source)


@pytest.mark.parametrize("number", [0, 1])
def test_waveform_and_peak_match_the_true_motion(
    scene: tuple[SceneSource, list[Frame]], number: int
) -> None:
    source, frames = scene
    vibration = source.vibrations[number]
    meter = MotionMeter()
    for frame in frames:
        meter.add(frame, vibration.region)
    path = meter.waveform()
    truth = np.array([vibration.shift(frame.time) for frame in frames])
    along = path[:, 1:] @ vibration.direction
    assert np.std(along - truth) < 0.25 * vibration.amplitude
    peak = meter.peak(*meter.spectrum())
    assert peak is not None
    assert peak[0] == pytest.approx(vibration.hz, abs=0.03)
    assert peak[1] == pytest.approx(vibration.amplitude, rel=0.1)


def test_missing_frames_do_not_move_the_peak(scene: tuple[SceneSource, list[Frame]]) -> None:
    source, frames = scene
    vibration = source.vibrations[1]
    meter = MotionMeter()
    rng = np.random.default_rng(0)
    for frame in frames:
        if rng.random() > 0.2:
            meter.add(frame, vibration.region)
    peak = meter.peak(*meter.spectrum())
    assert peak is not None
    assert peak[0] == pytest.approx(vibration.hz, abs=0.05)


def test_a_still_region_has_no_peak(scene: tuple[SceneSource, list[Frame]]) -> None:
    source, frames = scene
    meter = MotionMeter()
    for frame in frames:
        meter.add(frame, (280, 240, 64, 64))
    assert source.still[240:304, 280:344].all()
    assert meter.data()["peak"] is None
    assert np.abs(meter.waveform()[:, 1:]).max() < 0.1


def test_measurement_restarts_at_another_region_and_after_a_gap(
    scene: tuple[SceneSource, list[Frame]],
) -> None:
    _, frames = scene
    meter = MotionMeter()
    for frame in frames[:10]:
        meter.add(frame, None)
    meter.add(frames[9], None)  # repeated, as in a pause
    assert len(meter.waveform()) == 10
    meter.add(frames[10], (0, 0, 64, 64))
    assert len(meter.waveform()) == 1
    meter.add(frames[60], (0, 0, 64, 64))
    assert len(meter.waveform()) == 1
    data = meter.data()
    assert (data["px"], data["peak"]) == ([], None)
    assert MotionMeter().data()["t"] == []


@pytest.mark.alone
@pytest.mark.parametrize("size", [(640, 480), (1920, 1080), (17, 33)])
def test_a_frame_takes_under_three_milliseconds_at_any_size(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (size[1], size[0], 3)).astype(np.uint8)
    meter, times = MotionMeter(), []
    for index in range(30):
        start = time.thread_time()
        meter.add(Frame(image, index / 30, index), None)
        times.append(time.thread_time() - start)
    assert np.median(times) < 3e-3


def test_drift_is_not_a_peak() -> None:
    meter, rng = MotionMeter(), np.random.default_rng(0)
    for t in np.arange(0, 10, 1 / 30):
        drift = 0.5 * np.sin(2 * np.pi * 0.11 * t)
        vibration = 0.03 * np.sin(2 * np.pi * 5 * t)
        noise = rng.normal(0, 0.01, 2)
        meter._samples.append((t, drift + noise[0], vibration + noise[1]))
    hz, px = meter.spectrum()
    assert hz[px.argmax()] < 1
    peak = meter.peak(hz, px)
    assert peak is not None
    assert peak[0] == pytest.approx(5.0, abs=0.05)
    assert peak[1] == pytest.approx(0.03, rel=0.2)
