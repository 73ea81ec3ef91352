"""Run the command line: `python -m rtmag` is `rtmag`."""

import signal
from typing import NoReturn


def main() -> NoReturn:
    """Import the command line and run it; Ctrl-C during the imports ends the process silently."""
    # An exception from a handler could be swallowed by an import, or printed with a traceback.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from rtmag.realtime.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
