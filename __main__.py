"""Run the command line: `python -m rtmag` is `rtmag`."""

from rtmag.realtime.cli.main import main

if __name__ == "__main__":
    main()
