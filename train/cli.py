"""`rtmag train`: the training script's options, parsed when the command is called."""

import typer


def main(args: list[str]) -> None:
    """Run the training script with these arguments; an interrupted run exits with 130."""
    from rtmag.train.__main__ import app

    code = app(args, prog_name="rtmag train", standalone_mode=False)
    if code:
        raise typer.Exit(code)
