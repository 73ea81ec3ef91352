"""Printing and comparing results, and files that are not results."""

import json
from pathlib import Path
from typing import Any

import pytest

from rtmag.realtime.bench.results import compare, report
from rtmag.realtime.errors import OptionError


def document(**times: float) -> dict[str, Any]:
    """A result of one model per time."""
    rows = [
        {
            "model": name, "motion_scale": 0.5, "width": 640, "height": 480, "p50_ms": ms,
            "p95_ms": ms, "p99_ms": ms, "fps": 1000 / ms, "floor_ms": ms / 2, "floor_share": 0.5,
            "speed": 1.0,
        }
        for name, ms in times.items()
    ]  # fmt: skip
    machine = {"cpu": "some", "cores": 2, "system": "any"}
    return {
        "benchmark": "fps", "machine": machine, "floor": {"gemm": 1e11, "copy": 2e10},
        "provider": "cpu", "baseline": "last", "rows": rows,
    }  # fmt: skip


def write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_common_rows_are_compared(tmp_path: Path) -> None:
    before = write(tmp_path / "a.json", document(fast=30.0, gone=1.0))
    after = write(tmp_path / "b.json", document(fast=20.0, new=1.0))
    (line,) = compare(before, after)
    assert line.split() == [
        "fast",
        "1/2",
        "640x480",
        "30.00",
        "ms",
        "->",
        "20.00",
        "ms",
        "1.50",
        "x",
    ]


def test_a_difference_of_machines_is_a_warning(tmp_path: Path) -> None:
    other = document(fast=20.0)
    other["machine"] = {"cpu": "other"}
    lines = compare(
        write(tmp_path / "a.json", document(fast=30.0)), write(tmp_path / "b.json", other)
    )
    assert lines[0].startswith("warning: the results are from different machines")


@pytest.mark.parametrize("content", [[], {}, {"benchmark": "live", "rows": []}, {"rows": [1]}])
def test_a_file_that_is_not_a_result_is_refused(content: Any, tmp_path: Path) -> None:
    good = write(tmp_path / "a.json", document(fast=30.0))
    with pytest.raises(OptionError, match=r"b\.json': not a result of rtmag bench"):
        compare(good, write(tmp_path / "b.json", content))
    with pytest.raises(OptionError, match=r"cannot read '.*c\.json': No such file"):
        compare(good, tmp_path / "c.json")


def test_results_without_a_common_row_are_refused(tmp_path: Path) -> None:
    before = write(tmp_path / "a.json", document(fast=30.0))
    after = write(tmp_path / "b.json", document(standard=30.0))
    with pytest.raises(OptionError, match="no row in common"):
        compare(before, after)


def test_a_report_names_the_share_of_the_roofline() -> None:
    (row,) = report(document(fast=30.0))
    assert "50% of the roofline" in row
    nothing = document(fast=30.0)
    nothing["rows"][0]["floor_ms"] = None
    assert "roofline" not in report(nothing)[0]


def test_precisions_identify_rows_that_are_otherwise_equal(tmp_path: Path) -> None:
    old, new = document(fast=30.0), document(fast=20.0)
    new["rows"][0]["precision"] = "fp32+bf16"
    before, after = write(tmp_path / "a.json", old), write(tmp_path / "b.json", new)
    assert compare(before, after)[0].endswith("1.50 x"), "older results have no precision"
    assert report(new)[0].endswith("1.0 x last, fp32+bf16")
    assert report(old)[0].endswith("1.0 x last")
    new["rows"].append(new["rows"][0] | {"precision": "fp32", "p50_ms": 40.0})
    both = write(tmp_path / "c.json", new)
    lines = [line.split() for line in compare(both, both)]
    assert [line[2:5:2] for line in lines] == [["fp32+bf16", "20.00"], ["fp32", "40.00"]]


def test_engines_are_named_if_there_are_several(tmp_path: Path) -> None:
    """Results of one engine each are compared as engines; a result of several, row by row."""
    one = document(fast=30.0)
    for row in one["rows"]:
        row["provider"] = "cpu"
    both = json.loads(json.dumps(one))
    both["rows"] += [row | {"provider": "openvino", "p50_ms": 20.0} for row in one["rows"]]
    assert [line.split()[:3] for line in report(both)] == [
        ["fast", "1/2", "cpu"],
        ["fast", "1/2", "openvino"],
    ]
    other = json.loads(json.dumps(one))
    other["rows"][0]["provider"] = "openvino"
    before, after = write(tmp_path / "a.json", one), write(tmp_path / "b.json", other)
    assert compare(before, after)[0].endswith("1.00 x")
    assert len(compare(write(tmp_path / "c.json", both), write(tmp_path / "d.json", both))) == 2
