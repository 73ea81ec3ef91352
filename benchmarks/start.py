"""How long rtmag takes to begin: until help is shown, and until the first frame of a video is out.

Each is started several times, as a process of its own, from a warm disk. The best of them says
what it takes; the median, what a busy machine makes of it.

    python -m benchmarks.start [--rounds 7] [--size 640x480] [--out FILE.json]

The last line of stdout is one JSON document.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer

from benchmarks.memory import MAIN, write_clip
from benchmarks.revision import revision
from rtmag.realtime.bench import machine
from rtmag.realtime.models import DEFAULT_MODEL
from rtmag.realtime.options import parse_size


def help_seconds() -> float:
    """Until `rtmag --help` has ended."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", MAIN, "--help"], stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - began


def first_frame_seconds(clip: Path, size: tuple[int, int]) -> float:
    """Until the first frame that `rtmag file` magnifies has come through a pipe, whole."""
    began = time.monotonic()
    run = [sys.executable, "-c", MAIN, "file", str(clip), "-o", "-"]
    with subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.stdout is not None
        head = child.stdout.readline()  # of the stream
        head += child.stdout.readline()  # of the frame
        picture = child.stdout.read(size[0] * size[1] * 3 // 2)
        took = time.monotonic() - began
        child.kill()
    if not head.startswith(b"YUV4MPEG2") or len(picture) < size[0] * size[1] * 3 // 2:
        raise RuntimeError(f"no frame came: {head!r}")
    return took


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Starts of each.")] = 7,
    size: Annotated[str, typer.Option(help="WxH of the video.")] = "640x480",
    out: Annotated[Path | None, typer.Option(help="Also write the JSON here.")] = None,
) -> None:
    """Start rtmag several times."""
    extent = parse_size(size) or (640, 480)
    with tempfile.TemporaryDirectory() as folder:
        clip = write_clip(Path(folder) / "clip.mp4", extent, 60)
        starts: dict[str, Callable[[], float]] = {
            "`rtmag --help` has ended": help_seconds,
            f"`rtmag file` gives the first frame, {size}": lambda: first_frame_seconds(
                clip, extent
            ),
        }
        rows: list[dict[str, Any]] = []
        for what, start in starts.items():
            start()  # reads the disk
            took = [start() for _ in range(rounds)]
            rows.append(
                {"what": what, "best_s": round(min(took), 3), "median_s": round(median(took), 3)}
            )
            print("{what}: {best_s} s, median {median_s} s".format(**rows[-1]))
    document = {"benchmark": "start", "commit": revision(), **machine(), "model": DEFAULT_MODEL,
                "size": extent, "rows": rows}  # fmt: skip
    if out is not None:
        out.write_text(json.dumps(document, indent=2) + "\n")
    print(json.dumps(document))


if __name__ == "__main__":
    typer.run(main)
