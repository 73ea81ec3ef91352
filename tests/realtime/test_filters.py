"""Every filter against scipy.signal, run as the recurrence of the exported graph."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt, sosfilt_zi, sosfreqz

from rtmag.realtime.errors import OptionError
from rtmag.realtime.filters import (
    FILTERS,
    LOWEST_SHARE,
    MODES,
    UNITS,
    Dynamic,
    Filter,
    Static,
    Temporal,
    Unit,
    as_filter,
    band_unit,
    format_band,
    parse_band,
)
from rtmag.realtime.sections import Sections
from tests.support.fakes import run_python

Signal = NDArray[np.float64]

BANDS = [
    (30.0, 0.4, 3.0),
    (30.0, 2.0, 2.5),
    (30.0, 3.0, 14.0),
    (239.76, 30.0, 45.0),
    (1000.0, 20.0, 300.0),
    (12.5, 0.05, 6.0),
]
EXAMPLES: list[Filter] = [
    Static(),
    Static(drift=0.2),
    Dynamic(),
    Temporal(0.4, 3),
    Temporal(2, 2.5, order=2),
]


def reset(sections: Sections, s: float) -> Signal:
    memory = np.zeros((len(sections), 2))
    memory[0] = -sections[0, 0] * s, sections[0, 2] * s
    return memory


def step(sections: Signal, memory: Signal, s: float) -> float:
    for (b0, b1, b2, a1, a2), z in zip(sections, memory, strict=True):
        y = b0 * s + z[0]
        z[:] = b1 * s - a1 * y + z[1], b2 * s - a2 * y
        s = y
    return s


def filtered(sections: Sections, signal: Signal) -> Signal:
    """The recurrence in double precision; the first value is the reference."""
    memory, exact = reset(sections, signal[0]), sections.astype(np.float64)
    return np.array([0.0, *(step(exact, memory, s) for s in signal[1:])])


def official(sos: Signal, signal: Signal) -> Signal:
    """Scipy's, at rest on the first value."""
    return np.asarray(sosfilt(sos, signal, zi=sosfilt_zi(sos) * signal[0])[0])


def gain(sections: Sections, hz: float, fps: float) -> float:
    sos = np.insert(sections.astype(np.float64), 3, 1.0, axis=1)
    return float(np.abs(sosfreqz(sos, [hz], fs=fps)[1][0]))


@pytest.fixture
def signal() -> Signal:
    return 5 + np.random.default_rng(0).standard_normal(400)


@pytest.mark.parametrize(("fps", "fl", "fh"), BANDS)
@pytest.mark.parametrize("order", [1, 2])
def test_temporal_equals_the_butterworth_of_scipy(
    fps: float, fl: float, fh: float, order: int, signal: Signal
) -> None:
    sections = Temporal(fl, fh, order).sections(fps)
    assert sections.shape == (order, 5)
    assert sections.dtype == np.float32
    expected = official(butter(order, [fl, fh], "bandpass", fs=fps, output="sos"), signal)
    assert filtered(sections, signal) == pytest.approx(expected, abs=2e-4)


def test_static_is_the_difference_from_the_first(signal: Signal) -> None:
    assert filtered(Static().sections(30), signal) == pytest.approx(signal - signal[0])


def test_dynamic_is_the_difference_from_the_previous(signal: Signal) -> None:
    y = filtered(Dynamic().sections(30), signal)
    assert y[1:] == pytest.approx(np.diff(signal))


@pytest.mark.parametrize("fps", [5.0, 30.0, 240.0])
def test_drift_is_the_difference_from_a_slow_average(fps: float, signal: Signal) -> None:
    keep = math.exp(-2 * math.pi * 0.2 / fps)
    expected = official(np.array([[1, -1, 0, 1, -keep, 0]]), signal)
    assert filtered(Static(drift=0.2).sections(fps), signal) == pytest.approx(expected, abs=1e-5)
    average = signal[0]
    for number, s in enumerate(signal[:50]):
        # A high-pass: what remains after a unit step falls to 1/e in 1 / (2 pi f) seconds.
        assert expected[number] == pytest.approx(s - average)
        average += (1 - keep) * (s - average)


