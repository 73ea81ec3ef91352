"""Results, on stdout, which may be gone; what is no result is told by rtmag.realtime.log."""

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
