"""Measure the memory of `rtmag` in a process of its own.

Clips of several lengths are converted from mp4 to mp4, and the built-in scene is recorded through
the live loop, with every model and, for the scene, with the default `auto`. The memory must not
grow with the length of a clip.

    python -m benchmarks.memory [--size 1280x720] [--frames 40]... [--out FILE.json]

The last line of stdout is one JSON document.
"""

import json
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import psutil
import typer

from rtmag.realtime.cli.options import parse_size
from rtmag.realtime.engines.spec import AUTO
from rtmag.realtime.environment import machine
from rtmag.realtime.frame import Frame
from rtmag.realtime.models import model_names
from rtmag.realtime.sinks.video_file import VideoSink
from rtmag.realtime.sources.scene.scene import SceneSource

MAIN = "from rtmag.realtime.cli.main import main; main()"
_SAMPLE_EVERY = 0.02  # seconds


def measure_memory(*args: str | Path, cwd: Path) -> tuple[float, float]:
    """Peak and median memory in MB of `rtmag` with these arguments."""
    run = [sys.executable, "-c", MAIN, *map(str, args)]
    samples: list[int] = []
    most = 0
    with subprocess.Popen(run, cwd=cwd, stdout=subprocess.DEVNULL) as child:
        process = psutil.Process(child.pid)
        while child.poll() is None:
            samples.append(process.memory_info().rss)
            most = max(most, samples[-1], _peak_of(child.pid))
            with suppress(subprocess.TimeoutExpired):
                child.wait(_SAMPLE_EVERY)
    if child.returncode:
        raise RuntimeError(f"rtmag {' '.join(run[3:])} ended with {child.returncode}")
    return round(most / 1e6, 1), round(median(samples) / 1e6, 1)


def _peak_of(process: int) -> int:
    """Peak memory in bytes as counted by Linux, also between two samples; 0 elsewhere."""
    with suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    return 0


def write_clip(path: Path, size: tuple[int, int], frames: int) -> Path:
    """Write the built-in scene as a video that repeats its first second."""
    with SceneSource(size, frames=30) as scene:
        images = [frame.image for frame in scene]
    sink = VideoSink(path, fps=30.0)
    for index in range(frames):
        sink.write(Frame(images[index % 30], index / 30, index))
    sink.close()
    return path


def main(
    size: Annotated[str, typer.Option(help="WxH of the video.")] = "1280x720",
    frames: Annotated[list[int] | None, typer.Option(help="Frames of a clip; repeatable.")] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON to this file.")] = None,
) -> None:
    """Run every model on clips of every length, and live."""
    extent = parse_size(size) or (1280, 720)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for count in frames or [40, 160, 640, 1280]:
            clip = write_clip(folder / f"{count}.mp4", extent, count)
            scene = ("camera", "test", "--view", "none", "--size", size, "--frames", str(count))
            file, live = ("file", clip, "out.mp4"), (*scene, "--record", "live.mp4")
            one = [(model, ("--model", model, "--motion-scale", "1")) for model in model_names()]
            runs = [(run, *each) for each in one for run in (file, live)]
            for run, model, options in [*runs, (live, AUTO, ())]:
                most, typical = measure_memory(*run, *options, "--overwrite", cwd=folder)
                rows.append(
                    {"command": run[0], "model": model, "frames": count,
                     "peak_mb": most, "median_mb": typical}
                )  # fmt: skip
                print("{command}, {model}, {frames} frames: {peak_mb} MB".format(**rows[-1]))
    document = {"benchmark": "memory", **machine(), "size": extent,
                "rows": rows}  # fmt: skip
    if out is not None:
        out.write_text(json.dumps(document, indent=2) + "\n")
    print(json.dumps(document))


if __name__ == "__main__":
    typer.run(main)
