"""Exceptions of rtmag.

Each class is also a subclass of the matching built-in exception, so callers may catch either. A
message is one line with the attempted action, the value and the way out.

RtmagError(Exception)
|-- SourceError(RtmagError, OSError)
|   |-- SourceUnavailable              no such camera, file or URL; busy; no permission
|   |   `-- SourceAbsent               a stream that may become available later
|   `-- SourceLost                     failed after opening: unplugged, disconnected, undecodable
|-- SinkError(RtmagError, OSError)
|   |-- SinkUnavailable                no display; codec not available; output exists
|   `-- SinkClosed(BrokenPipeError)    the reader closed the pipe
|-- ModelError(RtmagError, RuntimeError)
|   |-- ModelIncompatible(ValueError)  inputs, outputs or metadata violate the contract
|   `-- ProviderUnavailable            the requested runtime or provider cannot be opened
|-- OptionError(RtmagError, ValueError)  an invalid option, or options that contradict each other
|-- MissingExtra(RtmagError, ImportError)  a library is not installed, or does not load
`-- ParityError(RtmagError, AssertionError)  export only: the exported graph differs
"""

from collections.abc import Generator
from contextlib import contextmanager


class RtmagError(Exception):
    """Base class of all exceptions of rtmag."""


class SourceError(RtmagError, OSError):
    """Frames cannot be read from a source."""


class SourceUnavailable(SourceError):
    """A source cannot be opened."""


class SourceAbsent(SourceUnavailable):
    """A stream cannot be opened now, but may become available later."""


class SourceLost(SourceError):
    """A source failed after it was opened. The frames before the failure are valid."""


class SinkError(RtmagError, OSError):
    """Frames cannot be shown or written by a sink."""


class SinkUnavailable(SinkError):
    """A sink cannot be opened."""


class SinkClosed(SinkError, BrokenPipeError):
    """The reader closed the pipe (EPIPE). Not a failure."""


class ModelError(RtmagError, RuntimeError):
    """A model cannot be loaded or run."""


class ModelIncompatible(ModelError, ValueError):
    """Inputs, outputs or metadata of a model file violate the contract of exported models."""


class ProviderUnavailable(ModelError):
    """A requested runtime or execution provider cannot be opened."""


class OptionError(RtmagError, ValueError):
    """An option is invalid, or options contradict each other."""


class MissingExtra(RtmagError, ImportError):
    """A library is not installed, or does not load. The message says what to install."""


class ParityError(RtmagError, AssertionError):
    """Results of an exported graph differ from those of the trained network."""


@contextmanager
def requires_extra(feature: str, extra: str) -> Generator[None, None, None]:
    """Context for imports of modules that need the libraries of an extra.

    Args:
        feature: start of the message, such as "rtmag train".
        extra: name of the extra in pyproject.toml.

    Raises:
        MissingExtra: a library is not installed. An ImportError of rtmag itself is not converted.
    """
    try:
        yield
    except ImportError as error:
        if isinstance(error, RtmagError) or (error.name or "").startswith("rtmag"):
            raise
        library = (error.name or "").partition(".")[0]
        raise MissingExtra(f"{feature} needs {library}: pip install 'rtmag[{extra}]'") from error
