"""`rtmag bench --oh2018` with classical magnifiers in the same rounds.

    python -m benchmarks.fps [--model NAME|PATH]... [--size 640x480]... [--engine NAME]... [--quick]
                             [--precision auto|fp32|fp16]... [--streams 1,2,4] [--out FILE.json]

With several streams, built-in models are also timed as graphs of `rtmag export --streams any`,
which take all streams in one run. `oh2018`, the network of the paper, is exported untrained unless
a file of that name is given. The classical magnifiers (classical.py, riesz.py) run in NumPy and
OpenCV on the CPU. The last line of stdout is one JSON document.
"""

import json
import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.classical import Laplacian, Stepper
from benchmarks.riesz import Riesz
from benchmarks.speeds import STREAMS_SUFFIX
from rtmag.realtime.bench.results import report
from rtmag.realtime.bench.timing import BASELINE, QUICK, bench
from rtmag.realtime.cli.options import BenchEngines, BenchStreams, parse_size, parse_streams
from rtmag.realtime.engines.engine import Engine, SequentialSteps
from rtmag.realtime.engines.spec import EngineSpec, unsupported_scale
from rtmag.realtime.models import model_names

WEIGHTS = Path(__file__).parent.parent / "train" / "checkpoints"


class Classical(SequentialSteps):
    """A classical magnifier as an engine."""

    provider = runtime = "numpy"
    precision: str | None = None
    uses_cuda_graph = False
    size: tuple[int, int] | None = None
    motion_scale = 1.0
    scalable = False

    def __init__(self, magnifier: Stepper) -> None:
        self.name = self.described = magnifier.name
        self.metadata: dict[str, str] = {}
        self.step = magnifier.step

    def at(self, motion_scale: float) -> Engine:
        """Refuse: there is one motion scale only."""
        raise unsupported_scale(self.name, motion_scale)


def variants(names: list[str], folder: Path, *, half: bool, streams: bool) -> list[Path]:
    """Export built-in models in half precision and as graphs for several streams."""
    from rtmag.export.onnx_export import export_unchecked

    made = []
    for name in names:
        run = WEIGHTS / name
        if half:
            path = folder / f"{name}-fp16.onnx"
            made.append(export_unchecked(run, path, name=name, precision="fp16"))
        if streams:
            path = folder / f"{name}{STREAMS_SUFFIX}.onnx"
            made.append(export_unchecked(run, path, name=path.stem, streams="any"))
    return made


def main(
    model: Annotated[list[str] | None, typer.Option(help="Name or path; repeatable.")] = None,
    size: Annotated[list[str] | None, typer.Option(help="WxH; repeatable.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Timed steps per model and size.")] = 30,
    threads: Annotated[int | None, typer.Option(help="CPU threads.")] = None,
    engines: BenchEngines = None,
    precisions: Annotated[
        list[str] | None,
        typer.Option("--precision", help="auto, fp32, or fp16 (built-in models)."),
    ] = None,
    streams: BenchStreams = "1",
    quick: Annotated[bool, typer.Option("--quick", help="Only check that it runs.")] = False,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON to this file.")] = None,
) -> None:
    """Time the models and classical magnifiers against oh2018."""
    from rtmag.export.onnx_export import export_baseline

    models: list[str | Path] = [m for m in model or model_names() if Path(m).stem != BASELINE]
    names = [str(m) for m in models if m in model_names()]
    baseline = next((m for m in model or [] if Path(m).stem == BASELINE), None)
    sizes = QUICK if quick else [parse_size(each) or (640, 480) for each in size or ["640x480"]]
    counts, requested = parse_streams(streams), set(precisions or ["auto"])
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        half = "fp16" in requested
        models += variants(names, Path(folder), half=half, streams=max(counts) > 1)
        if half:
            requested = requested - {"fp16"} | {"auto"}
        document = bench(
            models,
            sizes,
            runtimes=engines or ["onnx"],
            spec=EngineSpec(threads=threads),
            rounds=3 if quick else rounds,
            streams=counts,
            precisions=[*requested],
            baseline=baseline or export_baseline(Path(folder)),
            extra=[Classical(Laplacian()), Classical(Riesz())],
            print_line=partial(print, flush=True),
        )
    print(*report(document), sep="\n")
    if out:
        out.write_text(json.dumps(document, indent=2) + "\n")
    print(json.dumps(document))


if __name__ == "__main__":
    typer.run(main)
