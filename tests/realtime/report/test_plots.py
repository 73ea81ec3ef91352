"""Plots as PNG, PDF and SVG."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from rtmag.realtime.opencv import cv2
from tests.support.measured import report, swaying

pytest.importorskip("matplotlib")

from rtmag.realtime.report.plots import envelope, region_svgs, write_plot


def test_a_png_has_a_row_for_each_region(tmp_path: Path) -> None:
    for count in (1, 2):
        contents = report([swaying(f"r{n}") for n in range(count)])
        write_plot(contents, tmp_path / "a.png")
        height, width = np.asarray(cv2.imread(str(tmp_path / "a.png"))).shape[:2]
        assert (height, width) == (435 * count, 1740)


def test_a_pdf_has_all_regions(tmp_path: Path) -> None:
    write_plot(report([swaying(f"r{n}", seconds=2) for n in range(4)]), tmp_path / "a.pdf")
    content = (tmp_path / "a.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    assert content.count(b"/Type /Page ") == 2


def test_pictures_of_one_region_are_the_same_each_time_and_valid() -> None:
    contents = report([swaying("a $x^2 \u8f74 & <b>")])
    pictures = region_svgs(contents, contents.measurement.regions[0])
    assert list(pictures) == ["waveform", "spectrum", "orbit"]
    assert pictures == region_svgs(contents, contents.measurement.regions[0])
    for svg in pictures.values():
        assert ElementTree.fromstring(svg).tag.endswith("svg")


def test_a_region_of_one_frame_and_one_that_is_still_can_be_drawn(tmp_path: Path) -> None:
    write_plot(report([swaying(seconds=1 / 30), swaying(px=0.0)]), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_a_long_curve_keeps_its_extremes() -> None:
    x = np.arange(100_000.0)
    y = np.sin(x / 50)
    y[77_777] = 9
    few, values = envelope(x, y)
    assert len(few) == len(values) == 2000
    assert (np.diff(few) >= 0).all()
    assert values.max() == 9
    assert values.min() == y.min()
    assert envelope(x[:10], y[:10])[0] is not few
