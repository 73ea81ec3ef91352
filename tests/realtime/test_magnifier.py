"""The magnifier with an engine whose shape is the picture, so that filters can be measured."""

import math
from collections.abc import Iterable
from itertools import repeat

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt, sosfilt_zi

from rtmag.realtime.engines.engine import Engine
from rtmag.realtime.engines.loading import load_engine
from rtmag.realtime.errors import OptionError
from rtmag.realtime.filters import Dynamic, Filter, Static, Temporal
from rtmag.realtime.frame import Frame, Image
from rtmag.realtime.magnifier import FADE, Magnifier
from rtmag.realtime.sections import Sections, State
from tests.support.fakes import FakeEngine
from tests.support.scenes import BLACK, filmed, shifted, sway, texture

Signal = NDArray[np.float64]

SIZE = (4, 2)
FILTERS: list[Filter] = [
    Static(), Static(drift=0.3), Dynamic(), Temporal(0.8, 3), Temporal(0.8, 3, order=2),
]  # fmt: skip


class NumpyEngine(FakeEngine):
    """Engine that filters every pixel and keeps its arguments and results."""

    def __init__(self) -> None:
        super().__init__()
        self.alphas: list[float] = []
        self.resets: list[bool] = []
        self.sections: list[Sections] = []
        self.y: list[float] = []
        """Filtered values of the first pixel."""

    def step(
        self, image: Image, alpha: float, sections: Sections, state: State | None
    ) -> tuple[Image, State]:
        s = image.transpose(2, 0, 1).astype(np.float32)  # (3, H, W)
        memory = np.zeros((len(sections), 2, *s.shape), np.float32)
        b0, _, b2 = sections[0, :3]
        y = np.zeros_like(s)
        if state is None:
            memory[0] = -b0 * s, b2 * s
        else:
            memory[:] = state.reshape(memory.shape)
            y = s
            for (b0, b1, b2, a1, a2), z in zip(sections, memory, strict=True):
                x, y = y, b0 * y + z[0]
                z[:] = b1 * x - a1 * y + z[1], b2 * x - a2 * y
        self.alphas.append(alpha)
        self.resets.append(state is None)
        self.sections.append(sections)
        self.y.append(float(y[0, 0, 0]))
        out = np.clip(np.rint(s + (alpha - 1) * y), 0, 255).astype(np.uint8)
        return out.transpose(1, 2, 0), memory.reshape(1, -1, *s.shape[1:])


def frame(
    level: float, time: float, size: tuple[int, int] = SIZE, index: int | None = None
) -> Frame:
    image = np.full((size[1], size[0], 3), round(level), np.uint8)
    return Frame(image, time, round(time * 1000) if index is None else index)


def levels(hz: float, times: Signal, amplitude: float = 100.0) -> Signal:
    return np.rint(128 + amplitude * np.sin(2 * np.pi * hz * times))


def play(
    magnifier: Magnifier,
    values: Signal,
    times: Signal,
    indices: Iterable[int | None] = repeat(None),
) -> Signal:
    """Magnify frames of these levels; return the filtered levels, NaN for unmagnified frames."""
    engine = magnifier.engine
    assert isinstance(engine, NumpyEngine)
    found = []
    for value, time, index in zip(values, times, indices, strict=False):
        steps = len(engine.y)
        magnifier(frame(value, time, index=index))
        found.append(engine.y[-1] if len(engine.y) > steps else math.nan)
    return np.array(found)


def official(filter: Filter, fps: float, values: Signal) -> Signal:
    if isinstance(filter, Temporal):
        band = [filter.fl, filter.fh]
        sos = butter(filter.order, band, "bandpass", fs=fps, output="sos")
    elif isinstance(filter, Static):
        keep = math.exp(-2 * math.pi * (filter.drift or 0) / fps)
        sos = np.array([[1, -1, 0, 1, -keep, 0]])
        if filter.drift is None:
            # With a pole on the unit circle, scipy finds no steady state.
            return np.asarray(values - values[0])
    else:
        sos = np.array([[1, -1, 0, 1, 0, 0.0]])
    return np.asarray(sosfilt(sos, values, zi=sosfilt_zi(sos) * values[0])[0])


def tone(signal: Signal, hz: float, times: Signal) -> float:
    """Amplitude of one frequency, by least squares."""
    waves = np.stack([f(2 * np.pi * hz * times) for f in (np.sin, np.cos, np.ones_like)], axis=1)
    return float(np.hypot(*np.linalg.lstsq(waves, signal, rcond=None)[0][:2]))


@pytest.fixture
def engine() -> NumpyEngine:
    return NumpyEngine()


# ---- filters ---------------------------------------------------------------------------------


@pytest.mark.parametrize("filter", FILTERS, ids=str)
@pytest.mark.parametrize("fps", [25.0, 30.0, 120.0])
def test_the_magnifier_filters_like_scipy(filter: Filter, fps: float, engine: NumpyEngine) -> None:
    times = np.arange(150) / fps
    values = np.random.default_rng(0).integers(0, 256, 150).astype(float)
    found = play(Magnifier(engine, filter=filter, fps=fps), values, times)
    assert found == pytest.approx(official(filter, fps, values), abs=0.02)


