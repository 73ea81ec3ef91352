"""What a plain install may lack the libraries for, such as `rtmag train` and `rtmag export`."""

from importlib import import_module

import typer

from rtmag.realtime.errors import needing


def train(context: typer.Context) -> None:
    """Train a model; needs the extra "train"."""
    pass_on("train", context.args)


def export(context: typer.Context) -> None:
    """Export a trained model to ONNX; needs the extra "export"."""
    pass_on("export", context.args)


def pass_on(package: str, args: list[str]) -> None:
    """Hand the arguments to a package; raises as `needing`."""
    with needing(f"rtmag {package}", package):
        command = import_module(f"rtmag.{package}.cli")
    command.main(args)
