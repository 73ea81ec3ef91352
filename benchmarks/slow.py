"""The tests that take minutes, and what came of each: daily runs leave them out.

    xvfb-run -a python -m benchmarks.slow [--again FILE.json] [--out FILE.json]

Reconnections by the hundred, an outage of a minute, storms of connections, a page that is hidden
for minutes, memory that runs out. With --again only those are run that have not passed in an
earlier report; the others keep the commit at which they did. The last line of stdout is one JSON
document. Exits as pytest.
"""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any
from xml.etree import ElementTree

import typer

from rtmag.realtime.environment import code, machine

ROOT = Path(__file__).parent.parent


def rows(report: Path, commit: str | None) -> list[dict[str, Any]]:
    """What pytest's report in JUnit's form says of each test."""
    found = []
    for case in ElementTree.parse(report).getroot().iter("testcase"):  # noqa: S314 - pytest's own
        module = case.get("classname", "").removeprefix("tests.").replace(".", "/")
        name = f"{module}.py::{case.get('name')}"
        told = {each.tag: each.get("message") for each in case}
        outcome = next((tag for tag in ("failure", "error", "skipped") if tag in told), "passed")
        row = {"test": name, "outcome": outcome, "seconds": round(float(case.get("time", 0)), 1)}
        row |= {"commit": commit} if outcome == "passed" else {"why": told[outcome]}
        found.append(row)
    return found


def main(
    again: Annotated[Path | None, typer.Option(help="An earlier report, to complete.")] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON here.")] = None,
) -> None:
    """Run every slow test."""
    before = json.loads(again.read_text())["rows"] if again is not None else []
    kept = [row for row in before if row["outcome"] == "passed"]
    missing = [f"tests/{row['test']}" for row in before if row not in kept]
    if again is not None and not missing:
        print("all of them have passed")
        return
    commit = code()
    with TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        run = [sys.executable, "-m", "pytest", "-m", "slow", "-q", f"--junitxml={report}", *missing]
        status = subprocess.run(run, cwd=ROOT, check=False).returncode
        found = sorted([*kept, *rows(report, commit)], key=lambda row: str(row["test"]))
    document = {"benchmark": "slow", **machine(), "commit": commit, "rows": found}
    if out is not None:
        out.write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps(document))
    raise typer.Exit(status)


if __name__ == "__main__":
    typer.run(main)