@pytest.mark.parametrize("filter", FILTERS, ids=str)
def test_a_still_scene_is_unchanged(filter: Filter, engine: NumpyEngine) -> None:
    magnifier = Magnifier(engine, alpha=50, filter=filter)
    for number in range(60):
        shown = magnifier(frame(77, number / 30))
        assert (shown.image == 77).all()
        assert (shown.time, shown.size) == (number / 30, SIZE)


def test_static_is_the_default(engine: NumpyEngine) -> None:
    magnifier = Magnifier(engine)
    assert (magnifier.alpha, magnifier.filter, magnifier.fps) == (20, Static(), None)


# ---- alpha -----------------------------------------------------------------------------------


def test_alpha_may_change_at_any_time(engine: NumpyEngine) -> None:
    magnifier = Magnifier(engine, alpha=3)
    shown = [int(magnifier(frame(100, 0.0)).image[0, 0, 0])]
    for number, alpha in enumerate([3, 5, 1, 0, 0.5], 1):
        magnifier.alpha = alpha
        shown.append(int(magnifier(frame(104, number / 30)).image[0, 0, 0]))
    assert shown == [100, 112, 120, 104, 100, 102]
    assert engine.resets == [True] + 5 * [False]


@pytest.mark.parametrize("alpha", [math.nan, math.inf, -math.inf])
def test_an_alpha_that_is_not_finite_is_refused(alpha: float, engine: NumpyEngine) -> None:
    with pytest.raises(OptionError, match="alpha must be a finite number"):
        Magnifier(engine, alpha=alpha)
    magnifier = Magnifier(engine, alpha=4)
    with pytest.raises(OptionError, match="alpha must be a finite number"):
        magnifier.alpha = alpha
    assert magnifier.alpha == 4


@pytest.mark.parametrize(("alpha", "used"), [(1e9, 1000), (-1e308, -1000), (-3, -3), (1000, 1000)])
def test_an_alpha_that_is_too_large_is_reduced(
    alpha: float, used: float, engine: NumpyEngine, caplog: pytest.LogCaptureFixture
) -> None:
    assert Magnifier(engine, alpha=alpha).alpha == used
    assert ("more than the models support" in caplog.text) is (alpha != used)


# ---- resets of the state ---------------------------------------------------------------------


def test_reset_takes_a_new_reference_without_fading(engine: NumpyEngine) -> None:
    magnifier = Magnifier(engine, alpha=9)
    play(magnifier, np.array([10.0, 20]), np.array([0, 1 / 30]))
    magnifier.reset()
    assert magnifier.fps is None
    found = play(magnifier, np.array([50.0, 53]), np.array([9, 9 + 1 / 30]))
    assert found.tolist() == [0, 3]
    assert engine.alphas == [9, 9, 9, 9]


def test_only_another_mode_resets_the_state(engine: NumpyEngine) -> None:
    magnifier = Magnifier(engine, fps=30)
    asked: list[Filter] = [
        Static(), Dynamic(), Dynamic(), Temporal(1, 2), Temporal(1, 3), Temporal(1, 3, order=2),
        Static(drift=1), Static(drift=2), Static(),
    ]  # fmt: skip
    for number, filter in enumerate(asked):
        magnifier.filter = filter
        magnifier(frame(100, number / 30))
    fresh = [True, True, False, True, False, True, True, True, True]
    assert engine.resets == fresh
    assert [len(sections) for sections in engine.sections] == [1, 1, 1, 1, 1, 2, 1, 1, 1]


def test_another_size_resets_the_state(engine: NumpyEngine) -> None:
    magnifier = Magnifier(engine)
    sizes = [(4, 2), (4, 2), (6, 2), (6, 2), (4, 2)]
    for number, size in enumerate(sizes):
        assert magnifier(frame(number, number / 30, size)).size == size
    assert engine.resets == [True, False, True, False, True]


def test_another_size_resets_the_state_although_the_region_fits_both(engine: NumpyEngine) -> None:
    magnifier = Magnifier(engine)
    magnifier.region = (0, 0, 2, 2)
    for number, size in enumerate([(4, 2), (4, 2), (6, 2)]):
        magnifier(frame(number, number / 30, size))
    assert engine.resets == [True, False, True]


@pytest.mark.parametrize("step", [-1.0, 0.0, -1e-9])
@pytest.mark.parametrize("capture_fps", [None, 240.0])
def test_a_time_that_does_not_increase_resets_the_state(
    step: float, capture_fps: float | None, engine: NumpyEngine
) -> None:
    magnifier = Magnifier(engine, capture_fps=capture_fps)
    play(magnifier, np.arange(4.0), np.array([5, 5 + 1 / 30, 5 + 1 / 30 + step, 6 + step]))
    assert engine.resets[:3] == [True, False, True]


@pytest.mark.parametrize(
    ("fps", "gap", "afresh"),
    [(30, 0.49, False), (30, 0.51, True), (4, 0.74, False), (4, 0.8, True)],
)
def test_after_a_pause_a_band_starts_afresh_and_notes_it_once(
    fps: float, gap: float, afresh: bool, engine: NumpyEngine
) -> None:
    times = np.arange(24) / fps
    times[6:] += gap - 1 / fps
    times[18:] += gap - 1 / fps
    magnifier = Magnifier(engine, filter=Temporal(0.5, 1.5), fps=fps)
    play(magnifier, 200 + np.arange(24.0), times)
    resets = [i for i, reset in enumerate(engine.resets) if reset]
    assert resets == ([0, 6, 18] if afresh else [0])
    assert [note[:10] for note in magnifier.notes] == (["no frames "] if afresh else [])


