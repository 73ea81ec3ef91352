"""Command `rtmag export`: its options and its progress; loads torch only when it exports."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.text import Text

from rtmag.realtime.cli.console import notice, print_result
from rtmag.realtime.cli.options import parse_size
from rtmag.realtime.errors import OptionError, requires_extra
from rtmag.realtime.log import visible

if TYPE_CHECKING:
    from rtmag.export.parity import Parity
    from rtmag.export.source import Report

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

SUFFIXES = {"onnx": ".onnx", "pt2": ".pt2", "tensorrt": ".trt.pt2"}

LINE_EVERY = 10.0  # seconds between lines of a stage with a counter, without a terminal


@app.command()
def export(
    checkpoint: Annotated[
        Path, typer.Argument(help="Folder of a training run, or of train/checkpoints.")
    ] = Path("runs/standard"),
    target: Annotated[
        Literal["onnx", "pt2", "tensorrt"],
        typer.Option(
            help="onnx: runs on any machine. pt2: runs in PyTorch. "
            "tensorrt: built for the GPU of this machine."
        ),
    ] = "onnx",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="File to write. Default: the model's name with the target's suffix."
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="Name of the model, stored in the file. Default: the name of the run's folder, "
            "with -streams for several streams."
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(help="Accept only this width and height, as 640x480. Default: any size."),
    ] = None,
    precision: Annotated[
        Literal["fp32", "fp16"] | None,
        typer.Option(
            help="Precision of texture and decoder; motion is always estimated in fp32. "
            "Default: fp32; tensorrt: fp16."
        ),
    ] = None,
    streams: Annotated[
        str | None,
        typer.Option(
            metavar="N|any",
            help="Process this number of streams in one step, each with its own settings. "
            "Default: one stream.",
        ),
    ] = None,
    workspace: Annotated[
        float,
        typer.Option(
            min=0.1, max=1024, help="tensorrt: GiB of GPU memory for building the engine."
        ),
    ] = 2.0,
    force: Annotated[
        bool, typer.Option("--force", help="tensorrt: build even if the file is up to date.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing file.")
    ] = False,
) -> None:
    """Convert trained weights to a model file that rtmag runs.

    The file is written only if the model computes the same pictures as the trained network.
    """
    label = name or checkpoint.resolve().name + ("-streams" if streams else "")
    path = out or Path(f"{label}{SUFFIXES[target]}")
    if not path.name.endswith(SUFFIXES[target]):
        raise OptionError(f"--out must end in {SUFFIXES[target]} for {target}, got {str(path)!r}")
    frozen = parse_size(size)
    export_to = _exporter(target)
    special: dict[str, Any] = {}
    if target == "tensorrt":
        special = {"workspace": workspace, "force": force}
    with stages() as report:
        parity = export_to(
            checkpoint, path, name=label, size=frozen,
            precision=precision or ("fp16" if target == "tensorrt" else "fp32"),
            streams=streams, overwrite=overwrite, report=report, **special,
        )  # fmt: skip
    if parity is None:
        print_result(
            f"{path}: already built from these weights on this machine; --force builds it again"
        )
        return
    print_result(
        f"{path}: {path.stat().st_size / 1e6:.2f} MB, equal to the network within {parity.worst} "
        f"grey levels ({parity.mean:.5f} on average) over {parity.steps} steps"
    )


def _exporter(target: str) -> "Callable[..., Parity | None]":
    """The export function of a target.

    Raises:
        MissingExtra: a library of the extra `export` is not installed.
    """
    with requires_extra("rtmag export", "export"):
        if target == "onnx":
            from rtmag.export.onnx_export import export_onnx

            return export_onnx
        from rtmag.export.torch_export import export_tensorrt, export_torch

        return export_tensorrt if target == "tensorrt" else export_torch


@contextmanager
def stages() -> "Iterator[Report]":
    """Show the stages of an export on stderr: a changing line on a terminal, otherwise a line each.

    A stage with a counter, such as `checking parity 3/30`, gets a line only every 10 seconds.
    """
    if sys.stderr.isatty():
        with Console(stderr=True).status("starting") as status:
            yield lambda stage: status.update(Text(visible(stage)))
        return
    last, shown = "", 0.0

    def report(stage: str) -> None:
        nonlocal last, shown
        title = stage.rstrip("0123456789/")
        if title == last and time.monotonic() - shown < LINE_EVERY:
            return
        last, shown = title, time.monotonic()
        notice(stage)

    yield report


def main(args: list[str]) -> None:
    """Run `rtmag export` with these arguments."""
    app(args, prog_name="rtmag export", standalone_mode=False)
