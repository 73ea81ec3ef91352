"""`rtmag export`: its options, parsed when the command is called."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rtmag.realtime.cli.options import parse_size
from rtmag.realtime.errors import OptionError, requires_extra

if TYPE_CHECKING:
    from rtmag.export.parity import Parity

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

SUFFIXES = {"onnx": ".onnx", "pt2": ".pt2", "tensorrt": ".trt.pt2"}


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Argument(help="Folder of a training run.")] = Path(
        "runs/standard"
    ),
    target: Annotated[
        Literal["onnx", "pt2", "tensorrt"],
        typer.Option(help="onnx runs anywhere; pt2 by PyTorch; tensorrt on this machine's GPU."),
    ] = "onnx",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="File to write.", show_default="NAME.onnx, .pt2 or .trt.pt2"
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="Name of the model.", show_default="the run's folder, with -streams if there are"
        ),
    ] = None,
    size: Annotated[str | None, typer.Option(help="Freeze width and height, as 640x480.")] = None,
    precision: Annotated[
        Literal["fp32", "fp16"] | None,
        typer.Option(
            help="Precision of texture and decoder.", show_default="fp32; fp16 for tensorrt"
        ),
    ] = None,
    streams: Annotated[
        str | None,
        typer.Option(metavar="N|any", help="Take so many at once, each with its own settings."),
    ] = None,
    workspace: Annotated[
        float, typer.Option(min=0.1, help="tensorrt: GiB that building may use.")
    ] = 2.0,
    force: Annotated[bool, typer.Option("--force", help="tensorrt: build again.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing file.")
    ] = False,
) -> None:
    """Turn trained weights into a model that rtmag runs, after proving that both do the same."""
    label = name or checkpoint.resolve().name + ("-streams" if streams else "")
    path = out or Path(f"{label}{SUFFIXES[target]}")
    if not path.name.endswith(SUFFIXES[target]):
        raise OptionError(f"--out must end in {SUFFIXES[target]} for {target}, got {str(path)!r}")
    frozen = parse_size(size)
    parity: Parity | None
    if target == "tensorrt":
        with requires_extra("rtmag export", "export"):
            from rtmag.export.torch_export import export_tensorrt

        parity = export_tensorrt(
            checkpoint, path, name=label, size=frozen, precision=precision or "fp16",
            streams=streams, workspace=workspace, force=force, overwrite=overwrite,
        )  # fmt: skip
    else:
        make = _maker(target)
        parity = make(
            checkpoint, path, name=label, size=frozen, precision=precision or "fp32",
            streams=streams, overwrite=overwrite,
        )  # fmt: skip
    if parity is None:
        print(f"{path}: of these weights and this machine already; --force builds it again")
        return
    print(
        f"{path}: {path.stat().st_size / 1e6:.2f} MB, equal to the network within {parity.worst} "
        f"grey levels ({parity.mean:.5f} on average) over {parity.steps} steps"
    )


def _maker(target: str) -> "Callable[..., Parity]":
    with requires_extra("rtmag export", "export"):
        if target == "pt2":
            from rtmag.export.torch_export import export_torch

            return export_torch
        from rtmag.export.onnx_export import export_onnx

        return export_onnx


def main(args: list[str]) -> None:
    """Run `rtmag export` with these arguments."""
    app(args, prog_name="rtmag export", standalone_mode=False)