@pytest.mark.parametrize("filter", [Static(), Static(drift=0.3), Dynamic()], ids=str)
def test_a_pause_ends_no_other_mode(filter: Filter, engine: NumpyEngine) -> None:
    times = np.arange(24) / 30
    paused = times + np.repeat([0, 0.7, 8], 8)
    values = np.arange(24.0) * 3
    even = play(Magnifier(NumpyEngine(), filter=filter, fps=30), values, times)
    magnifier = Magnifier(engine, filter=filter, fps=30)
    assert play(magnifier, values, paused).tolist() == even.tolist()
    assert engine.alphas == [20] * 24
    assert magnifier.notes == []


def test_alpha_fades_in_after_an_interruption(engine: NumpyEngine) -> None:
    times = np.concatenate([np.arange(5) / 30, 3 + np.arange(30) / 30])
    play(Magnifier(engine, alpha=21, filter=Temporal(1, 3), fps=30), np.arange(35.0), times)
    assert engine.alphas[:5] == [21] * 5  # a beginning has nothing to fade from
    faded = 1 + 20 * np.minimum((times[5:] - 3) / FADE, 1)
    assert engine.alphas[5:] == pytest.approx(faded.tolist())
    assert FADE == 0.5


def test_a_source_that_becomes_slow_is_reset_only_at_first(engine: NumpyEngine) -> None:
    times = np.concatenate([np.arange(40) / 30, 2 + np.arange(40) * 0.8])
    magnifier = Magnifier(engine, filter=Static(drift=0.1))
    play(magnifier, np.arange(80.0), times)
    assert magnifier.fps == pytest.approx(1 / 0.8)
    assert not any(engine.resets[-15:])
    assert engine.alphas[-1] == 20


# ---- time ------------------------------------------------------------------------------------


def test_the_rate_is_measured_from_times(engine: NumpyEngine) -> None:
    magnifier = Magnifier(engine)
    times = np.arange(20) / 24 + np.random.default_rng(0).uniform(0, 0.004, 20)
    play(magnifier, np.zeros(20), times)
    assert magnifier.fps == pytest.approx(24, rel=0.05)


@pytest.mark.parametrize("actual", [24.0, 36.0])
@pytest.mark.parametrize("order", [1, 2])
def test_a_wrong_initial_rate_is_corrected(actual: float, order: int, engine: NumpyEngine) -> None:
    times = np.arange(200) / actual
    magnifier = Magnifier(engine, filter=Temporal(1, 3, order), fps=30)
    assert magnifier.fps == 30
    found = play(magnifier, levels(1.7, times), times)
    assert magnifier.fps == pytest.approx(actual)
    assert np.array_equal(engine.sections[-1], Temporal(1, 3, order).sections(actual))
    assert tone(found[100:], 1.7, times[100:]) == pytest.approx(100, rel=0.02)


@pytest.mark.parametrize("order", [1, 2])
def test_a_change_of_rate_adds_no_motion_to_a_still_scene(order: int, engine: NumpyEngine) -> None:
    times = np.concatenate([np.arange(60) / 30, 2 + np.arange(60) / 24])
    found = play(Magnifier(engine, filter=Temporal(0.5, 3, order)), np.full(120, 200.0), times)
    used = {tuple(sections[0]) for sections in engine.sections}
    assert {tuple(Temporal(0.5, 3, order).sections(fps)[0]) for fps in (30, 24)} < used
    assert np.nanmax(np.abs(found)) < 1e-3
    assert engine.resets == [True] + [False] * (len(engine.resets) - 1)


def test_a_small_change_of_rate_changes_nothing(engine: NumpyEngine) -> None:
    times = np.concatenate([np.arange(60) / 30, 2 + np.arange(60) / 29])
    play(Magnifier(engine, filter=Temporal(0.5, 3)), np.zeros(120), times)
    assert len({tuple(sections[0]) for sections in engine.sections}) == 1


def test_the_band_may_change_while_it_runs(engine: NumpyEngine) -> None:
    times = np.arange(600) / 30
    values = levels(1, times, 40) + levels(6, times, 40) - 128
    magnifier = Magnifier(engine, filter=Temporal(0.7, 1.4), fps=30)
    slow = play(magnifier, values[:300], times[:300])
    magnifier.filter = Temporal(5, 7)
    fast = play(magnifier, values[300:], times[300:])
    assert engine.resets == [True] + [False] * 599
    assert tone(slow[150:], 1, times[150:300]) > 38
    assert tone(slow[150:], 6, times[150:300]) < 8
    assert tone(fast[150:], 6, times[450:]) > 38
    assert tone(fast[150:], 1, times[450:]) < 5
    assert engine.alphas == [20] * 600


