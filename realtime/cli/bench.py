"""The command `rtmag bench`: time models, and compare two results."""

import json
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from rtmag.realtime.cli import options
from rtmag.realtime.cli.console import print_result
from rtmag.realtime.errors import needing


@options.grouped
def bench(
    models: options.BenchModelOptions,
    measurement: options.MeasurementOptions,
    result: options.BenchResultOptions,
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
    from rtmag.realtime.models import model_names

    with ExitStack() as stack:
        document = timing.bench(
            models.models or model_names(),
            timing.QUICK if measurement.quick else sizes,
            runtimes=models.engines or ["auto"],
            threads=measurement.threads,
            rounds=3 if measurement.quick else measurement.rounds,
            streams=streams,
            precisions=models.precisions or ["auto"],
            unsafe=models.unsafe,
            compiled=models.compiled,
            baseline=_export_oh2018(stack) if models.oh2018 else None,
            tell=print_result,
        )
    print_result("\n".join(results.report(document)))
    if result.out is not None:
        result.out.write_text(json.dumps(document, indent=2) + "\n")
    print_result(json.dumps(document))


def _export_oh2018(stack: ExitStack) -> Path:
    """Export the network of Oh et al. to a file that is deleted when the stack closes.

    Raises:
        MissingExtra: a library of the extra `export` is not installed.
    """
    folder = Path(stack.enter_context(TemporaryDirectory()))
    with needing("rtmag bench --oh2018", "export"):
        return Path(import_module("rtmag.export.onnx_export").export_baseline(folder))
