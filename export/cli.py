"""`rtmag export`: its options, parsed when the command is called."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from rtmag.realtime.options import parse_size

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Argument(help="Folder of a training run.")] = Path(
        "runs/standard"
    ),
    target: Annotated[Literal["onnx", "tensorrt"], typer.Option(help="What to make.")] = "onnx",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write [NAME.onnx].")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What the model calls itself [the run's folder].")
    ] = None,
    size: Annotated[str | None, typer.Option(help="Freeze width and height, as 640x480.")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing file.")
    ] = False,
) -> None:
    """Turn trained weights into a model that rtmag runs, after proving that both do the same."""
    frozen = parse_size(size)
    if target == "tensorrt":
        from rtmag.export.tensorrt_target import export_tensorrt

        export_tensorrt(frozen)
    from rtmag.export.onnx_target import export_onnx

    label = name or checkpoint.resolve().name
    path = out or Path(f"{label}.onnx")
    parity = export_onnx(checkpoint, path, name=label, size=frozen, overwrite=overwrite)
    print(
        f"{path}: {path.stat().st_size / 1e6:.2f} MB, equal to the network within {parity.worst} "
        f"grey levels ({parity.mean:.5f} on average) over {parity.steps} steps"
    )


def main(args: list[str]) -> None:
    """Run `rtmag export` with these arguments."""
    app(args, prog_name="rtmag export", standalone_mode=False)
