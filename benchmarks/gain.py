"""Realised magnification: how far things are shown to move, over alpha times how far they moved.

Photographs that training never sees (train/textures.py, HELD_OUT) are shifted by a known fraction
of a pixel with a Fourier phase, rounded to 8 bits with dither, and magnified in static mode from
the unshifted one; the shown shift is measured by registration (realtime/registration.py). 1.00 is
perfect.

    python -m benchmarks.gain [--model NAME|PATH] [--quick] [--out FILE.json]

The last line of stdout is one JSON document.
"""

import json
import statistics
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from rtmag.realtime.engine import OnnxEngine, load_engine
from rtmag.realtime.filters import Static
from rtmag.realtime.frame import Image
from rtmag.realtime.registration import Tracker, gray
from rtmag.train.textures import HELD_OUT, bundled

MOTIONS = (0.05, 0.1, 0.25, 0.5, 1.0)  # px
ALPHAS = (2.0, 5.0, 10.0, 20.0, 50.0)
LARGEST = 12.0  # px shown: beyond it, registration of a patch would be the weaker of the two
SIDE = 256
DIRECTION = 0.6  # rad: neither along rows nor along columns


def shifted(spectrum: NDArray[np.complex128], dx: float, dy: float, seed: int) -> Image:
    """The picture moved by (dx, dy) px, rounded with dither."""
    fy, fx = (np.fft.fftfreq(n) for n in spectrum.shape[:2])
    phase = np.exp(-2j * np.pi * (fy[:, None] * dy + fx[None, :] * dx))
    moved = np.fft.ifft2(spectrum * phase[..., None], axes=(0, 1)).real
    dither = np.random.default_rng(seed).random(moved.shape)
    return np.floor(moved + dither).clip(0, 255).astype(np.uint8)


def gain(engine: OnnxEngine, picture: Image, motion: float, alpha: float) -> float:
    """Shown displacement over alpha times the true one, along the true direction."""
    spectrum = np.fft.fft2(picture[:SIDE, :SIDE].astype(np.float64), axes=(0, 1))
    direction = np.array([np.cos(DIRECTION), np.sin(DIRECTION)])
    reference, moved = shifted(spectrum, 0, 0, 1), shifted(spectrum, *(motion * direction), 2)
    sections = Static().sections(1.0)
    _, state = engine.step(reference, alpha, sections, None)
    shown, _ = engine.step(moved, alpha, sections, state)
    middle = (SIDE // 4, SIDE // 4, SIDE // 2, SIDE // 2)
    tracker = Tracker(gray(reference), middle)
    return float(np.dot(tracker.displacement(gray(shown), 20), direction) / (alpha * motion))


def main(
    model: Annotated[str | None, typer.Option(help="Name or path.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="For smoke only.")] = False,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON here.")] = None,
) -> None:
    """Measure the realised magnification over motions and factors."""
    engine = load_engine(model)
    pictures = bundled(HELD_OUT)
    rows = []
    for motion in MOTIONS[3:4] if quick else MOTIONS:
        for alpha in ALPHAS[1:2] if quick else ALPHAS:
            if motion * alpha <= LARGEST:
                gains = [gain(engine, picture, motion, alpha) for picture in pictures]
                rows.append(
                    {"motion": motion, "alpha": alpha, "gain": round(statistics.mean(gains), 3)}
                )
                print("{motion:5.2f} px  alpha {alpha:5.1f}  gain {gain:.3f}".format(**rows[-1]))
    training = json.loads(engine.metadata["rtmag.training"])
    document = {
        "benchmark": "gain",
        "model": engine.name,
        "commit": training.get("commit", ""),
        "sha256": engine.metadata["rtmag.sha256"],
        "pictures": HELD_OUT,
        "rows": rows,
    }
    if out:
        out.write_text(json.dumps(document, indent=2) + "\n")
    print(json.dumps(document))


if __name__ == "__main__":
    typer.run(main)
