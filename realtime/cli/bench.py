"""The command that times models: `rtmag bench`."""

import json
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from rtmag.realtime.cli import options
from rtmag.realtime.cli.console import tell
from rtmag.realtime.errors import needing


def bench(
    models: options.BenchModels = None,
    sizes: options.BenchSizes = None,
    engines: options.BenchEngines = None,
    threads: options.Threads = None,
    rounds: options.Rounds = 30,
    streams: options.BenchStreams = "1",
    precisions: options.BenchPrecisions = None,
    oh2018: options.BenchBaseline = False,
    quick: options.Quick = False,
    out: options.BenchOut = None,
    overwrite: options.Overwrite = False,
    compare: options.Compare = None,
    unsafe: options.Unsafe = False,
    compiled: options.BenchCompile = False,
) -> None:
    """Time models on this machine; the last line is JSON. Compare two such results."""
    from rtmag.realtime.bench import results as comparison

    if compare is not None:
        tell("\n".join(comparison.compare(*compare)))
        return
    options.check_new(out, overwrite=overwrite)
    extents = [options.parse_size(each) or (640, 480) for each in sizes or ["640x480"]]
    counts = options.parse_streams(streams)
    from rtmag.realtime.bench import timing as timed
    from rtmag.realtime.models import model_names

    with ExitStack() as opened:
        document = timed.bench(
            models or model_names(),
            timed.QUICK if quick else extents,
            runtimes=engines or ["auto"],
            threads=threads,
            rounds=3 if quick else rounds,
            streams=counts,
            precisions=precisions or ["auto"],
            unsafe=unsafe,
            compiled=compiled,
            baseline=_exported(opened) if oh2018 else None,
            tell=tell,
        )
    tell("\n".join(comparison.report(document)))
    if out is not None:
        out.write_text(json.dumps(document, indent=2) + "\n")
    tell(json.dumps(document))


def _exported(opened: ExitStack) -> Path:
    """The network of Oh et al. in a file that lasts as long as the stack; raises as `needing`."""
    folder = Path(opened.enter_context(TemporaryDirectory()))
    with needing("rtmag bench --oh2018", "export"):
        return Path(import_module("rtmag.export.onnx_export").export_baseline(folder))