def test_frames_are_unchanged_until_the_rate_for_a_band_is_known(engine: NumpyEngine) -> None:
    magnifier = Magnifier(engine, filter=Temporal(1, 3))
    frames = [frame(100 + number, number / 30) for number in range(12)]
    shown = [magnifier(each) for each in frames]
    assert shown[:8] == frames[:8]
    assert engine.resets == [True, False, False, False]
    assert magnifier.warning is None


def test_a_band_above_nyquist_of_a_known_rate_is_refused(engine: NumpyEngine) -> None:
    for options in ({"fps": 12.0}, {"capture_fps": 12.0}):
        with pytest.raises(OptionError, match=r"-6 Hz needs more than 12 frames/s, .* are 12:"):
            Magnifier(engine, filter=Temporal(1, 6), **options)  # type: ignore[arg-type]
    magnifier = Magnifier(engine, fps=12)
    with pytest.raises(OptionError, match="needs more than 12 frames/s"):
        magnifier.filter = Temporal(1, 6)
    assert magnifier.filter == Static()
    Magnifier(engine, filter=Temporal(1, 6), fps=12, capture_fps=120)


def test_a_band_is_not_refused_after_a_few_intervals(engine: NumpyEngine) -> None:
    magnifier = Magnifier(engine)
    play(magnifier, np.zeros(3), np.array([0, 0.2, 0.4]))
    magnifier.filter = Temporal(1, 6)
    assert magnifier.filter == Temporal(1, 6)


def test_a_falling_rate_cuts_the_band_and_a_rising_one_restores_it(engine: NumpyEngine) -> None:
    times = np.concatenate([np.arange(40) / 30, 2 + np.arange(40) / 10, 8 + np.arange(40) / 30])
    magnifier = Magnifier(engine, filter=Temporal(1, 8), fps=30)
    bands = []
    for number, time in enumerate(times):
        magnifier(frame(number, time))
        assert magnifier.warning is None
        bands.append(magnifier.filter_in_use.band)
    assert bands[39] == bands[119] == (1, 8)
    assert bands[79] == pytest.approx((1, 4.9), rel=0.01)
    assert magnifier.filter == Temporal(1, 8)
    play(magnifier, levels(3, np.arange(300) / 10), 20 + np.arange(300) / 10)
    assert magnifier.filter_in_use.band == pytest.approx((1, 4.9), rel=0.01)
    assert np.std(engine.y[-100:]) == pytest.approx(100 / np.sqrt(2), rel=0.1), "3 Hz is magnified"


@pytest.mark.parametrize(("fps", "highest"), [(28, 13.72), (25, 12.25), (12, 5.88)])
def test_a_preset_fits_itself_to_the_rate(fps: float, highest: float, engine: NumpyEngine) -> None:
    for options in ({"fps": fps}, {"capture_fps": fps}, {}):
        magnifier = Magnifier(engine, preset="machine", **options)  # type: ignore[arg-type]
        play(magnifier, np.zeros(12), np.arange(12) / fps)
        assert magnifier.filter_in_use.band == pytest.approx((5, highest), rel=1e-3)
        assert magnifier.warning is None
    with pytest.raises(OptionError, match="the band 5-14 Hz needs more than 28 frames/s"):
        Magnifier(engine, preset="machine", fps=10)
    with pytest.raises(OptionError, match="needs more than 30 frames/s"):
        Magnifier(engine, preset="machine", filter=Temporal(5, 15), fps=fps)


def test_a_band_above_a_falling_nyquist_gives_a_warning(engine: NumpyEngine) -> None:
    times = np.concatenate([np.arange(40) / 30, 2 + np.arange(40) / 10, 8 + np.arange(40) / 30])
    magnifier = Magnifier(engine, filter=Temporal(5, 8), fps=30)
    warnings, same = [], []
    for number, time in enumerate(times):
        given = frame(number, time)
        same.append(magnifier(given) is given)
        warnings.append(magnifier.warning)
    assert warnings[39] is None
    assert "-8 Hz needs more than 16 frames/s, and there are 10:" in str(warnings[79])
    assert same == [warning is not None for warning in warnings]
    assert warnings[119] is None
    assert engine.alphas[-1] == 20
    magnifier.filter = Static()
    assert not same[119]


def test_another_band_ends_the_warning(engine: NumpyEngine) -> None:
    magnifier = Magnifier(engine, filter=Temporal(5, 8), fps=30)
    play(magnifier, np.zeros(40), np.arange(40) / 10)
    assert magnifier.warning is not None
    magnifier.filter = Temporal(1, 4)
    magnifier(frame(0, 4.0))
    assert magnifier.warning is None
    magnifier.warning = "stale"
    magnifier.reset()
    assert magnifier.warning is None


def test_the_capture_rate_overrides_times(engine: NumpyEngine) -> None:
    scene, shown = np.arange(900) / 240, np.arange(900) / 30
    magnifier = Magnifier(engine, filter=Temporal(10, 30), fps=30, capture_fps=240)
    assert magnifier.fps == 240
    shown[500:] += 2  # a gap on the film is none in the scene
    found = play(magnifier, levels(17, scene), shown, range(900))
    assert magnifier.fps == 240
    assert engine.resets == [True] + [False] * 899
    assert tone(found[600:], 17, scene[600:]) == pytest.approx(100, rel=0.03)


