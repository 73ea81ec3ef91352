"""Command `rtmag train`: runs the training script, which needs torch."""

import typer

from rtmag.realtime.errors import requires_extra


def main(args: list[str]) -> None:
    """Run the training script with these arguments.

    Raises:
        MissingExtra: torch or another library of the extra `train` is not installed.
        typer.Exit: the run was interrupted (code 130).
    """
    with requires_extra("rtmag train", "train"):
        from rtmag.train.__main__ import app

    code = app(args, prog_name="rtmag train", standalone_mode=False)
    if code:
        raise typer.Exit(code)
