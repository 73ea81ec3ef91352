"""Run the tests that take minutes and report their outcomes.

    xvfb-run -a python -m benchmarks.slow [--again FILE.json] [--out FILE.json]

These are hundreds of reconnections, an outage of a minute, many connections at the same time, a
page that is hidden for minutes, and too little memory. `--again` runs only the tests that have not
passed in an earlier report; the others keep the commit at which they passed. The last line of
stdout is one JSON document. The exit code is that of pytest.
"""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any
from xml.etree import ElementTree

import typer

from rtmag.realtime.environment import commit, machine

ROOT = Path(__file__).parent.parent


def rows(report: Path, commit: str | None) -> list[dict[str, Any]]:
    """One row per test of pytest's JUnit report."""
    found = []
    for case in ElementTree.parse(report).getroot().iter("testcase"):  # noqa: S314 - pytest's own
        module = case.get("classname", "").removeprefix("tests.").replace(".", "/")
        name = f"{module}.py::{case.get('name')}"
        messages = {each.tag: each.get("message") for each in case}
        outcome = next((t for t in ("failure", "error", "skipped") if t in messages), "passed")
        row = {"test": name, "outcome": outcome, "seconds": round(float(case.get("time", 0)), 1)}
        row |= {"commit": commit} if outcome == "passed" else {"why": messages[outcome]}
        found.append(row)
    return found


def main(
    again: Annotated[Path | None, typer.Option(help="Earlier report to complete.")] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON to this file.")] = None,
) -> None:
    """Run every slow test."""
    before = json.loads(again.read_text())["rows"] if again is not None else []
    kept = [row for row in before if row["outcome"] == "passed"]
    missing = [f"tests/{row['test']}" for row in before if row not in kept]
    if again is not None and not missing:
        print("all tests have passed")
        return
    revision = commit()
    with TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        pytest = [sys.executable, "-m", "pytest", "-m", "slow", "-n", "0", "-q"]
        run = [*pytest, f"--junitxml={report}", *missing]
        status = subprocess.run(run, cwd=ROOT, check=False).returncode
        found = sorted([*kept, *rows(report, revision)], key=lambda row: str(row["test"]))
    document = {"benchmark": "slow", **machine(), "commit": revision, "rows": found}
    if out is not None:
        out.write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps(document))
    raise typer.Exit(status)


if __name__ == "__main__":
    typer.run(main)
