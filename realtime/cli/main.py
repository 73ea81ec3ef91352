"""The command line's entry point: runs a command, turns an error into one line and an exit code.

0 done, 1 failed while working, 2 wrong usage or unreadable input, 130 Ctrl-C, 143 SIGTERM, 129
SIGHUP, 141 nobody reads the output.
"""

import logging
import os
import re
import sys
import threading
import traceback
from contextlib import suppress
from typing import NoReturn

from rtmag.realtime.cli import console as log
from rtmag.realtime.cli.app import app
from rtmag.realtime.cli.console import NOBODY_READS, hush
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
from rtmag.realtime.signals import listen

_USAGE = (
    MissingExtra,
    ModelIncompatible,
    OptionError,
    ProviderUnavailable,
    SinkUnavailable,
    SourceUnavailable,
)
"""Nothing was done yet when these are raised."""

_VERBOSE = {"--verbose", "-v"}

_ANYWHERE = {"--debug", "--log-json", *_VERBOSE}

_LITTLE_MEMORY = (
    "not enough memory for pictures of this size: lower --motion-scale, or --size of a camera"
)

_NO_MEMORY = re.compile(
    r"Insufficient memory|Failed to allocate (memory|\d+ bytes)|Cannot allocate memory|bad_alloc"
)


def execute(args: list[str]) -> int:
    """Run a command line and return its exit code; an error becomes one line on stderr."""
    debug = "--debug" in args
    log.configure(verbose=not _VERBOSE.isdisjoint(args), as_json="--log-json" in args)
    try:
        app([arg for arg in args if arg not in _ANYWHERE], prog_name="rtmag")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    except KeyboardInterrupt:
        return 130
    except SinkClosed:
        return NOBODY_READS
    except RtmagError as error:
        words = _LITTLE_MEMORY if _short_of_memory(error) else str(error)
        return _fail(words, 2 if isinstance(error, _USAGE) else 1, debug)
    except Exception as error:
        if _short_of_memory(error):
            return _fail(_LITTLE_MEMORY, 1, debug)
        words = f"{type(error).__name__}: {error} (a fault in rtmag; --debug shows where)"
        return _fail(" ".join(words.split()), 1, debug)
    return 0


def _short_of_memory(error: BaseException | None) -> bool:
    """Whether memory was wanting, which every library says in words of its own."""
    while error is not None:
        if isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)):
            return True
        error = error.__cause__
    return False


def _fail(words: str, code: int, debug: bool) -> int:
    if debug:
        log.note(traceback.format_exc())
    log.note(f"error: {words}")
    return code


def main() -> NoReturn:
    """The entry point: as `execute`; a request to terminate ends a run as Ctrl-C does."""
    heard = listen()
    code = execute(sys.argv[1:])
    hush()
    _leave(128 + heard[0] if heard and code else code)


def _leave(code: int) -> NoReturn:
    """End the process, and not by way of Python's own end where threads are left behind.

    One may wait within FFmpeg for a server that says nothing. It would come back into an
    interpreter that is being taken down, and crash the process now and then.
    """
    if not any(thread.daemon for thread in threading.enumerate()):  # others are waited for
        sys.exit(code)
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
