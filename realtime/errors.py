"""Every error rtmag raises on purpose.

Each class is also the builtin of the same meaning, so callers may catch either. Messages are one
line: what was attempted, the value, the way out.

RtmagError(Exception)
|-- SourceError(RtmagError, OSError)
|   |-- SourceUnavailable              cannot open: no such camera, file or URL; busy; permission
|   |   `-- SourceAbsent               a stream that is not there now, and may come
|   `-- SourceLost                     opened, then failed: unplugged, stream dropped, undecodable
|-- SinkError(RtmagError, OSError)
|   |-- SinkUnavailable                no display, codec refused, output exists
|   `-- SinkClosed(BrokenPipeError)    whoever read the frames reads no more
|-- ModelError(RtmagError, RuntimeError)
|   |-- ModelIncompatible(ValueError)  inputs, outputs or metadata are not the contract's
|   `-- ProviderUnavailable            the execution provider asked for cannot be opened
|-- OptionError(RtmagError, ValueError) an option, or several together, that cannot be carried out
|-- MissingExtra(RtmagError, ImportError)  a library is absent; names the pip command or the remedy
`-- ParityError(RtmagError, AssertionError)  export only: exported graph and trained net differ
"""

from collections.abc import Generator
from contextlib import contextmanager


class RtmagError(Exception):
    """Root of every error rtmag raises on purpose."""


class SourceError(RtmagError, OSError):
    """Frames cannot be read."""


class SourceUnavailable(SourceError):
    """A source that cannot be opened."""


class SourceAbsent(SourceUnavailable):
    """A stream that is not there now; time may mend that."""


class SourceLost(SourceError):
    """A source that was opened and failed later; the frames before it are good."""


class SinkError(RtmagError, OSError):
    """Frames cannot be shown or written."""


class SinkUnavailable(SinkError):
    """A sink that cannot be opened."""


class SinkClosed(SinkError, BrokenPipeError):
    """Whoever read the frames reads no more; no fault of anyone."""


class ModelError(RtmagError, RuntimeError):
    """A model that cannot be loaded or run."""


class ModelIncompatible(ModelError, ValueError):
    """A model file whose inputs, outputs or metadata are not the contract's."""


class ProviderUnavailable(ModelError):
    """An execution provider that was asked for and cannot be opened."""


class OptionError(RtmagError, ValueError):
    """An option, or a combination of options, that cannot be carried out."""


class MissingExtra(RtmagError, ImportError):
    """A library that is not installed, or does not load; the message names the remedy."""


class ParityError(RtmagError, AssertionError):
    """An exported graph whose results are not the trained network's."""


@contextmanager
def needing(what: str, extra: str) -> Generator[None, None, None]:
    """Import modules of ours in here that need libraries of an extra.

    Raises:
        MissingExtra: such a library is not installed. A fault of our own is passed on.
    """
    try:
        yield
    except ImportError as error:
        if isinstance(error, RtmagError) or (error.name or "").startswith("rtmag"):
            raise
        library = (error.name or "").partition(".")[0]
        raise MissingExtra(f"{what} needs {library}: pip install 'rtmag[{extra}]'") from error
