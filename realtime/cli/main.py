"""The entry point of the command line: runs a command, maps errors to a line and an exit code.

Exit codes: 0 success, 1 failure during the run, 2 wrong usage or unreadable input, 129 SIGHUP,
130 Ctrl-C, 141 standard output closed by its reader, 143 SIGTERM.
"""

import logging
import os
import re
import sys
import threading
import traceback
from contextlib import suppress
from typing import NoReturn

from rtmag.realtime.cli import console
from rtmag.realtime.cli.app import app
from rtmag.realtime.cli.console import (
    EXIT_BROKEN_PIPE,
    discard_unwritable_output,
    open_standard_streams,
)
from rtmag.realtime.errors import (
    MissingExtra,
    ModelIncompatible,
    OptionError,
    ProviderUnavailable,
    RtmagError,
    SinkClosed,
    SinkUnavailable,
    SourceUnavailable,
)
from rtmag.realtime.log import protect
from rtmag.realtime.signals import THREAD_NAME, listen, received

_USAGE_ERRORS = (
    MissingExtra,
    ModelIncompatible,
    OptionError,
    ProviderUnavailable,
    SinkUnavailable,
    SourceUnavailable,
)
"""Errors that are raised before a run has an effect: exit code 2."""

_VERBOSE = {"--verbose", "-v"}

_GLOBAL_FLAGS = {"--debug", "--log-json", *_VERBOSE}
"""Flags that are allowed before and after the command."""

_OUT_OF_MEMORY = (
    "not enough memory for pictures of this size: lower --motion-scale, or --size of a camera"
)

_MEMORY_ERROR = re.compile(
    r"Insufficient memory|Failed to allocate (memory|\d+ bytes)|Cannot allocate memory|bad_alloc"
)


def execute(args: list[str]) -> int:
    """Run a command line and return the exit code; an error is one line on standard error."""
    debug = "--debug" in args
    for arg in args:
        protect(arg.partition("=")[2] if arg.startswith("-") else arg)
    console.configure(verbose=not _VERBOSE.isdisjoint(args), as_json="--log-json" in args)
    args = [arg for arg in args if arg not in _GLOBAL_FLAGS]
    if args and "://" in args[0]:
        return _fail("an address needs a command: rtmag stream ADDRESS", 2, debug=False)
    try:
        app(args, prog_name="rtmag")
    except SystemExit as stop:
        if isinstance(stop.__context__, BrokenPipeError):  # Typer and Rich would exit with 1
            return EXIT_BROKEN_PIPE
        return stop.code if isinstance(stop.code, int) else 1
    except KeyboardInterrupt:
        return 130
    except SinkClosed:
        return EXIT_BROKEN_PIPE
    except RtmagError as error:
        message = _OUT_OF_MEMORY if _is_out_of_memory(error) else str(error)
        return _fail(message, 2 if isinstance(error, _USAGE_ERRORS) else 1, debug)
    except Exception as error:
        if _is_out_of_memory(error):
            return _fail(_OUT_OF_MEMORY, 1, debug)
        message = f"{type(error).__name__}: {error} (a bug in rtmag; --debug prints the traceback)"
        return _fail(" ".join(message.split()), 1, debug)
    return 0


def _is_out_of_memory(error: BaseException | None) -> bool:
    """True if memory was exhausted; each library reports that in its own way."""
    while error is not None:
        if isinstance(error, MemoryError) or _MEMORY_ERROR.search(str(error)):
            return True
        error = error.__cause__
    return False


def _fail(message: str, code: int, debug: bool) -> int:
    if debug:
        console.notice(traceback.format_exc(), lines=True)
    console.notice(f"error: {message}")
    return code


def main() -> NoReturn:
    """Run the command line of this process and exit; SIGTERM and SIGHUP act like Ctrl-C."""
    open_standard_streams()
    try:
        listen()
        code = execute(sys.argv[1:])
    except KeyboardInterrupt:  # before the command runs
        code = 130
    discard_unwritable_output()
    _exit(128 + received[0] if received and code else code)


def _exit(code: int) -> NoReturn:
    """End the process; skip the shutdown of the interpreter if daemon threads are running.

    Such a thread may be blocked in FFmpeg, waiting for a server. If it returned into an interpreter
    that shuts down, the process could crash.
    """
    threads = [thread for thread in threading.enumerate() if thread.name != THREAD_NAME]
    if not any(thread.daemon for thread in threads):  # sys.exit joins the others
        sys.exit(code)
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
