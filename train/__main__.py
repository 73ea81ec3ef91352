"""Entry point of `rtmag train` and `python -m rtmag.train`; loads torch only when it is called."""

import sys

import typer

from rtmag.realtime.errors import requires_extra


def main(args: list[str]) -> None:
    """Run the training script with these arguments.

    Raises:
        MissingExtra: torch or another library of the extra `train` is not installed.
        typer.Exit: the run was interrupted (code 130).
    """
    with requires_extra("rtmag train", "train"):
        from rtmag.train.training import app

    code = app(args, prog_name="rtmag train", standalone_mode=False)
    if code:
        raise typer.Exit(code)


if __name__ == "__main__":
    from rtmag.realtime.cli.main import execute

    sys.exit(execute(["train", *sys.argv[1:]]))
