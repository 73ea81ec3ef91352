"""`rtmag train`: the training script's options, parsed when the command is called."""


def main(args: list[str]) -> None:
    """Run the training script with these arguments."""
    from rtmag.train.__main__ import app

    app(args, prog_name="rtmag train", standalone_mode=False)