@pytest.mark.parametrize("name", ["fps", "capture_fps"])
@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
def test_a_rate_that_is_not_positive_is_refused(
    name: str, value: float, engine: NumpyEngine
) -> None:
    with pytest.raises(OptionError, match=f"^{name} must be a positive number"):
        Magnifier(engine, **{name: value})  # type: ignore[arg-type]


# ---- uneven steps ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fps", "hz", "clock"),
    [
        (240, 40, 600), (120, 20, 600), (120, 20, 1000), (144, 25, 1000), (240, 40, 1000),
        (300, 50, 1000), (400, 60, 1000), (480, 80, 1000), (600, 100, 1000), (800, 120, 1000),
        (960, 150, 1000), (1000, 150, 1000), (30, 2, 1000),
    ],
)  # fmt: skip
@pytest.mark.parametrize("hinted", [True, False])
def test_a_clock_that_rounds_leaves_the_filter_alone(
    fps: float, hz: float, clock: float, hinted: bool, engine: NumpyEngine
) -> None:
    times = np.arange(500) / fps
    filter = Temporal.of_band(0.9 * hz, 1.1 * hz)
    magnifier = Magnifier(engine, filter=filter, fps=fps if hinted else None)
    values, found = levels(hz, times), []
    for value, time in zip(values, times, strict=True):
        steps = len(engine.y)
        image = np.full((2, 4, 3), value, np.uint8)
        magnifier(Frame(image, round(time * clock) / clock, 0, tick=1 / clock))
        found.append(engine.y[-1] if len(engine.y) > steps else 0.0)
    used = engine.sections if hinted else engine.sections[250:]
    assert len({tuple(sections[0]) for sections in used}) == 1
    expected = pytest.approx(100, rel=0.04 if hinted else 0.08)
    assert tone(np.array(found)[250:], hz, times[250:]) == expected


UNEVEN = {
    "webcam": ([0.020, 0.0467], 30.0),
    "film": ([0.050, 1 / 30], 24.0),
    "phone": ([0.02 / 6, 0.005, 0.02 / 6, 0.005, 0.005, 0.02 / 6], 240.0),
    "every fifth missing": ([1 / 30, 1 / 30, 1 / 30, 2 / 30], 30.0),
    "pairs": ([0.002, 0.064], 30.0),
    "random": (np.random.default_rng(0).uniform(0.016, 0.1, 300).tolist(), 17.2),
}


@pytest.mark.parametrize("kind", UNEVEN)
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("share", [0.07, 0.15])
def test_uneven_steps_do_not_change_the_gain(
    kind: str, order: int, share: float, engine: NumpyEngine
) -> None:
    """A line in the middle of the band keeps amplitude and phase, and nothing is added."""
    steps, fps = UNEVEN[kind]
    times = np.concatenate([[0], np.cumsum(np.resize(steps, 400))])
    hz = share * fps
    values = levels(hz, times)
    filter = Temporal(hz / 1.1, hz * 1.1, order)
    found = play(Magnifier(engine, filter=filter), values, times)[200:]
    wave = 100 * np.sin(2 * np.pi * hz * times[200:])
    assert tone(found, hz, times[200:]) == pytest.approx(100, rel=0.03)
    assert np.std(found - wave) < 4


def test_jitter_does_not_change_the_gain(engine: NumpyEngine) -> None:
    times = 1 + np.arange(500) / 30 + np.random.default_rng(1).uniform(-0.008, 0.008, 500)
    filter = Temporal(5 / 1.1, 5.5, 2)
    found = play(Magnifier(engine, filter=filter), levels(5, times), times)[200:]
    assert np.std(found - 100 * np.sin(2 * np.pi * 5 * times[200:])) < 2


@pytest.mark.parametrize("kind", UNEVEN)
@pytest.mark.parametrize("filter", [Temporal(0.2, 3), Temporal(0.2, 0.25, order=2)], ids=str)
def test_uneven_steps_add_no_motion_to_a_still_scene(
    kind: str, filter: Filter, engine: NumpyEngine
) -> None:
    times = np.concatenate([[0], np.cumsum(np.resize(UNEVEN[kind][0], 800))])
    found = play(Magnifier(engine, filter=filter), np.full(801, 222.0), times)
    assert np.nanmax(np.abs(found)) < 2e-3


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("band", [(10, 12), (0.5, 7.6), (0.4, 10.7), (2, 14.7)])
def test_noise_at_random_times_does_not_ring(
    band: tuple[float, float], order: int, engine: NumpyEngine
) -> None:
    """With short and long steps, pauses, and a rate that is hard to tell."""
    rng = np.random.default_rng(1)
    steps = [1e-6, 0.001, 0.005, 0.02, 0.033, 0.047, 0.1, 0.4, 0.7]
    times = np.cumsum(rng.choice(steps, 400, p=[0.03, 0.1, 0.1, 0.2, 0.3, 0.1, 0.1, 0.05, 0.02]))
    values = rng.integers(0, 256, 400).astype(float)
    found = play(Magnifier(engine, filter=Temporal(*band, order), fps=30), values, times)
    assert np.nanmax(np.abs(found)) < 700


