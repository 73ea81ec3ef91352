"""Parts of the quality benchmark (benchmarks/quality.py), each a list of rows."""

import statistics
import sys
from collections import defaultdict
from typing import Any

import numpy as np

from benchmarks import gain, pairs, sequences
from benchmarks.classical import Stepper
from rtmag.realtime.analysis.gain import SceneMeasurement
from rtmag.realtime.engines.engine import Engine
from rtmag.realtime.filters import Static, Temporal
from rtmag.realtime.magnifier import Magnifier
from rtmag.realtime.run import demo
from rtmag.realtime.sources.scene.scene import SceneSource

PAIRS = 6  # per condition
QUICK_SETS = ("alpha", "static")

Row = dict[str, Any]


def score_pairs(methods: list[Stepper], pictures: list[Any], *, quick: bool) -> list[Row]:
    """Mean scores of each method under each condition."""
    rows = []
    for condition in pairs.conditions():
        if quick and (condition.set not in QUICK_SETS or condition.at not in (0.0, 20.0)):
            continue
        scores: dict[str, list[dict[str, float]]] = defaultdict(list)
        for pair in pairs.pairs(condition, pictures, 1 if quick else PAIRS):
            for method in methods:
                scores[method.name].append(pairs.score(method, pair, condition.alpha))
        rows += [
            {"method": name, "set": condition.set, "at": condition.at, **mean(each)}
            for name, each in scores.items()
        ]
        print(f"{condition.set} {condition.at:g}", file=sys.stderr, flush=True)
    return rows


def score_gain(methods: list[Stepper], pictures: list[Any], *, quick: bool) -> list[Row]:
    """Measured gain of each method by motion and alpha."""
    rows = []
    for method in methods:
        for motion, alpha in [(0.5, 5.0)] if quick else gain.cases():
            each = [gain.gain(method, picture, motion, alpha) for picture in pictures]
            rows.append(
                {"method": method.name, "motion": motion, "alpha": alpha}
                | {"gain": rounded(statistics.mean(each)), "worst": rounded(worst(each))}
            )
    return rows


def score_sequences(methods: list[Stepper], pictures: list[Any], *, quick: bool) -> list[Row]:
    """Scores of clips with sinusoidal motion under each filter."""
    names = ["temporal"] if quick else list(sequences.FILTERS)
    rows = []
    for name in names:
        sections = sequences.FILTERS[name].sections(sequences.FPS)
        seeds = range(1 if quick else 3)
        clips = [sequences.sinusoid(sections, pictures, seed) for seed in seeds]
        for method in methods:
            each = [sequences.score(method, clip, sections) for clip in clips]
            rows.append({"method": method.name, "filter": name, **mean(each)})
    return rows


def score_light(methods: list[Stepper], pictures: list[Any], *, quick: bool) -> list[Row]:
    """Scores of clips whose light changes, with an object that moves and with nothing moving."""
    rows = []
    for light, filter in list(sequences.LIGHTS.items())[: 1 if quick else None]:
        sections = filter.sections(sequences.FPS)
        for motion in (0.0,) if quick else (0.0, 0.1):
            clips = [
                sequences.sinusoid(sections, pictures, seed, motion, light)
                for seed in range(1 if quick else 3)
            ]
            for method in methods:
                each = [sequences.score(method, clip, sections) for clip in clips]
                rows.append({"method": method.name, "light": light, "motion": motion, **mean(each)})
    return rows


def score_steadiness(methods: list[Stepper], pictures: list[Any]) -> list[Row]:
    """Flicker of still, noisy clips, and the largest change at alpha 1."""
    rows = []
    for method in methods:
        flicker = [sequences.flicker(method, p, 2.0, seed) for seed, p in enumerate(pictures[:3])]
        rows.append(
            {"method": method.name, "flicker": rounded(statistics.mean(flicker))}
            | {"identity": max(identity(method, picture) for picture in pictures)}
        )
    return rows


