"""`rtmag bench --oh2018` with classical magnifiers in the same turns.

    python -m benchmarks.fps [--model NAME|PATH]... [--size 640x480]... [--engine NAME]... [--quick]
                             [--precision auto|fp32|fp16]... [--streams 1,2,4] [--out FILE.json]

`oh2018`, the network of the paper, is exported untrained when no file of that name is given. The
classical ones (classical.py, riesz.py) are NumPy and OpenCV on the CPU, and take the
same steps in the same turns. The last line of stdout is one JSON document.
"""

import json
import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.classical import Laplacian, Stepper
from benchmarks.riesz import Riesz
from rtmag.export.timed import BASELINE, export_baseline, export_timed
from rtmag.realtime.bench import QUICK, bench
from rtmag.realtime.comparison import report
from rtmag.realtime.engine import Engine
from rtmag.realtime.gathering import InTurn
from rtmag.realtime.models import model_names
from rtmag.realtime.motion_scale import one_scale
from rtmag.realtime.options import BenchEngines, BenchStreams, parse_size, parse_streams

WEIGHTS = Path(__file__).parent.parent / "train" / "checkpoints"


class Classical(InTurn):
    """A classical magnifier in an engine's place."""

    provider = "numpy"
    size: tuple[int, int] | None = None
    motion_scale = 1.0
    composes = False

    def __init__(self, magnifier: Stepper) -> None:
        self.name = self.described = magnifier.name
        self.metadata: dict[str, str] = {}
        self.step = magnifier.step

    def at(self, motion_scale: float) -> Engine:
        """There are no other scales."""
        raise one_scale(self.name, motion_scale)


def shipped(names: list[str], folder: Path) -> list[Path]:
    """The models inside the package, with texture and decoder in half precision."""
    return [
        export_timed(WEIGHTS / name, folder / f"{name}-fp16.onnx", name=name, precision="fp16")
        for name in names
    ]


def main(
    model: Annotated[list[str] | None, typer.Option(help="Name or path; repeatable.")] = None,
    size: Annotated[list[str] | None, typer.Option(help="WxH; repeatable.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Steps timed per model and size.")] = 30,
    threads: Annotated[int | None, typer.Option(help="CPU threads.")] = None,
    engines: BenchEngines = None,
    precisions: Annotated[
        list[str] | None,
        typer.Option("--precision", help="auto, fp32, and fp16 of models that are names."),
    ] = None,
    streams: BenchStreams = "1",
    quick: Annotated[bool, typer.Option("--quick", help="For smoke only.")] = False,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON here.")] = None,
) -> None:
    """Time the models and classical magnifiers against oh2018."""
    models: list[str | Path] = [m for m in model or model_names() if Path(m).stem != BASELINE]
    names = [str(m) for m in models if m in model_names()]
    last = next((m for m in model or [] if Path(m).stem == BASELINE), None)
    sizes = QUICK if quick else [parse_size(each) or (640, 480) for each in size or ["640x480"]]
    asked = set(precisions or ["auto"])
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        if "fp16" in asked:
            models += shipped(names, Path(folder))
            asked = asked - {"fp16"} | {"auto"}
        document = bench(
            models,
            sizes,
            runtimes=engines or ["onnx"],
            threads=threads,
            rounds=3 if quick else rounds,
            streams=parse_streams(streams),
            precisions=[*asked],
            baseline=last or export_baseline(Path(folder)),
            beside=[Classical(Laplacian()), Classical(Riesz())],
            tell=partial(print, flush=True),
        )
    print(*report(document), sep="\n")
    if out:
        out.write_text(json.dumps(document, indent=2) + "\n")
    print(json.dumps(document))


if __name__ == "__main__":
    typer.run(main)
