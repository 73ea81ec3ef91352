"""Magnify motion that is too small to see, live: cameras, files and streams.

for frame in rtmag.stream(0, alpha=20): ...                    # a camera, motion 20 times larger
magnifier = rtmag.Magnifier(rtmag.load_engine(), alpha=20)      # or frame by frame

The public names are those of `rtmag.realtime`. Each is imported when it is first used: `import
rtmag` loads neither torch nor Typer nor NumPy.
"""

from typing import TYPE_CHECKING

from rtmag import realtime

if TYPE_CHECKING:
    from rtmag.realtime import *  # noqa: F403 - type checkers read the names from its __all__

    __version__: str

__all__ = ["__version__"]
__all__ += realtime.__all__

if not TYPE_CHECKING:  # because of this function, a type checker would accept every name

    def __getattr__(name: str) -> object:
        if name == "__version__":
            from rtmag.realtime.environment import rtmag_version

            return rtmag_version()
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(realtime, name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
