"""Find the frequencies of vibrating things with known motion, and nothing where nothing moves.

Scenes: benchmarks/vibrating_scenes.py. Frequencies are found in the whole picture, as by `rtmag
measure --find`. A line that is offered as real is right if a thing has its frequency, or a multiple
of it. With --clips FOLDER, the best line of each recording is printed next to the frequency in its
name, such as shaker_37hz.mp4. These results are not kept.

    python -m benchmarks.find [--scenes 40] [--still 20] [--clips FOLDER] [--out FILE.json]

The last line of stdout is one JSON document.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.heldout import pictures
from benchmarks.measure import SAME
from benchmarks.vibrating_scenes import FPS, VibratingScene, scene
from rtmag.realtime.analysis.finding import FINDING, Finder, Line
from rtmag.realtime.environment import machine
from rtmag.realtime.frame import Frame
from rtmag.realtime.magnifier import Magnifier
from rtmag.realtime.sources.opening import open_source

_MULTIPLES = 8  # of a frequency that count as right


def real_lines(
    frames: Iterable[Frame], fps: float | None, capture_fps: float | None = None
) -> list[Line]:
    """Return the lines of a clip that are offered as real, best first."""
    finder = Finder(capture_fps=capture_fps)
    magnifier = Magnifier(filter=FINDING, fps=fps, capture_fps=capture_fps)
    for frame in frames:
        finder.add(replace(frame, field=magnifier.motion(frame)))
    return [line for line in finder.lines() if line.real]


def row_of(made: VibratingScene) -> dict[str, Any]:
    """Compare the lines of a scene with its things."""
    lines = real_lines(made.frames(), FPS)
    true = [thing.hz for thing in made.things]
    multiples = [n * hz for hz in true for n in range(1, _MULTIPLES + 1)]
    return {
        "scene": made.seed,
        "codec": made.codec,
        "noise": made.noise,
        "flicker": made.flicker,
        "shake": bool(made.shake.any()),
        "hz": [round(hz, 3) for hz in true],
        "px": [round(thing.px, 3) for thing in made.things],
        "lines": [[round(line.hz, 3), round(line.px, 3)] for line in lines],
        "first": bool(lines) and _near(lines[0].hz, true),
        "found": sum(_near(hz, [line.hz for line in lines]) for hz in true),
        "false": sum(not _near(line.hz, multiples) for line in lines),
    }


def _near(hz: float, others: Iterable[float]) -> bool:
    return any(abs(hz - other) <= SAME for other in others)


def print_clips(folder: Path, capture_fps: float) -> None:
    """Print the best line of each recording whose name has its frequency."""
    for path in sorted(folder.glob("*.mp4")):
        wanted = re.search(r"_(\d+)hz", path.stem)
        if wanted is None:
            continue
        with open_source(path) as source:
            lines = real_lines(source, None, capture_fps)
        best = f"{lines[0].hz:.2f} Hz, {lines[0].px:.3f} px" if lines else "nothing"
        print(f"{path.name}: {best}; true: {wanted[1]} Hz", flush=True)


def main(
    scenes: Annotated[int, typer.Option(help="Number of scenes.")] = 40,
    still: Annotated[int, typer.Option(help="Number of scenes in which nothing moves.")] = 20,
    clips: Annotated[Path | None, typer.Option(help="Folder with recordings.")] = None,
    capture_fps: Annotated[float, typer.Option(help="Frames per second of these.")] = 239.76,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON to this file.")] = None,
) -> None:
    """Find the frequencies of all scenes."""
    images = list(pictures().values())
    if clips is not None:
        print_clips(clips, capture_fps)
    rows = []
    for seed in range(scenes):
        rows.append(row_of(scene(seed, images)))
        print("scene {scene}: {hz} Hz, found {lines}".format(**rows[-1]), flush=True)
    for seed in range(still):
        rows.append(row_of(scene(seed, images, still=True)))
        print("still scene {scene}: found {lines}".format(**rows[-1]), flush=True)
    document = {"benchmark": "find", **machine(), "rows": rows}
    if out is not None:
        out.write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps(document))


if __name__ == "__main__":
    typer.run(main)