def score_band(methods: list[Stepper], pictures: list[Any], *, quick: bool) -> list[Row]:
    """Designed and measured gains below, at, within and above the edges of bands."""
    bands = (sequences.BAND,) if quick else (sequences.BAND, sequences.NARROW)
    rows = []
    for band, hz in [(b, hz) for b in bands for hz in ((b.fh,) if quick else band_frequencies(b))]:
        sways = [
            sequences.sway(each, hz, band) for each in (pictures[:1] if quick else pictures[::3])
        ]
        for method in methods:
            gains = [sway.gain(method) for sway in sways]
            rows.append(
                {"method": method.name, "fl": band.fl, "fh": band.fh, "order": band.order}
                | {"hz": rounded(hz), "designed": rounded(sways[0].designed)}
                | {"gain": rounded(statistics.mean(gains))}
                | {"least": rounded(min(gains)), "most": rounded(max(gains))}
            )
    return rows


def score_two_objects(methods: list[Stepper], pictures: list[Any], *, quick: bool) -> list[Row]:
    """Gains of an object in the middle of each band and of one at twice the upper edge."""
    rows = []
    for band in (sequences.BAND,) if quick else (sequences.BAND, sequences.NARROW):
        _, _, middle, _, above = band_frequencies(band)
        each = pictures[:1] if quick else pictures[::3]
        left = [sequences.sway(picture, middle, band) for picture in each]
        right = [sequences.sway(picture, above, band) for picture in [*each[1:], each[0]]]
        for method in methods:
            gains = [sequences.side_by_side(method, *two) for two in zip(left, right, strict=True)]
            for place, sway in enumerate((left[0], right[0])):
                rows.append(
                    {"method": method.name, "fl": band.fl, "fh": band.fh, "order": band.order}
                    | {"hz": rounded(sway.hz), "designed": rounded(sway.designed)}
                    | {"gain": rounded(statistics.mean(two[place] for two in gains))}
                )
    return rows


def band_frequencies(band: Temporal) -> tuple[float, ...]:
    """Hz: half the lower edge, lower edge, middle, upper edge, twice the upper edge."""
    return band.fl / 2, band.fl, float(np.sqrt(band.fl * band.fh)), band.fh, 2 * band.fh


def score_scene(engines: list[Engine], *, quick: bool) -> list[Row]:
    """Gains and noise in the scene of `rtmag demo`."""
    rows = []
    for engine in engines:
        with SceneSource(frames=30 if quick else demo.FRAMES) as scene:
            band = Temporal(*demo.BAND, order=2)
            magnifier = Magnifier(engine, alpha=sequences.ALPHA, filter=band, fps=scene.fps)
            measurement = SceneMeasurement(scene)
            for frame in scene:
                measurement.add(frame, magnifier(frame))
        times = {g.vibration.name: rounded(g.ratio) for g in measurement.gains() if g.ratio}
        before, after = (rounded(value) for value in measurement.noise())
        rows.append({"method": engine.name, "gain": times, "noise": before, "shown": after})
    return rows


def identity(method: Stepper, picture: Any) -> int:
    """Largest change of a moved picture at alpha 1, in grey levels."""
    sections = Static().sections(30.0)
    _, state = method.step(picture, 1.0, sections, None)
    moved = np.roll(picture, 1, axis=1)
    shown, _ = method.step(moved, 1.0, sections, state)
    return int(np.abs(shown.astype(int) - moved).max())


def mean(rows: list[dict[str, float]]) -> dict[str, float]:
    """Column means; a column that some rows lack is averaged over the others."""
    names = sorted({name for row in rows for name in row})
    return {n: rounded(statistics.mean(row[n] for row in rows if n in row)) for n in names}


def worst(gains: list[float]) -> float:
    """Return the gain furthest from 1."""
    return max(gains, key=lambda value: abs(value - 1))


def rounded(value: float) -> float:
    """Round to four decimals."""
    return round(float(value), 4)
