"""Measure the quality of models and classical methods on the same data, in one run.

All data is synthesised from pictures that training never sees (benchmarks/heldout.py):

    pairs       two frames and the truth, by set (benchmarks/pairs.py): MAE, SSIM, PSNR, leak
    gain        shown motion divided by requested motion (benchmarks/gain.py)
    sequences   60-frame clips under each filter (benchmarks/sequences.py)
    light       such clips in flickering light, rolling bands of mains light, exposure steps
    steadiness  flicker of a still, noisy clip; largest change at alpha 1 in grey levels
    band        gains along a wide band and a narrow one
    beside      two objects in one clip, one within the band and one outside it
    scene       the scene of `rtmag demo`: gains at alpha 20, error of still pixels

The methods are the given models at every motion scale, the unchanged input, and the linear
Eulerian, Laplacian and Riesz magnifiers (benchmarks/classical.py, riesz.py). By default the models
are the shipped ones and `oh2018` with its short training, which is left out of the last three
parts. LPIPS is left out because its weights are in no package.

    python -m benchmarks.quality [--model NAME|PATH]... [--quick] [--out FILE.json]

The same seeds give the same numbers on the same machine. The last line of stdout is one JSON
document.
"""

import json
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import heldout, scores
from benchmarks.classical import Eulerian, Laplacian, Stepper, Unchanged
from benchmarks.riesz import Riesz
from benchmarks.scoreboard import UNFINISHED
from rtmag.realtime.bench.costs import open_candidates
from rtmag.realtime.cli.options import EngineOption
from rtmag.realtime.engines.engine import Engine
from rtmag.realtime.engines.loading import load_engine
from rtmag.realtime.engines.spec import EngineSpec, scale_name
from rtmag.realtime.environment import machine
from rtmag.realtime.models import model_names

OH2018 = Path(__file__).parent.parent / "train" / "checkpoints" / "oh2018"


def weights_of(engine: Engine) -> dict[str, str]:
    """Commit and checksum of the weights."""
    training = json.loads(engine.metadata["rtmag.training"])
    return {"commit": training.get("commit", ""), "sha256": engine.metadata["rtmag.sha256"]}


def export_oh2018(folder: Path) -> str:
    """Export the network of Oh et al. 2018 into a folder; return the path."""
    from rtmag.export.onnx_export import export_onnx

    out = folder / f"{OH2018.name}.onnx"
    export_onnx(OH2018, out, name=OH2018.name)
    return str(out)


def main(
    model: Annotated[list[str] | None, typer.Option(help="Name or path; repeatable.")] = None,
    engine: EngineOption = "onnx",
    quick: Annotated[bool, typer.Option("--quick", help="Only check that it runs.")] = False,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON to this file.")] = None,
) -> None:
    """Compare models and classical methods."""
    began = time.monotonic()
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        chosen = model or [*model_names(), *([] if quick else [export_oh2018(Path(folder))])]
        engines = [load_engine(each, engine=engine) for each in chosen]
    if len({each.name for each in engines}) < len(engines):
        raise typer.BadParameter("models need names that differ: rtmag export --name")
    names = [] if quick else model or model_names()
    scaled = open_candidates(EngineSpec(engine=engine), names, (0.5, 0.25))
    for each in scaled:
        each.name += f" {scale_name(each.motion_scale)}"
    trained = [each for each in engines if each.name not in UNFINISHED]
    band_methods: list[Stepper] = [Eulerian(), Riesz(), *trained, *scaled]
    methods: list[Stepper] = [Unchanged(), Eulerian(), Laplacian(), Riesz(), *engines, *scaled]
    named = dict(list(heldout.pictures().items())[: 2 if quick else None])
    pictures = list(named.values())
    models = {each.name: weights_of(each) for each in engines}
    document = {
        "benchmark": "quality",
        **machine(),
        "engine": engines[0].provider,
        "models": models,
        "commits": {name: facts["commit"] for name, facts in models.items()},
        "pictures": list(named),
        "pairs": scores.score_pairs(methods, pictures, quick=quick),
        "gain": scores.score_gain(methods, pictures, quick=quick),
        "sequences": scores.score_sequences(methods, pictures, quick=quick),
        "light": scores.score_light(methods, pictures, quick=quick),
        "steadiness": scores.score_steadiness(methods, pictures),
        "band": scores.score_band(band_methods, pictures, quick=quick),
        "beside": scores.score_two_objects(band_methods, pictures, quick=quick),
        "scene": scores.score_scene(trained, quick=quick),
        "seconds": round(time.monotonic() - began),
    }
    if out:
        out.write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps(document))


if __name__ == "__main__":
    typer.run(main)
