"""Output to the terminal: results on standard output, notices and the log on standard error.

The library writes to the logger `rtmag` only. The command line prints notices as they are.
`--verbose` adds the log records; `--log-json` prints notices and records as one JSON object a line.
"""

import io
import json
import logging
import os
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from rtmag.realtime.errors import SinkClosed
from rtmag.realtime.log import logger, redact, visible

EXIT_BROKEN_PIPE = 141
"""Exit code if the reader of standard output closed it: 128 + SIGPIPE."""

_LEVELS = {"error": logging.ERROR, "warning": logging.WARNING}


def open_standard_streams() -> None:
    """Use the null device in place of standard streams that were closed when the process started.

    Otherwise the next file that is opened gets the number of such a stream, and libraries write
    into it.
    """
    for number in range(3):
        with suppress(OSError):  # raised for a stream that is closed
            os.fstat(number)
            continue
        os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)


def print_result(text: object) -> None:
    """Print to standard output.

    Raises:
        SinkClosed: its reader closed it.
    """
    _print_output(visible(str(text), lines=True))


def print_path(path: Path) -> None:
    """Print the path of an output: unchanged for programs, with `visible` on a terminal.

    Raises:
        SinkClosed: see `print_result`.
    """
    _print_output(visible(str(path)) if sys.stdout.isatty() else str(path))


def _print_output(text: str) -> None:
    try:
        print(text, flush=True)
    except OSError as error:
        discard_unwritable_output()
        raise SinkClosed("standard output is closed") from error


def discard_unwritable_output() -> None:
    """Discard buffered output that cannot be written, so that Python does not report it at exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            _redirect_to_null(stream)


def _redirect_to_null(stream: TextIO) -> None:
    with suppress(OSError, ValueError):  # no file descriptor: nothing to do
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def configure(*, verbose: bool, as_json: bool) -> None:
    """Turn the log on standard error on if `verbose` or `as_json` is True, else off.

    The lowest level is DEBUG if `verbose` is True, else INFO. From now on, characters of a name
    that standard output cannot encode are printed as escapes, as they are on standard error.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    log = logger()
    for handler in [each for each in log.handlers if isinstance(each, _StderrHandler)]:
        log.removeHandler(handler)
    if verbose or as_json:
        handler = _StderrHandler()
        handler.setFormatter(_JsonFormatter() if as_json else _TextFormatter())
        log.addHandler(handler)
        log.setLevel(logging.DEBUG if verbose else logging.INFO)


def is_json() -> bool:
    """True if standard error must contain JSON records only."""
    return any(isinstance(each.formatter, _JsonFormatter) for each in logger().handlers)


def notice(text: object, *, lines: bool = False) -> None:
    """Print to standard error, without credentials and with control characters made visible.

    In JSON, a leading 'error: ' or 'warning: ' becomes the level of the record.

    Args:
        text: one line.
        lines: True if `text` has several lines.
    """
    line = str(text)
    if is_json():
        head, _, rest = line.partition(": ")
        level = _LEVELS.get(head, logging.INFO)
        logger().log(level, "%s", rest if head in _LEVELS else line)
        return
    with suppress(OSError):  # the terminal may be closed
        print(visible(redact(line), lines=lines), file=sys.stderr, flush=True)


def print_link(text: str) -> None:
    """Print the address of the web view to standard error, including its token."""
    if is_json():
        record = logging.makeLogRecord({"msg": text, "levelno": logging.INFO, "levelname": "INFO"})
        for handler in logger().handlers:
            if isinstance(handler, _StderrHandler):
                handler.emit(record)
        return
    with suppress(OSError):
        print(visible(text), file=sys.stderr, flush=True)


class _StderrHandler(logging.Handler):
    """Prints to the current value of sys.stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):
            print(self.format(record), file=sys.stderr, flush=True)


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created).strftime("%H:%M:%S.%f")[:-3]
        text = super().format(record)
        return f"{moment} {record.levelname.lower()}: {visible(text, lines=bool(record.exc_text))}"


class _JsonFormatter(logging.Formatter):
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
