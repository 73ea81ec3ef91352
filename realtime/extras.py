"""The commands that a plain install lacks the libraries for: `rtmag train` and `rtmag export`."""

from importlib import import_module

import typer

from rtmag.realtime.errors import MissingExtra, RtmagError


def train(context: typer.Context) -> None:
    """Train a model; needs the extra "train"."""
    pass_on("train", context.args)


def export(context: typer.Context) -> None:
    """Export a trained model to ONNX; needs the extra "export"."""
    pass_on("export", context.args)


def pass_on(package: str, args: list[str]) -> None:
    """Hand the arguments to a package whose libraries may not be installed.

    Raises:
        MissingExtra: they are not.
    """
    try:
        command = import_module(f"rtmag.{package}.cli")
    except ImportError as error:
        if isinstance(error, RtmagError) or (error.name or "").startswith("rtmag"):
            raise
        raise MissingExtra(
            f"rtmag {package} needs {error.name}: pip install 'rtmag[{package}]'"
        ) from error
    command.main(args)
