"""What a plain install may lack the libraries for, such as `rtmag train` and `rtmag export`."""

from collections.abc import Generator
from contextlib import contextmanager
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
    """Hand the arguments to a package; raises as `needing`."""
    with needing(f"rtmag {package}", package):
        command = import_module(f"rtmag.{package}.cli")
    command.main(args)


@contextmanager
def needing(what: str, extra: str) -> Generator[None, None, None]:
    """Import modules of ours in here that need libraries of an extra.

    Raises:
        MissingExtra: such a library is not installed. A fault of our own is passed on.
    """
    try:
        yield
    except ImportError as error:
        if isinstance(error, RtmagError) or (error.name or "").startswith("rtmag"):
            raise
        library = (error.name or "").partition(".")[0]
        raise MissingExtra(f"{what} needs {library}: pip install 'rtmag[{extra}]'") from error
