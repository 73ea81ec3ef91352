"""The table on the terminal."""

import re

from rtmag.realtime.report.contents import NOTHING
from rtmag.realtime.report.table import HEAD, MOST_REGIONS, lines
from tests.support.measured import report, swaying


def test_a_row_for_each_region_with_units_and_uncertainty() -> None:
    text = lines(report([swaying("a", 0.2), swaying("b", 0.1, 90)], scale=0.1, unit="mm"))
    assert text[0] == "clip.mp4: 240 frames in 7.967 s, 30 frames/s"
    assert re.split(r" {2,}", text[1]) == list(HEAD)
    assert re.fullmatch(
        r"a {7}3\.000\d* ± 0\.000\d+ Hz  0\.0200\d* ± 0\.000\d+ mm  0\.03\d+ mm +0\.26\d mm/s",
        text[2],
    )
    assert re.fullmatch(r"b to a at 3 Hz: phase \+\d+\.\d ± \d\.\d°, coherence [01]\.\d\d", text[4])
    assert len(text) == 5


def test_a_region_that_is_still_says_so() -> None:
    assert NOTHING in lines(report([swaying(px=0.0)]))[2]


def test_many_regions_are_cut_to_those_that_move_most() -> None:
    regions = [swaying(f"r{n:02}", n / 100, seconds=2) for n in range(MOST_REGIONS + 3)]
    text = lines(report(regions))
    assert "3 more regions move less" in text
    assert not any(line.startswith(("r00", "r01", "r02")) for line in text[2:23])


def test_names_and_notes_cannot_control_the_terminal() -> None:
    text = lines(report(source="a\x1b[2J\nb.mp4", notes=["c\x1b[2J"]))
    assert not any(set(line) & set("\x1b\n") for line in text)