@pytest.mark.parametrize("filter", EXAMPLES, ids=str)
@pytest.mark.parametrize("fps", [10.0, 30.0, 1000.0])
def test_the_output_for_a_constant_is_zero_from_the_first_frame(filter: Filter, fps: float) -> None:
    assert filtered(filter.sections(fps), np.full(200, 123.456)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("filter", EXAMPLES, ids=str)
def test_every_first_section_blocks_a_constant(filter: Filter) -> None:
    assert filter.sections(30)[:, :3].sum(axis=1) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("fps", "fl", "fh"), BANDS)
@pytest.mark.parametrize("order", [1, 2])
def test_temporal_passes_its_centre_and_halves_the_power_at_its_edges(
    fps: float, fl: float, fh: float, order: int
) -> None:
    sections = Temporal(fl, fh, order).sections(fps)
    low, high = (math.tan(math.pi * f / fps) for f in (fl, fh))
    centre = math.atan(math.sqrt(low * high)) * fps / math.pi  # bilinear: sqrt(fl fh) for low bands
    assert gain(sections, centre, fps) == pytest.approx(1, abs=2e-3)
    assert gain(sections, fl, fps) == pytest.approx(math.sqrt(0.5), abs=2e-3)
    assert gain(sections, fh, fps) == pytest.approx(math.sqrt(0.5), abs=2e-3)
    assert gain(sections, 1e-6 * fl, fps) < 1e-3
    assert gain(sections, fps / 2, fps) < 1e-3


def test_a_higher_order_is_steeper() -> None:
    one, two = (gain(Temporal(1, 3, order).sections(30), 8, 30) for order in (1, 2))
    assert two < 0.4 * one < 0.4


@pytest.mark.parametrize("fps", [20.0, 19.9, 3.0])
def test_a_band_above_nyquist_is_refused_with_the_measured_rate(fps: float) -> None:
    filter = Temporal(2, 10)
    for refuse in (filter.check, filter.sections):
        with pytest.raises(
            OptionError,
            match=rf"-10 Hz needs more than 20 frames/s, and there are {fps:.4g}: .*capture-fps",
        ):
            refuse(fps)
    filter.check(20.1)


def test_a_band_is_cut_to_what_the_rate_can_hold() -> None:
    filter = Temporal(5, 14, order=2)
    assert filter.fitted(28.1) is filter
    cut = filter.fitted(24)
    assert (cut.fl, cut.fh, cut.order) == pytest.approx((5, 11.76, 2))
    cut.check(24)
    with pytest.raises(OptionError, match="the band 5-14 Hz needs more than 28 frames/s"):
        filter.fitted(10)  # 4.9 Hz is left
    for other in (Static(0.2), Dynamic()):
        assert other.fitted(0.1) is other


@pytest.mark.parametrize("order", [1, 2])
def test_a_band_is_refused_where_rounding_would_change_it(order: int) -> None:
    """In float32, far below the frame rate, the filter grows without limit or returns NaN."""
    lowest = 30 * LOWEST_SHARE
    for fl, fh in ((lowest / 2, 1.9 * lowest), (1e-63, 1e-62)):
        with pytest.raises(OptionError, match=r"is too low for 30 frames/s: choose a band above"):
            Temporal(fl, fh, order).sections(30)
    filter = Temporal(lowest / 2, 2.1 * lowest, order)
    seconds = np.arange(30 * 600) / 30
    shape = 10 + np.sin(2 * np.pi * lowest * seconds)
    sections = np.insert(filter.sections(30), 3, 1.0, axis=1)
    exact = np.insert(np.array(filter.coefficients(30)), 3, 1.0, axis=1)
    start = np.zeros((order, 2))
    start[0] = -sections[0, 0] * 10, sections[0, 2] * 10
    rounded, right = (
        sosfilt(sos, shape.astype(kind), zi=start.astype(kind))[0]
        for sos, kind in ((sections.astype(np.float32), np.float32), (exact, np.float64))
    )
    assert np.abs(rounded - right).max() < 0.1 * np.abs(right).max()