def test_parts_of_another_rate_are_magnified_with_it(engine: NumpyEngine) -> None:
    """Slow motion as phones store it: 30, then 240, then 30 frames per second."""
    fast = np.arange(300) / 240
    times = np.concatenate([np.arange(60) / 30, 2 + fast, 3.25 + np.arange(60) / 30])
    magnifier = Magnifier(engine, filter=Temporal(36, 44, 2))
    found = play(magnifier, levels(40, times), times)
    assert np.isnan(found[20:60]).all()
    assert np.isnan(found[-40:]).all()
    assert "there are 30:" in str(magnifier.warning)
    assert tone(found[200:360], 40, times[200:360]) == pytest.approx(100, rel=0.03)


@pytest.mark.parametrize("copies", [2, 3])
def test_copies_of_frames_show_the_motion_of_the_frame(copies: int, engine: NumpyEngine) -> None:
    times = np.arange(120) / 30
    values = np.asarray(np.arange(120) * 37 % 256, np.float64)
    once = play(Magnifier(NumpyEngine(), filter=Dynamic()), values, times)
    repeated, found = np.repeat(values, copies), []
    magnifier, buffer = Magnifier(engine, filter=Dynamic()), np.empty((2, 4, 3), np.uint8)
    for number, value in enumerate(repeated):
        buffer[:] = value  # as programs do that read into one array
        magnifier(buffer, time=number / 30 / copies)
        found.append(engine.y[-1])
    assert found == pytest.approx(np.repeat(once, copies).tolist())


def test_copies_that_a_codec_has_changed_show_the_motion_of_the_frame(fast: Engine) -> None:
    frames = filmed(sway(40))
    once = show(Magnifier(fast, filter=Dynamic(), fps=30), frames)
    noise = np.random.default_rng(7).integers(-1, 2, frames[0].shape)
    copies = [(frame + noise).clip(0, 255).astype(np.uint8) for frame in frames]
    coded = [image for pair in zip(frames, copies, strict=True) for image in pair]
    shown = show(Magnifier(fast, filter=Dynamic(), fps=60), coded)
    assert max(map(difference, once[30:], frames[30:])) > 5  # what an unknown copy would miss
    for true, copy, wanted in zip(shown[60::2], shown[61::2], once[30:], strict=True):
        assert difference(true, wanted) < 1
        assert difference(copy, wanted) < 2


def test_motion_that_ends_is_shown_for_two_more_frames_at_most(engine: NumpyEngine) -> None:
    values = np.array([50.0, 60, 70, 70, 70, 70, 70, 70])
    found = play(Magnifier(engine, filter=Dynamic()), values, np.arange(8) / 30)
    assert found.tolist() == [0, 10, 10, 10, 10, 0, 0, 0]


# ---- dropped frames --------------------------------------------------------------------------


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("hz", [1.0, 2.0])
def test_dropped_frames_hardly_change_the_gain(order: int, hz: float, engine: NumpyEngine) -> None:
    times = np.arange(600) / 30
    values = levels(hz, times)
    kept = np.flatnonzero(np.random.default_rng(1).random(600) > 0.25)
    late = times[kept] > 8
    filter = Temporal(0.6, 6, order)
    whole = play(Magnifier(NumpyEngine(), filter=filter, fps=30), values, times)[kept]
    found = play(Magnifier(engine, filter=filter, fps=30), values[kept], times[kept])
    expected = tone(whole[late], hz, times[kept][late])
    assert tone(found[late], hz, times[kept][late]) == pytest.approx(expected, rel=0.06)
    assert len(engine.y) == len(kept)  # the engine has no more work than there are frames
    assert not any(engine.resets[1:])
    # The same frames, taken as if they came evenly:
    careless = Magnifier(NumpyEngine(), filter=filter, capture_fps=30)
    wrong = play(careless, values[kept], times[kept], range(len(kept)))
    assert np.std((found - whole)[late]) < 0.7 * np.std((wrong - whole)[late])
    # With a given rate, the numbers of the frames show which ones were dropped:
    numbered = Magnifier(NumpyEngine(), filter=filter, capture_fps=30)
    again = play(numbered, values[kept], times[kept], kept.tolist())
    assert np.allclose(again[late], found[late], atol=1e-3)


@pytest.mark.parametrize("filter", FILTERS, ids=str)
def test_dropped_frames_add_no_motion_to_a_still_scene(filter: Filter, engine: NumpyEngine) -> None:
    kept = np.flatnonzero(np.random.default_rng(2).random(200) > 0.4)
    found = play(Magnifier(engine, filter=filter), np.full(len(kept), 222.0), kept / 30)
    assert np.nanmax(np.abs(found)) < 1e-3


# ---- changes of the scene ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def fast() -> Engine:
    return load_engine("fast")


def show(magnifier: Magnifier, pictures: list[Image], start: float = 0.0) -> list[Image]:
    return [magnifier(each, time=start + i / 30) for i, each in enumerate(pictures)]


def difference(one: Image, other: Image) -> float:
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


def alike(one: Image, other: Image) -> bool:
    """True if images are equal up to rounding: threads may add numbers in another order."""
    return bool(np.abs(one.astype(int) - other.astype(int)).max() <= 1)


