"""The command line's entry point: runs a command, turns an error into one line and an exit code.

0 done, 1 failed while working, 2 wrong usage or unreadable input, 130 Ctrl-C, 143 SIGTERM, 129
SIGHUP.
"""

import signal
import sys
import traceback
from types import FrameType
from typing import NoReturn

from rtmag.realtime.commands import app
from rtmag.realtime.errors import (
    MissingExtra,
    ModelIncompatible,
    OptionError,
    ProviderUnavailable,
    RtmagError,
    SinkUnavailable,
    SourceUnavailable,
)
from rtmag.realtime.redaction import redact

_USAGE = (
    MissingExtra,
    ModelIncompatible,
    OptionError,
    ProviderUnavailable,
    SinkUnavailable,
    SourceUnavailable,
)
"""Nothing was done yet when these are raised."""


def execute(args: list[str]) -> int:
    """Run a command line and return its exit code; an error becomes one line on stderr."""
    debug = "--debug" in args
    try:
        app([arg for arg in args if arg != "--debug"], prog_name="rtmag")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    except KeyboardInterrupt:
        return 130
    except RtmagError as error:
        return _fail(str(error), 2 if isinstance(error, _USAGE) else 1, debug)
    except Exception as error:
        words = f"{type(error).__name__}: {error} (a fault in rtmag; --debug shows where)"
        return _fail(" ".join(words.split()), 1, debug)
    return 0


def _fail(words: str, code: int, debug: bool) -> int:
    if debug:
        print(redact(traceback.format_exc()), file=sys.stderr)
    print(f"error: {redact(words)}", file=sys.stderr, flush=True)
    return code


def main() -> NoReturn:
    """The entry point: as `execute`; a request to terminate ends a run as Ctrl-C does."""
    received: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        received.append(number)
        raise KeyboardInterrupt

    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), stop)
    code = execute(sys.argv[1:])
    sys.exit(128 + received[0] if received and code == 130 else code)


if __name__ == "__main__":
    main()