def test_a_band_is_shown_in_its_unit() -> None:
    assert Temporal(10 / 60, 40 / 60).text("bpm") == "temporal 10-40 bpm"
    assert str(Temporal(10 / 60, 40 / 60)) == "temporal 0.167-0.667 Hz"
    assert Static(0.2).text("bpm") == "static, drift 0.2 Hz"
    units = [band_unit(text) for text in ("48-72 BPM", "1-2", "1-2hz", "1200-1800rpm")]
    assert units == ["bpm", "Hz", "Hz", "rpm"]


@pytest.mark.parametrize("filter", [Static(), Static(drift=40), Dynamic()], ids=str)
def test_filters_without_a_band_accept_every_rate(filter: Filter) -> None:
    filter.check(0.1)
    assert np.isfinite(filter.sections(0.1)).all()


@pytest.mark.parametrize("drift", [0, -1, math.nan, math.inf])
def test_an_invalid_drift_is_refused(drift: float) -> None:
    with pytest.raises(OptionError, match="drift must be a positive number of hertz"):
        Static(drift=drift)


@pytest.mark.parametrize(
    ("fl", "fh"), [(0, 3), (-1, 3), (3, 1), (2, 2), (math.nan, 3), (1, math.nan), (1, math.inf)]
)
def test_an_invalid_band_of_numbers_is_refused(fl: float, fh: float) -> None:
    with pytest.raises(OptionError, match="need 0 < fl < fh in hertz, got fl"):
        Temporal(fl, fh)


@pytest.mark.parametrize("order", [0, 3, -1])
def test_orders_other_than_1_and_2_are_refused(order: int) -> None:
    with pytest.raises(OptionError, match=f"got order = {order}"):
        Temporal(1, 2, order)


def test_each_filter_has_a_text() -> None:
    names = ["static", "static, drift 0.2 Hz", "dynamic", "temporal 0.4-3 Hz", "temporal 2-2.5 Hz"]
    assert [str(filter) for filter in EXAMPLES] == names


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("band", [(0.001, 0.49), (0.01, 0.02), (0.1, 0.4), (0.3, 0.31)])
def test_coefficients_equal_those_of_scipy(order: int, band: tuple[float, float]) -> None:
    """Except the zeros, which are distributed evenly, and so the gains of single sections."""
    fl, fh = (30 * edge for edge in band)
    sos = butter(order, [fl, fh], "bandpass", fs=30, output="sos")
    sections = Temporal(fl, fh, order).sections(30)
    assert np.allclose(sections[:, 3:], sos[:, 4:], atol=1e-6)
    assert np.prod(sections[:, 0]) == pytest.approx(np.prod(sos[:, 0]), rel=1e-5)


def test_a_band_does_not_import_scipy() -> None:
    code = """if True:
        import sys
        from rtmag.realtime import Temporal
        Temporal(1, 2).sections(30)
        print("scipy" in sys.modules)
    """
    assert run_python(code).strip() == "False"


@pytest.mark.parametrize(
    ("text", "band"),
    [
        ("0.8-1.2Hz", (0.8, 1.2)),
        ("0.8-1.2", (0.8, 1.2)),
        ("48-72bpm", (0.8, 1.2)),
        ("1200-1800rpm", (20, 30)),
        (" .5 \u2013 3. HZ ", (0.5, 3)),
        ("45 - 120 BPM", (0.75, 2)),
    ],
)
def test_a_band_is_read_in_several_units(text: str, band: tuple[float, float]) -> None:
    assert parse_band(text) == pytest.approx(band)


@pytest.mark.parametrize(
    "text", ["", "5", "1-", "-1", "a-b", "1-2-3", "1,5-2", "1e3-2e3", "1-2kHz", "-1-2Hz", "nan-inf"]
)
def test_an_invalid_band_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(OptionError, match=r"0\.8-1\.2Hz or 48-72bpm, got '"):
        parse_band(text)


@pytest.mark.parametrize("text", ["2-1", "1-1", "0-1bpm", "1-" + "9" * 400])
def test_edges_out_of_order_are_refused(text: str) -> None:
    with pytest.raises(OptionError, match="must be 0 < LOWER < UPPER"):
        parse_band(text)


