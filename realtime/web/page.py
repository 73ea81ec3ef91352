"""The page's files, read once from the package: a request names one of these, never a path."""

from dataclasses import dataclass
from importlib.resources import files

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
INDEX = "index.html"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of the page."""

    content: bytes
    type: str


def read_page() -> dict[str, Asset]:
    """Every file of the page, by its name."""
    found = {}
    for file in (files("rtmag.realtime.web") / "static").iterdir():
        kind = _TYPES.get(file.name[file.name.rfind(".") :])
        if kind is not None:
            found[file.name] = Asset(file.read_bytes(), kind)
    return found
