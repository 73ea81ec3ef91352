"""Versions of installed distributions, found without importing them."""

from importlib.metadata import PackageNotFoundError, version


def installed(package: str) -> str | None:
    """The version of a distribution; None when it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def rtmag_version() -> str:
    """Our own; a checkout that was never installed has none."""
    return installed("rtmag") or "(not installed)"
