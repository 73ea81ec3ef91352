"""The command `rtmag bench`: time models, and compare two results."""

import json
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, ClassVar

from typer import Option

from rtmag.realtime.atomic import atomic_write
from rtmag.realtime.cli import options
from rtmag.realtime.cli.console import print_result
from rtmag.realtime.errors import requires_extra


@dataclass(frozen=True, kw_only=True)
class BenchModelOptions:
    """The models and engines to time."""

    panel: ClassVar = "Models and engines"
    models: Annotated[
        list[str] | None,
        Option(
            "--model",
            metavar="NAME|FILE",
            help="Model to time. Can be given several times.",
            show_default="all built-in models",
        ),
    ] = None
    engines: options.BenchEngines = None
    precisions: Annotated[
        list[str] | None,
        Option(
            "--precision",
            metavar="auto|fp32",
            help="fp32: compute in float32 only. auto: OpenVINO may use bfloat16. Can be given "
            "several times.",
            show_default="auto",
        ),
    ] = None
    oh2018: Annotated[
        bool,
        Option(
            "--oh2018",
            help="Also time the untrained network of Oh et al. (2018), and compare all speeds with "
            "it, not with the last model. Needs the extra: pip install 'rtmag\\[export]'.",
        ),
    ] = False
    unsafe: options.Unsafe = False
    compiled: Annotated[
        bool, Option("--compile", help="Time .pt2 models also after torch.compile.")
    ] = False


@dataclass(frozen=True, kw_only=True)
class MeasurementOptions:
    """The conditions of a benchmark."""

    panel: ClassVar = "Measurement"
    sizes: Annotated[
        list[str] | None,
        Option(
            "--size",
            metavar="WxH",
            help="Picture size in pixels. Can be given several times.",
            show_default="640x480",
        ),
    ] = None
    streams: options.BenchStreams = "1"
    threads: Annotated[
        int | None,
        Option(
            "--threads",
            min=1,
            max=1024,
            help="Number of CPU threads.",
            show_default="one per usable CPU core",
        ),
    ] = None
    rounds: Annotated[
        int,
        Option(
            "--rounds",
            min=1,
            max=options.MAX_COUNT,
            help="Number of timed steps per model and size.",
        ),
    ] = 30
    quick: Annotated[
        bool,
        Option("--quick", help="Quick check that everything runs: 160x120 pixels, 3 timed steps."),
    ] = False


@dataclass(frozen=True, kw_only=True)
class BenchResultOptions:
    """The result of a benchmark."""

    panel: ClassVar = "Result"
    out: Annotated[
        Path | None,
        Option("--out", "-o", metavar="FILE", help="Also write the result to this JSON file."),
    ] = None
    overwrite: options.Overwrite = False
    compare: Annotated[
        tuple[Path, Path] | None,
        Option(
            "--compare",
            metavar="A B",
            help="Measure nothing: compare two result files, and print how many times faster B is.",
        ),
    ] = None


@options.grouped
def bench(
    models: BenchModelOptions,
    measurement: MeasurementOptions,
    result: BenchResultOptions,
) -> None:
    """Time models on this machine, or compare two results. The last line of output is JSON."""
    from rtmag.realtime.bench import results

    if result.compare is not None:
        print_result("\n".join(results.compare(*result.compare)))
        return
    options.check_new(result.out, overwrite=result.overwrite)
    sizes = [options.parse_size(each) or (640, 480) for each in measurement.sizes or ["640x480"]]
    streams = options.parse_streams(measurement.streams)
    from rtmag.realtime.bench import timing
    from rtmag.realtime.engines.spec import EngineSpec
    from rtmag.realtime.models import model_names

    with ExitStack() as stack:
        document = timing.bench(
            models.models or model_names(),
            timing.QUICK if measurement.quick else sizes,
            runtimes=models.engines or ["auto"],
            spec=EngineSpec(
                threads=measurement.threads, unsafe=models.unsafe, compiled=models.compiled
            ),
            rounds=3 if measurement.quick else measurement.rounds,
            streams=streams,
            precisions=models.precisions or ["auto"],
            baseline=_export_oh2018(stack) if models.oh2018 else None,
            print_line=print_result,
        )
    print_result("\n".join(results.report(document)))
    if result.out is not None:
        with atomic_write(result.out) as part:
            part.write_text(json.dumps(document, indent=2) + "\n")
    print_result(json.dumps(document))


def _export_oh2018(stack: ExitStack) -> Path:
    """Export the network of Oh et al. to a file that is deleted when the stack closes.

    Raises:
        MissingExtra: a library of the extra `export` is not installed.
    """
    folder = Path(stack.enter_context(TemporaryDirectory()))
    with requires_extra("rtmag bench --oh2018", "export"):
        return Path(import_module("rtmag.export.onnx_export").export_baseline(folder))