@pytest.mark.parametrize("filter", FILTERS, ids=str)
def test_a_scene_after_a_cut_is_magnified_like_one_alone(filter: Filter, fast: Engine) -> None:
    first, second = filmed(sway(12)), filmed(sway(15, seed=7))
    magnifier = Magnifier(fast, filter=filter, fps=30)
    shown = show(magnifier, first + second)[12:]
    alone = show(Magnifier(fast, filter=filter, fps=30), second)
    assert all(map(alike, shown, alone))
    assert max(map(difference, shown, second)) > 1
    assert magnifier.scene_changes == [pytest.approx(12 / 30)]


def test_a_cut_within_the_region_is_one_and_a_cut_beside_it_is_none(fast: Engine) -> None:
    first, second = filmed(sway(12)), filmed(sway(12, seed=7))
    inside, outside = Magnifier(fast, fps=30), Magnifier(fast, fps=30)
    inside.region = outside.region = (0, 0, 70, 60)
    half = [
        np.concatenate([a[:, :80], b[:, 80:]], axis=1) for a, b in zip(first, second, strict=True)
    ]
    show(inside, first + second)
    show(outside, first + half)
    assert len(inside.scene_changes) == 1
    assert outside.scene_changes == []


@pytest.mark.parametrize("dark", [1, 12])
def test_a_black_beginning_is_no_reference(dark: int, fast: Engine) -> None:
    scene = filmed(sway(15))
    shown = show(Magnifier(fast, fps=30), filmed([BLACK] * dark) + scene)[dark:]
    assert all(map(alike, shown, show(Magnifier(fast, fps=30), scene)))


@pytest.mark.parametrize("filter", [Static(), Temporal(0.5, 3)], ids=str)
@pytest.mark.parametrize("light", [np.linspace(0.1, 1, 25), np.full(15, 0.8)], ids=["ramp", "step"])
def test_another_exposure_is_no_lasting_motion(filter: Filter, light: Signal, fast: Engine) -> None:
    still = shifted(texture(), 0)
    pictures = filmed([(still * factor).astype(np.float32) for factor in light] + [still] * 25)
    magnifier = Magnifier(fast, filter=filter, fps=30)
    calm = show(Magnifier(fast, filter=filter, fps=30), pictures[-25:])
    shown = show(magnifier, pictures)
    noise = difference(calm[-1], pictures[-1])
    assert difference(shown[-1], pictures[-1]) < 1.5 * noise


@pytest.mark.parametrize("filter", FILTERS, ids=str)
@pytest.mark.parametrize("frames", [1, 4])
def test_a_flash_leaves_no_trace(filter: Filter, frames: int, fast: Engine) -> None:
    scene = filmed(sway(27 + frames))
    flash = [np.full_like(scene[0], 255)] * frames
    magnifier, alone = (
        Magnifier(fast, filter=filter, fps=30),
        Magnifier(fast, filter=filter, fps=30),
    )
    shown = show(magnifier, scene[:12] + flash + scene[12 + frames :])
    assert all(map(np.array_equal, shown[12:], flash))
    assert magnifier.scene_changes == []
    assert magnifier.notes == []
    after, expected = shown[12 + frames :], show(alone, scene)[12 + frames :]
    if filter == Static():
        assert all(map(alike, after, expected))
    # Since the last frame before the flash there is more motion to show in `dynamic`, once.
    begin = 1 if filter == Dynamic() else 0
    added, left = (
        list(map(difference, each, scene[12 + frames :]))[begin:] for each in (expected, after)
    )
    assert max(left) < 2 * max(added)


def test_changes_are_noted_once(engine: NumpyEngine) -> None:
    scenes = [picture for seed in (1, 7, 3, 9) for picture in filmed(sway(25, seed))]
    magnifier = Magnifier(engine, fps=30)
    show(magnifier, scenes, start=5.0)
    assert magnifier.scene_changes == pytest.approx([25 / 30, 50 / 30, 75 / 30])
    assert magnifier.notes == [
        "the scene changed after 0.83 s: motion is measured from a new reference since"
    ]
    magnifier.reset()
    assert magnifier.scene_changes == []
    assert magnifier.notes == []


# ---- light that beats ---------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [0.0, 2.5])
def test_light_that_beats_within_the_band_is_noted(rows: float) -> None:
    still, places = shifted(texture(), 0), np.arange(120)[:, None, None] / 120
    waves = [np.sin(2 * np.pi * (5.5 * i / 30 + rows * places)) for i in range(75)]
    pictures = filmed([(still * (1 + 0.03 * wave)).astype(np.float32) for wave in waves])
    magnifier = Magnifier(NumpyEngine(), filter=Temporal(4, 8), fps=30)
    show(magnifier, pictures)
    assert len(magnifier.notes) == 1
    for remedy in ("daylight", "another band", "shutter time of 1/100 s"):
        assert remedy in magnifier.notes[0]
    elsewhere = Magnifier(NumpyEngine(), filter=Temporal(1, 2), fps=30)
    show(elsewhere, pictures)
    assert elsewhere.notes == []


@pytest.mark.parametrize("pixels", [0.2, 6.0])
def test_motion_within_the_band_is_no_light(pixels: float) -> None:
    magnifier = Magnifier(NumpyEngine(), filter=Temporal(4, 8), fps=30)
    show(magnifier, filmed(sway(75, pixels=pixels, hz=5.5)))
    assert magnifier.notes == []


# ---- regions ---------------------------------------------------------------------------------


