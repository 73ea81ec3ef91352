"""Measure vibrating things with known motion.

Scenes: benchmarks/vibrating_scenes.py. Each thing is measured in a box on it, by three methods.
Peaks of all of them are read in the same way, by analysis/sinusoids.py, so the methods differ in
the displacement only. pyIDI (LADISK) is used if it is installed: `pip install pyidi`.

region   as in `rtmag measure`: registration with the mean of the earlier frames
patch    registration with the first frame
pyidi    median of 9 points of pyIDI's LucasKanade, with subsets of 21 x 21 pixels

    python -m benchmarks.measure [--scenes 40] [--out FILE.json]

The last line of stdout is one JSON document.
"""

import contextlib
import importlib.util
import io
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.heldout import pictures
from benchmarks.vibrating_scenes import SHAKE, Thing, VibratingScene, scene
from rtmag.realtime.analysis.measurement import RegionMotion
from rtmag.realtime.analysis.meter import Meter
from rtmag.realtime.analysis.spectra import Samples
from rtmag.realtime.analysis.tracking import Tracker, gray
from rtmag.realtime.environment import machine
from rtmag.realtime.frame import Frame

SAME = 0.1
"""Hz: a peak this close to a thing's frequency is that of the thing."""

_POINTS = 3  # points of pyIDI across and down
_SUBSET = 21  # px, side of the subsets of pyIDI


def patch(frames: Sequence[Frame], things: Sequence[Thing]) -> list[RegionMotion]:
    """Measure by registration with the first frame."""
    trackers = [Tracker(gray(frames[0].image), thing.box) for thing in things]
    paths = [
        np.array([tracker.displacement(gray(frame.image)) for frame in frames])
        for tracker in trackers
    ]
    return _motions(frames, things, paths)


def region(frames: Sequence[Frame], things: Sequence[Thing]) -> list[RegionMotion]:
    """Measure as `rtmag measure` does."""
    meter = Meter({str(number): thing.box for number, thing in enumerate(things)})
    for frame in frames:
        meter.add(frame)
    return list(meter.result().regions)


def pyidi(frames: Sequence[Frame], things: Sequence[Thing]) -> list[RegionMotion]:
    """Measure with pyIDI."""
    from pyidi import LucasKanade, VideoReader

    clip = np.stack([frame.image[..., 0] for frame in frames])
    paths = []
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        for thing in things:
            x, y, w, h = thing.box
            across, down = (np.linspace(-0.25, 0.25, _POINTS) * side for side in (w, h))
            points = [(y + h / 2 + dy, x + w / 2 + dx) for dy in down for dx in across]
            method = LucasKanade(VideoReader(clip, root=folder))
            method.set_points(np.rint(points).astype(int))
            side = (_SUBSET, _SUBSET)
            method.configure(roi_size=side, verbose=0, show_pbar=False, processes=1)
            found = method.get_displacements(autosave=False)  # (points, T, 2), y before x
            paths.append(np.median(found, axis=0)[:, ::-1])
    return _motions(frames, things, paths)


def _motions(
    frames: Sequence[Frame], things: Sequence[Thing], paths: Sequence[Samples]
) -> list[RegionMotion]:
    times = np.array([frame.time for frame in frames])
    return [
        RegionMotion("", thing.box, times, np.asarray(path), np.zeros((len(times), 2)))
        for thing, path in zip(things, paths, strict=True)
    ]


METHODS = {"region": region, "patch": patch, "pyidi": pyidi}


def rows_of(made: VibratingScene) -> list[dict[str, Any]]:
    """Measure all things of a scene by every method; one row for each of both."""
    frames = list(made.frames())
    rows = []
    for name, method in METHODS.items():
        if name == "pyidi" and importlib.util.find_spec("pyidi") is None:
            continue
        begin = time.perf_counter()
        motions = method(frames, made.things)
        seconds = (time.perf_counter() - begin) / len(made.things)
        for thing, motion in zip(made.things, motions, strict=True):
            row: dict[str, Any] = {
                "method": name,
                "scene": made.seed,
                "codec": made.codec,
                "noise": made.noise,
            }
            row |= {"flicker": made.flicker, "shake": bool(made.shake.any())}
            rows.append(row | _read(thing, motion, row["shake"]) | {"seconds": round(seconds, 3)})
    return rows


def _read(thing: Thing, motion: RegionMotion, shaken: bool) -> dict[str, Any]:
    """Compare the peaks of a region with the truth."""
    peaks = motion.peaks
    own = min(peaks, key=lambda peak: abs(peak.hz - thing.hz), default=None)
    if own is not None and abs(own.hz - thing.hz) > SAME:
        own = None
    others = [
        p for p in peaks if p is not own and not (shaken and SHAKE[0] - 0.5 < p.hz < SHAKE[1] + 0.5)
    ]
    row: dict[str, Any] = {"hz": round(thing.hz, 4), "px": round(thing.px, 4)}
    row |= {"found": own is not None, "false": len(others)}
    row["first"] = own is not None and all(own.px >= other.px for other in others)
    if own is not None:
        row |= {
            "hz_error": round(own.hz - thing.hz, 6),
            "hz_deviation": round(own.hz_deviation, 6),
            "px_error": round(own.px - thing.px, 6),
            "px_deviation": round(own.px_deviation, 6),
        }
    return row


def main(
    scenes: Annotated[int, typer.Option(help="Number of scenes.")] = 40,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON to this file.")] = None,
) -> None:
    """Measure the things of all scenes."""
    images = list(pictures().values())
    rows: list[dict[str, Any]] = []
    for seed in range(scenes):
        rows += rows_of(scene(seed, images))
        print(f"scene {seed}: {sum(row['found'] for row in rows)} of {len(rows)} found", flush=True)
    if importlib.util.find_spec("pyidi") is None:
        print("pyIDI is not installed: it is left out")
    document = {"benchmark": "measure", **machine(), "scenes": scenes, "rows": rows}
    if out is not None:
        out.write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps(document))


if __name__ == "__main__":
    typer.run(main)
