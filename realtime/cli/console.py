"""What a run says beside its results: lines for a person, records for a program; all on stderr.

As a library rtmag only writes to the logger `rtmag`. The command line shows notes as they are;
`--verbose` adds what the logger is told, `--log-json` turns all of it into JSON, a line each.
"""

import json
import logging
import os
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import TextIO

import typer

from rtmag.realtime.log import logger, redact

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


_LEVELS = {"error": logging.ERROR, "warning": logging.WARNING}


def configure(*, verbose: bool, as_json: bool) -> None:
    """Show the log from now on, or no longer; from DEBUG on if `verbose`, else from INFO."""
    log = logger()
    for handler in [each for each in log.handlers if isinstance(each, _Stderr)]:
        log.removeHandler(handler)
    if verbose or as_json:
        handler = _Stderr()
        handler.setFormatter(_Json() if as_json else _Text())
        log.addHandler(handler)
        log.setLevel(logging.DEBUG if verbose else logging.INFO)


def is_json() -> bool:
    """Whether a program reads stderr, which then wants nothing but records there."""
    return any(isinstance(each.formatter, _Json) for each in logger().handlers)


def note(words: object) -> None:
    """Tell a person; 'error: ' and 'warning: ' at the beginning are the level."""
    text = str(words)
    if is_json():
        head, _, rest = text.partition(": ")
        level = _LEVELS.get(head, logging.INFO)
        logger().log(level, "%s", rest if head in _LEVELS else text)
        return
    with suppress(OSError):  # the terminal may be gone
        print(redact(text), file=sys.stderr, flush=True)


def invite(words: str) -> None:
    """Tell a person how to come in: the one line whose token is not left out."""
    if is_json():
        record = logging.makeLogRecord({"msg": words, "levelno": logging.INFO, "levelname": "INFO"})
        for handler in logger().handlers:
            if isinstance(handler, _Stderr):
                handler.emit(record)
        return
    with suppress(OSError):
        print(words, file=sys.stderr, flush=True)


class _Stderr(logging.Handler):
    """To whatever sys.stderr is at the moment."""

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):
            print(self.format(record), file=sys.stderr, flush=True)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created).strftime("%H:%M:%S.%f")[:-3]
        return f"{moment} {record.levelname.lower()}: {super().format(record)}"


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        line = {
            "time": moment.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        if record.exc_text:
            line["traceback"] = record.exc_text
        return json.dumps(line)
