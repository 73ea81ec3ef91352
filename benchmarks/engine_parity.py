"""Compare the CPU engines with the network itself, up to alpha 100.

The reference is the network in PyTorch in float32, with the weights of the shipped model. Both
process two clips frame by frame: the texture of the export check, which sways by half a pixel, and
the scene of `rtmag demo`, which moves by an eighth of a pixel. Their pictures are compared.

    python -m benchmarks.engine_parity [--engine NAME]... [--frames 16] [--out FILE.json]

The last line of stdout is one JSON document.
"""

import hashlib
import json
from functools import partial
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Annotated, Any

import numpy as np
import typer
from skimage.metrics import structural_similarity

from rtmag.export import parity
from rtmag.export.graph import Graph
from rtmag.realtime.bench.timing import training_commit
from rtmag.realtime.cli.options import BenchEngines
from rtmag.realtime.engines.engine import Engine
from rtmag.realtime.engines.loading import load_engine
from rtmag.realtime.environment import machine
from rtmag.realtime.filters import Filter, Static, Temporal
from rtmag.realtime.frame import Image
from rtmag.realtime.models import model_names
from rtmag.realtime.sections import State
from rtmag.realtime.sources.scene.scene import SceneSource
from rtmag.train import checkpoint

WEIGHTS = Path(__file__).parent.parent / "train" / "checkpoints"
SIZE = (320, 240)
ALPHAS = (20.0, 100.0)
FILTERS: tuple[Filter, ...] = (Static(), Temporal(0.5, 3))


def clips(frames: int) -> dict[str, list[Image]]:
    """Clips by name."""
    with SceneSource(SIZE, frames=frames) as source:
        scene = [frame.image for frame in source]
    return {"texture": parity.clip(SIZE, frames), "scene": scene}


def reference(name: str, sha256: str) -> Graph:
    """The network of a shipped model, in float32."""
    weights = WEIGHTS / name
    if hashlib.sha256((weights / "model.safetensors").read_bytes()).hexdigest() != sha256:
        raise RuntimeError(f"the shipped {name!r} was made of other weights than {weights}")
    return Graph(checkpoint.load(weights)[0]).eval()


def magnify_clip(step: Any, images: list[Image], alpha: float, filter: Filter) -> list[Image]:
    """Magnify a clip; the first picture is the reference and is left out."""
    state: State | None = None
    out = []
    for image in images:
        magnified, state = step(image, alpha, filter.sections(30.0), state)
        out.append(magnified)
    return out[1:]


def score(expected: list[list[Image]], actual: list[list[Image]]) -> dict[str, float]:
    """Similarity and differences of the pictures of several runs; `psnr` in dB."""
    pairs = [pair for run in zip(expected, actual, strict=True) for pair in zip(*run, strict=True)]
    differences = [np.abs(one.astype(np.float32) - other) for one, other in pairs]
    square = mean(float(np.square(each).mean()) for each in differences)
    similar = [
        float(structural_similarity(one, other, channel_axis=2, data_range=255))
        for one, other in pairs
    ]
    return {
        "ssim": round(mean(similar), 5),
        "ssim_least": round(min(similar), 5),
        "psnr": round(float(10 * np.log10(255**2 / max(square, 1e-4))), 2),
        "mean": round(mean(float(each.mean()) for each in differences), 4),
        "worst": int(max(each.max() for each in differences)),
    }


def compare_engines(
    graph: Graph, engines: list[Engine], all_clips: dict[str, list[Image]]
) -> list[dict[str, Any]]:
    """Rows by clip, alpha and engine; all filters together."""
    rows = []
    exact = partial(parity.torch_step, graph)
    for (clip, images), alpha in product(all_clips.items(), ALPHAS):
        expected = [magnify_clip(exact, images, alpha, filter) for filter in FILTERS]
        for engine in engines:
            actual = [magnify_clip(engine.step, images, alpha, filter) for filter in FILTERS]
            rows.append(
                {"model": engine.name, "provider": engine.provider, "clip": clip, "alpha": alpha}
                | score(expected, actual)
            )
    return rows


def main(
    engines: BenchEngines = None,
    frames: Annotated[int, typer.Option(min=2, help="Frames of each clip.")] = 16,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON to this file.")] = None,
) -> None:
    """Compare every shipped model on every engine with its network."""
    all_clips, rows, commits = clips(frames), [], {}
    for name in model_names():
        opened = [load_engine(name, engine=each) for each in engines or ["onnx", "openvino"]]
        graph = reference(name, opened[0].metadata["rtmag.sha256"])
        for row in compare_engines(graph, opened, all_clips):
            rows.append(row)
            print(
                "{model} on {provider}, {clip}, alpha {alpha:g}: SSIM {ssim}, {psnr} dB".format(
                    **row
                )
            )
        commits[name] = training_commit(opened[0])
    document = {"benchmark": "parity", **machine(), "size": SIZE,
                "frames": frames, "commits": commits, "rows": rows}  # fmt: skip
    if out is not None:
        out.write_text(json.dumps(document, indent=2) + "\n")
    print(json.dumps(document))


if __name__ == "__main__":
    typer.run(main)
