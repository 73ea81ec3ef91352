"""Numbers of a report as text, the order of regions, and phases between them."""

import pytest

from rtmag.realtime.report.contents import NOTHING, SCALE_CAVEAT, plus_minus, significant
from tests.support.measured import HZ, report, swaying


@pytest.mark.parametrize(
    ("value", "deviation", "text"),
    [
        (37.00123, 0.00187, "37.0012 ± 0.0019"),
        (0.1, 0.02, "0.100 ± 0.020"),
        (12345.6, 250.0, "12346 ± 250"),
        (-0.5, 0.1, "-0.50 ± 0.10"),
        (1.23456, 0.0, "1.235"),
        (1.23456, float("inf"), "1.235"),
        (1.23456, float("nan"), "1.235"),
    ],
)
def test_numbers_end_at_the_second_digit_of_their_deviation(
    value: float, deviation: float, text: str
) -> None:
    assert plus_minus(value, deviation) == text


def test_the_region_that_moves_most_comes_first() -> None:
    contents = report([swaying("a", 0.1), swaying("still", 0.0), swaying("b", 0.3)])
    assert [region.name for region in contents.by_amplitude] == ["b", "a", "still"]
    assert contents.summary.startswith("Largest motion: b, 0.30")
    assert f"at {HZ:.2f}" in contents.summary


def test_phase_and_coherence_of_regions_that_move_together() -> None:
    contents = report([swaying("first", 0.3), swaying("late", 0.2, -90), swaying("still", 0.0)])
    (late,) = contents.links
    assert (late.first, late.second) == ("first", "late")
    assert late.related
    assert late.phase == pytest.approx(-90, abs=3)
    assert late.coherence > 0.95


def test_a_region_at_another_frequency_has_no_phase() -> None:
    contents = report([swaying("first", 0.3), swaying("other", 0.2, hz=5.0)])
    assert [link.related for link in contents.links] == [False]
    assert contents.links[0].phase_text == "no common motion"


def test_lengths_in_millimetres() -> None:
    contents = report(scale=0.5, unit="mm")
    peak = contents.measurement.regions[0].peaks[0]
    value, _, _, unit = contents.amplitude(peak).split()
    assert float(value) == pytest.approx(0.1, rel=0.01)
    assert unit == "mm"
    assert contents.length(2.0, per="/s") == "1.00 mm/s"
    assert SCALE_CAVEAT in contents.caveats
    assert SCALE_CAVEAT not in report().caveats


def test_regions_without_motion_are_named_together() -> None:
    still = [swaying(f"still {n}", 0.0) for n in range(4)]
    contents = report([*still[:2], swaying("a", 0.2), *still[2:]])
    assert [region.name for region in contents.shown(10)] == ["a"]
    assert contents.left_out(10) == [f"{NOTHING} in still 0, still 1, still 2, still 3"]
    contents = report([*still[:2], swaying("a", 0.2)])
    assert len(contents.shown(10)) == 3
    assert contents.left_out(10) == []
    many = report([swaying("a", 0.1), swaying("b", 0.3), swaying("c", 0.2)])
    assert [region.name for region in many.shown(2)] == ["b", "c"]
    assert many.left_out(2) == ["1 more regions move less"]


def test_noise_is_not_shown_as_motion() -> None:
    contents = report([swaying(px=0.0), swaying("a", 0.2)])
    still, moving = contents.measurement.regions
    assert (contents.extent(still), contents.rms(still, 1)) == ("-", "-")
    assert contents.extent(moving).endswith(" px")
    assert contents.rms(moving, 2).endswith(" px/s\N{SUPERSCRIPT TWO}")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.012345, "0.0123"), (1.0, "1.00"), (23456.0, "23500"), (-999.9, "-1000"),
     (3e-9, "3e-09")],
)  # fmt: skip
def test_numbers_have_three_digits_and_no_exponent(value: float, text: str) -> None:
    assert significant(value) == text


def test_nothing_is_an_answer() -> None:
    contents = report([swaying(px=0.0)])
    assert contents.summary == f"{NOTHING.capitalize()}."
    assert contents.links == []
