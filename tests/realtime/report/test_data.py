"""CSV and JSON, read back with the readers of the standard library."""

import csv
import json
from io import StringIO

import numpy as np
import pytest

from rtmag.realtime.analysis.measurement import RegionMotion
from rtmag.realtime.report.data import as_data, write_csv, write_json
from tests.support.measured import HZ, report, swaying


def rows_of(text: StringIO) -> list[dict[str, str]]:
    text.seek(0)
    return list(csv.DictReader(text))


def test_csv_has_every_sample_in_the_unit() -> None:
    contents, text = report(scale=0.5, unit="mm"), StringIO()
    write_csv(contents, text)
    rows = rows_of(text)
    region = contents.measurement.regions[0]
    assert list(rows[0]) == [
        "time_s", "motor_x_mm", "motor_y_mm", "motor_x_deviation_mm", "motor_y_deviation_mm",
    ]  # fmt: skip
    assert np.allclose([float(row["time_s"]) for row in rows], region.times, atol=1e-8)
    measured = [float(row["motor_x_mm"]) for row in rows]
    assert np.allclose(measured, region.displacement[:, 0] * 0.5, rtol=1e-5)
    assert {row["motor_y_deviation_mm"] for row in rows} == {"0.001"}


def test_cells_of_frames_that_a_region_lacks_are_empty() -> None:
    whole = swaying("whole", seconds=1)
    part = RegionMotion(
        "part", (0, 0, 8, 8), whole.times[5:], whole.displacement[5:], whole.deviation[5:]
    )
    text = StringIO()
    write_csv(report([part, whole]), text)
    rows = rows_of(text)
    assert len(rows) == len(whole.times)
    assert [bool(row["part_x_px"]) for row in rows] == [False] * 5 + [True] * 25
    assert all(row["whole_x_px"] for row in rows)


def test_json_is_strict_and_has_all_results() -> None:
    text = StringIO()
    regions = [swaying("a", 0.3), swaying("b", 0.2, 90)]
    write_json(report(regions, scale=0.5, unit="mm", settings={"band": "all"}), text)

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    data = json.loads(text.getvalue(), parse_constant=refuse)
    first = data["regions"][0]
    peak = first["peaks"][0]
    assert (data["unit"], data["unit_per_px"], data["fps"]) == ("mm", 0.5, 30)
    assert peak["hz"] == pytest.approx(HZ, abs=0.002)
    assert peak["amplitude"] == pytest.approx(0.15, rel=0.01)
    assert peak["velocity"] == pytest.approx(0.15 * 2 * np.pi * HZ, rel=0.01)
    assert peak["acceleration"] == pytest.approx(0.15 * (2 * np.pi * HZ) ** 2, rel=0.01)
    assert abs(peak["orbit"]["angle_deg"]) < 2
    assert first["levels"]["displacement"]["peak_to_peak"] == pytest.approx(0.3, rel=0.05)
    spectrum = first["spectrum"]
    top = int(np.argmax(spectrum["x"]))
    assert spectrum["hz"][top] == pytest.approx(HZ, abs=0.1)
    assert spectrum["x"][top] == pytest.approx(0.15, rel=0.1)
    assert len(spectrum["y"]) == len(spectrum["hz"])
    assert [link["related"] for link in data["relations"]] == [True]
    assert data["relations"][0]["phase_deg"] == pytest.approx(90, abs=3)
    assert data["made"] == "2026-03-04T05:06:07+00:00"


def test_a_region_of_two_frames_has_no_invented_numbers() -> None:
    data = as_data(report([swaying(seconds=2 / 30)]))
    region = data["regions"][0]
    assert region["peaks"] == region["spectrum"]["hz"] == []
    assert region["levels"]["velocity"]["rms"] is None
    json.dumps(data, allow_nan=False)
