"""The tests that take minutes, and what came of each: daily runs leave them out.

    xvfb-run -a python -m benchmarks.slow [--out FILE.json]

Reconnections by the hundred, an outage of a minute, storms of connections, a page that is hidden
for minutes, memory that runs out. The last line of stdout is one JSON document. Exits as pytest.
"""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any
from xml.etree import ElementTree

import typer

from benchmarks.revision import revision
from rtmag.realtime.bench import machine

ROOT = Path(__file__).parent.parent


def rows(report: Path) -> list[dict[str, Any]]:
    """What pytest's report in JUnit's form says of each test, in the order of names."""
    found = []
    for case in ElementTree.parse(report).getroot().iter("testcase"):  # noqa: S314 - pytest's own
        name = f"{case.get('classname', '').rpartition('.')[2]}.py::{case.get('name')}"
        told = {each.tag: each.get("message") for each in case}
        outcome = next((tag for tag in ("failure", "error", "skipped") if tag in told), "passed")
        row = {"test": name, "outcome": outcome, "seconds": round(float(case.get("time", 0)), 1)}
        found.append(row if outcome == "passed" else {**row, "why": told[outcome]})
    return sorted(found, key=lambda row: row["test"])


def main(
    out: Annotated[Path | None, typer.Option(help="Also write the JSON here.")] = None,
) -> None:
    """Run every slow test."""
    with TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        run = [sys.executable, "-m", "pytest", "-m", "slow", "-q", f"--junitxml={report}"]
        code = subprocess.run(run, cwd=ROOT, check=False).returncode
        document = {"benchmark": "slow", "commit": revision(), **machine(), "rows": rows(report)}
    if out is not None:
        out.write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps(document))
    raise typer.Exit(code)


if __name__ == "__main__":
    typer.run(main)
