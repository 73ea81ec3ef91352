"""Measure start times: until the help is shown, and until the first frame of a video is written.

Each command is started several times in a process of its own, with its files cached by the system.
The best time is that of an idle machine. The median includes other load; the CPU time does not.

    python -m benchmarks.start [--rounds 7] [--size 640x480] [--out FILE.json]

The last line of stdout is one JSON document.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer

from benchmarks.memory import MAIN, write_clip
from rtmag.realtime.cli.options import parse_size
from rtmag.realtime.environment import machine
from rtmag.realtime.models import DEFAULT_MODEL


@dataclass(frozen=True, slots=True)
class Start:
    """Duration of a start in seconds."""

    seconds: float
    cpu: float
    """CPU time of all cores."""


def time_start(start: Callable[[], None]) -> Start:
    """Time a start that waits for its process to end."""
    before, began = os.times(), time.monotonic()
    start()
    took, after = time.monotonic() - began, os.times()
    spent = after.children_user + after.children_system
    return Start(took, spent - before.children_user - before.children_system)


def await_help() -> None:
    """Wait until `rtmag --help` has ended."""
    subprocess.run([sys.executable, "-c", MAIN, "--help"], stdout=subprocess.DEVNULL, check=True)


def await_first_frame(clip: Path, size: tuple[int, int]) -> None:
    """Wait until the first frame of `rtmag file` has arrived through a pipe."""
    run = [sys.executable, "-c", MAIN, "file", str(clip), "-o", "-"]
    with subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.stdout is not None
        head = child.stdout.readline()  # of the stream
        head += child.stdout.readline()  # of the frame
        picture = child.stdout.read(size[0] * size[1] * 3 // 2)
        child.kill()
    if not head.startswith(b"YUV4MPEG2") or len(picture) < size[0] * size[1] * 3 // 2:
        raise RuntimeError(f"no frame arrived: {head!r}")


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Starts per case.")] = 7,
    size: Annotated[str, typer.Option(help="WxH of the video.")] = "640x480",
    out: Annotated[Path | None, typer.Option(help="Also write the JSON to this file.")] = None,
) -> None:
    """Start rtmag several times."""
    extent = parse_size(size) or (640, 480)
    with tempfile.TemporaryDirectory() as folder:
        clip = write_clip(Path(folder) / "clip.mp4", extent, 60)
        starts: dict[str, Callable[[], None]] = {
            "`rtmag --help` has ended": await_help,
            f"`rtmag file` gave a frame, {size}": lambda: await_first_frame(clip, extent),
        }
        rows: list[dict[str, Any]] = []
        for what, start in starts.items():
            start()  # reads the files into the cache
            took = [time_start(start) for _ in range(rounds)]
            walls, cpus = [each.seconds for each in took], [each.cpu for each in took]
            rows.append(
                {"what": what, "best_s": round(min(walls), 3),
                 "median_s": round(median(walls), 3), "cpu_s": round(min(cpus), 3)}
            )  # fmt: skip
            print("{what}: {best_s} s, median {median_s} s, CPU {cpu_s} s".format(**rows[-1]))
    document = {"benchmark": "start", **machine(), "model": DEFAULT_MODEL,
                "size": extent, "rows": rows}  # fmt: skip
    if out is not None:
        out.write_text(json.dumps(document, indent=2) + "\n")
    print(json.dumps(document))


if __name__ == "__main__":
    typer.run(main)
