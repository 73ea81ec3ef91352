"""What is said to the person: results on stdout, the rest on stderr; either may be gone."""

import os
import sys
from contextlib import suppress
from typing import TextIO

import typer

NOBODY_READS = 141
"""The exit code of a program whose output pipe was closed."""


def tell(words: object) -> None:
    """Print a result; where nobody reads results any more, end quietly.

    Raises:
        typer.Exit: the pipe or terminal is closed.
    """
    try:
        print(words, flush=True)
    except OSError as error:
        hush()
        raise typer.Exit(NOBODY_READS) from error


def note(words: object) -> None:
    """Print what is no result, such as a warning; a terminal that is gone ends nothing."""
    with suppress(OSError):
        print(words, file=sys.stderr, flush=True)


def hush() -> None:
    """Let what was printed to nobody not be a fault when Python ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            _drain(stream)


def _drain(stream: TextIO) -> None:
    with suppress(OSError, ValueError):  # no descriptor: nothing to do
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