@pytest.mark.parametrize("unit", UNITS)
def test_a_formatted_band_can_be_read(unit: Unit) -> None:
    for fl, fh in ((0.8, 1.2), (1 / 6, 2 / 3), (20, 1000.5)):
        text = format_band(fl, fh, unit)
        assert text.endswith(unit)
        assert parse_band(text) == pytest.approx((fl, fh), rel=1e-5)
    assert format_band(0.75, 2, "bpm") == "45-120bpm"


@pytest.mark.parametrize(
    ("value", "filter"),
    [
        (None, Static()),
        (Static(drift=0.1), Static(drift=0.1)),
        ("static", Static()),
        (" Dynamic", Dynamic()),
        ("0.4-3Hz", Temporal(0.4, 3)),
        ("48-72bpm", Temporal(0.8, 1.2, order=2)),
        ("1-2", Temporal(1, 2)),
    ],
)
def test_as_filter_accepts_filters_modes_and_bands(
    value: Filter | str | None, filter: Filter
) -> None:
    assert as_filter(value) == filter


@pytest.mark.parametrize("value", ["", "temporal", "fast", "1-", 3, (0.4, 3), Static])
def test_as_filter_refuses_other_values_with_examples(value: object) -> None:
    with pytest.raises(OptionError, match=r"'dynamic' or a band such as '0\.8-1\.2Hz' .*, got "):
        as_filter(value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "message"), [("3-1Hz", "must be 0 < LOWER < UPPER"), ("1-2kHz", "bpm")]
)
def test_as_filter_names_the_error_in_a_band(text: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        as_filter(text)


def test_a_narrow_band_as_text_has_steep_edges() -> None:
    assert Temporal.parse("36-38Hz") == Temporal.of_band(36, 38) == Temporal(36, 38, order=2)
    assert Temporal.parse("36-38Hz", order=1) == Temporal(36, 38)
    assert Temporal.parse("20-40Hz") == Temporal(20, 40, order=1)


def test_every_mode_has_a_filter() -> None:
    assert tuple(FILTERS) == MODES
    assert [filter.mode for filter in FILTERS.values()] == list(MODES)


def test_the_modes_do_not_import_numpy() -> None:
    code = """if True:
        import sys
        import rtmag.realtime.controls, rtmag.realtime.presets
        print("numpy" in sys.modules)
    """
    assert run_python(code).strip() == "False"


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("fps", [30.0, 240.0])
def test_a_step_of_the_usual_length_has_the_usual_coefficients(order: int, fps: float) -> None:
    filter = Temporal(2, 5, order)
    (rows,) = filter.steps(fps, 1 / fps)
    assert np.array(rows) == pytest.approx(np.array(filter.coefficients(fps)), rel=1e-9)


@pytest.mark.parametrize("order", [1, 2])
def test_long_steps_hold_the_last_frame_first(order: int) -> None:
    filter, usual = Temporal(4, 6, order), Temporal(4, 6, order).coefficients(30)
    assert len(filter.steps(30, 0.08)) == 1  # 0.4 periods
    steps = filter.steps(30, 0.2)
    assert steps[:-1] == [usual] * 4
    assert np.array(steps[-1]) == pytest.approx(np.array(filter.steps(30, 0.2 - 4 / 30)[0]))


@pytest.mark.parametrize("seconds", [1e-9, 0.01, 0.05, 0.3])
@pytest.mark.parametrize("band", [(0.01, 0.02), (1.0, 2.0), (10.0, 14.5), (0.1, 14.9)])
@pytest.mark.parametrize("order", [1, 2])
def test_steps_of_every_length_are_stable_and_block_a_constant(
    seconds: float, band: tuple[float, float], order: int
) -> None:
    for rows in Temporal(*band, order).steps(30, seconds):
        assert sum(rows[0][:3]) == 0
        for *_, a1, a2 in rows:
            assert abs(a2) < 1
            assert abs(a1) < 1 + a2


@pytest.mark.parametrize("filter", [Static(), Static(0.3), Dynamic()], ids=str)
def test_filters_without_a_band_have_one_step_of_any_length(filter: Filter) -> None:
    assert filter.steps(30, 0.1) == [filter.coefficients(30)]