def test_only_the_region_is_magnified(engine: NumpyEngine) -> None:
    magnifier = Magnifier(engine, alpha=3)
    magnifier.region = (1, 0, 2, 1)
    magnifier(frame(100, 0.0))
    given = frame(104, 1 / 30)
    shown = magnifier(given).image[..., 0]
    assert shown.tolist() == [[104, 112, 112, 104], [104, 104, 104, 104]]
    assert (given.image == 104).all()


def test_only_another_region_resets_the_state(engine: NumpyEngine) -> None:
    magnifier = Magnifier(engine)
    regions = [None, (0, 0, 4, 2), (1, 0, 2, 2), (1, 0, 2, 2), None]
    for number, region in enumerate(regions):
        magnifier.region = region
        magnifier(frame(number, number / 30))
    assert engine.resets == [True, False, True, False, True]


@pytest.mark.parametrize(
    "region", [(0, 0, 99, 99), (-5, -5, 9, 9), (9, 9, 1, 1), (3, 1, 0, 0), (0, 0, -2, 1)]
)
def test_a_region_is_cut_to_the_picture(
    region: tuple[int, int, int, int], engine: NumpyEngine
) -> None:
    magnifier = Magnifier(engine, alpha=3)
    magnifier.region = region
    magnifier(frame(100, 0.0))
    shown = magnifier(frame(104, 1 / 30)).image[..., 0]
    assert shown.shape == (2, 4)
    assert 1 <= (shown == 112).sum() <= 8


# ---- arrays in place of frames ------------------------------------------------------------------


def picture(shift: float = 0.0) -> Image:
    """A smooth wave (48, 64), moved to the right by `shift` pixels."""
    x = np.arange(64) - shift
    return np.tile(np.rint(128 + 90 * np.sin(x / 4)), (48, 1)).astype(np.uint8)


@pytest.mark.parametrize("channels", [(), (1,), (3,)])
def test_arrays_are_magnified_like_frames(channels: tuple[int, ...]) -> None:
    grey = [picture(), picture(0.2), picture(0.3)]
    colour = [np.repeat(image[..., None], 3, axis=2) for image in grey]
    by_frames = Magnifier(alpha=10)
    expected = [by_frames(Frame(image, i / 30, i)).image for i, image in enumerate(colour)]
    by_arrays = Magnifier(alpha=10)
    for image, wanted in zip(grey, expected, strict=True):
        given = image if channels == () else np.repeat(image[..., None], channels[0], axis=2)
        shown = by_arrays(given)
        assert shown.shape == given.shape
        assert shown.dtype == np.uint8
        assert (shown == (wanted[..., 0] if channels == () else wanted[..., : channels[0]])).all()
    assert (expected[2] != colour[2]).any()


def test_a_grey_frame_stays_grey() -> None:
    magnifier = Magnifier(NumpyEngine())
    shown = magnifier(Frame(picture(), 0.5, 3))
    assert (shown.image.shape, shown.time, shown.index) == ((48, 64), 0.5, 3)


def test_times_of_arrays_are_arguments_or_follow_from_the_rate() -> None:
    magnifier = Magnifier(NumpyEngine(), filter=Temporal(1, 3), fps=25)
    for _ in range(20):
        magnifier(picture())
    assert magnifier.fps == pytest.approx(25)
    timed = Magnifier(NumpyEngine(), filter=Temporal(1, 3))
    for i in range(20):
        timed(picture(), time=i / 50)
    assert timed.fps == pytest.approx(50)
    slow = Magnifier(NumpyEngine(), filter=Temporal(30, 40), capture_fps=240)
    assert slow(picture()).shape == (48, 64)


def test_a_band_needs_a_rate_for_arrays() -> None:
    magnifier = Magnifier(NumpyEngine(), filter=Temporal(1, 3))
    with pytest.raises(OptionError, match=r"pass time= in seconds, or fps= to Magnifier"):
        magnifier(picture())


def test_float_images_are_refused_with_the_reason() -> None:
    magnifier = Magnifier(NumpyEngine())
    for image in (picture() / 255, picture().astype(np.float32)):
        with pytest.raises(OptionError, match="images must be uint8 from 0 to 255, got float"):
            magnifier(image)
        with pytest.raises(OptionError, match="images must be uint8 from 0 to 255, got float"):
            magnifier(Frame(image, 0, 0))  # type: ignore[arg-type]


def test_filters_may_be_texts_and_presets_set_alpha_too() -> None:
    magnifier = Magnifier(NumpyEngine(), filter="48-72bpm")
    assert magnifier.filter == Temporal(0.8, 1.2, order=2)  # narrower than an octave
    magnifier.filter = "dynamic"
    assert magnifier.filter == Dynamic()
    preset = Magnifier(NumpyEngine(), preset="breath")
    assert (preset.alpha, preset.filter) == (10, Temporal(10 / 60, 40 / 60))
    own = Magnifier(NumpyEngine(), preset="breath", alpha=5, filter=Static())
    assert (own.alpha, own.filter) == (5, Static())
    with pytest.raises(OptionError, match=r"preset must be pulse, breath, .* got 'brain'"):
        Magnifier(NumpyEngine(), preset="brain")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"a filter is .* got 'quick'"):
        magnifier.filter = "quick"
