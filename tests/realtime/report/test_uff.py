"""UFF 58, read back with pyuff."""

from pathlib import Path

import numpy as np
import pytest

from rtmag.realtime.analysis.measurement import RegionMotion
from rtmag.realtime.errors import OptionError
from tests.support.measured import FPS, report, swaying

pyuff = pytest.importorskip("pyuff")


def test_a_time_response_in_metres_for_each_direction(tmp_path: Path) -> None:
    from rtmag.realtime.report.uff import write_uff

    contents = report([swaying("a"), swaying("a name of more than ten", 0.1)], scale=2, unit="mm")
    write_uff(contents, tmp_path / "a.uff")
    sets = pyuff.UFF(str(tmp_path / "a.uff")).read_sets()
    assert [(each["rsp_node"], each["rsp_dir"]) for each in sets] == [
        (1, 1),
        (1, -2),
        (2, 1),
        (2, -2),
    ]
    for number, each in enumerate(sets):
        region = contents.measurement.regions[number // 2]
        assert (each["type"], each["func_type"], each["abscissa_spacing"]) == (58, 1, 1)
        assert each["ordinate_axis_units_lab"].strip() == "m"
        assert each["ordinate_spec_data_type"] == 8
        assert each["abscissa_inc"] == pytest.approx(1 / FPS, rel=1e-5)
        assert np.allclose(each["data"], region.displacement[:, number % 2] * 2e-3, atol=1e-12)
        assert np.allclose(each["x"], region.times, atol=1e-4)
    assert sets[2]["id1"] == "displacement of a name of more than ten, right"
    assert sets[0]["id3"] == "04-MAR-26 05:06:07"


def test_pixels_without_a_scale_and_uneven_times(tmp_path: Path) -> None:
    from rtmag.realtime.report.uff import write_uff

    even = swaying()
    times = even.times + np.random.default_rng(0).uniform(0, 0.02, len(even.times))
    region = RegionMotion("r", even.box, times, even.displacement, even.deviation)
    write_uff(report([region]), tmp_path / "a.uff")
    first = pyuff.UFF(str(tmp_path / "a.uff")).read_sets()[0]
    assert (first["abscissa_spacing"], first["ordinate_axis_units_lab"].strip()) == (0, "px")
    assert np.allclose(first["x"], times, atol=1e-5)
    assert np.allclose(first["data"], region.displacement[:, 0], atol=1e-9)


def test_one_frame_is_refused(tmp_path: Path) -> None:
    from rtmag.realtime.report.uff import write_uff

    with pytest.raises(OptionError, match="fewer than two frames"):
        write_uff(report([swaying(seconds=1 / FPS)]), tmp_path / "a.uff")
