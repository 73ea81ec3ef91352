"""Regions of the picture, grids and scales, as texts of the command line."""

import math
import re
from typing import TYPE_CHECKING

from rtmag.realtime.controls import COLOURS, MIN_REGION_SIDE, Controls, NamedRegion
from rtmag.realtime.errors import OptionError

if TYPE_CHECKING:
    from rtmag.realtime.frame import Region

MAX_REGIONS = 676
"""Largest number of regions: 26 columns, named A to Z, of 26 rows."""

_MAX_NAME = 40
"""Longest name of a region."""

_BOX = re.compile(r"(\d{1,6}),(\d{1,6}),(\d{1,6}),(\d{1,6})")

_GRID = re.compile(r"(\d{1,2})[xX](\d{1,2})")

_NAME = re.compile(r"\w[\w .+/()-]*")
"""Names begin with a letter or a digit, so that no spreadsheet takes them for a formula."""

_POINTS = re.compile(r"(\d{1,6}),(\d{1,6})-(\d{1,6}),(\d{1,6})")

_LENGTH = re.compile(r"(\d{1,9}(?:\.\d{1,9})?|\.\d{1,9})\s*(um|µm|μm|mm|cm|m|in)")

_MILLIMETRES = {"um": 1e-3, "µm": 1e-3, "μm": 1e-3, "mm": 1.0, "cm": 10.0, "m": 1e3, "in": 25.4}
"""Millimetres of each unit. The two signs for micro are different characters."""


def parse_regions(texts: list[str]) -> "dict[str, Region]":
    """Parse regions such as 'motor=10,20,64,48', or '10,20,64,48' without a name.

    Args:
        texts: [NAME=]X,Y,W,H in pixels. A region without a name is called R1, R2 and so on, by its
            position.

    Returns:
        Each region by its name.

    Raises:
        OptionError: a text has another form, or two regions have the same name.
    """
    if len(texts) > MAX_REGIONS:
        raise OptionError(f"at most {MAX_REGIONS} regions can be measured, got {len(texts)}")
    regions: dict[str, Region] = {}
    for number, text in enumerate(texts, 1):
        name, region = _parse_region(text)
        name = name or f"R{number}"
        if name in regions:
            raise OptionError(f"two regions are called {name!r}: give each another name")
        regions[name] = region
    return regions


def place_regions(controls: Controls, texts: list[str], *, live: bool) -> None:
    """Set the regions of the controls of a run that magnifies.

    Args:
        controls: changed.
        texts: [NAME=]X,Y,W,H in pixels. In a live run, those with a name are measured, and the one
            without a name is magnified. A file has one region, which is magnified.
        live: True for a live run.

    Raises:
        OptionError: a text has another form, a region is too small, or there are too many.
    """
    regions = [_parse_region(text) for text in texts]
    for text, (_, box) in zip(texts, regions, strict=True):
        if min(box[2:]) < MIN_REGION_SIDE:
            raise OptionError(
                f"a region needs at least {MIN_REGION_SIDE}x{MIN_REGION_SIDE} pixels, got {text!r}"
            )
    measured = [NamedRegion(name, box) for name, box in regions if name and live]
    magnified = [box for name, box in regions if not (name and live)]
    if len(magnified) > 1:
        raise OptionError(
            "only one region can be magnified: leave out the other --roi"
            + (", or give it a name to measure it" if live else "; rtmag measure takes several")
        )
    if len({region.name for region in measured}) < len(measured) or len(measured) > len(COLOURS):
        raise OptionError(f"at most {len(COLOURS)} regions can be measured, each of another name")
    controls.set_regions(measured)
    controls.set_region(magnified[0] if magnified else None)


def _parse_region(text: str) -> "tuple[str, Region]":
    """Parse one region; its name is empty if there is none."""
    name, equals, numbers = text.rpartition("=")
    name = name.strip()
    match = _BOX.fullmatch(numbers.replace(" ", ""))
    if match is None or (equals and not name):
        raise OptionError(
            "a region is X,Y,W,H or NAME=X,Y,W,H in pixels, such as motor=10,20,64,48, got "
            f"{text!r}"
        )
    if name and (len(name) > _MAX_NAME or _NAME.fullmatch(name) is None):
        raise OptionError(
            f"the name of a region has at most {_MAX_NAME} letters, digits, spaces and .+-/(), and "
            f"begins with a letter or a digit, got {name!r}"
        )
    x, y, width, height = map(int, match.groups())
    if not (width and height):
        raise OptionError(f"a region needs a width and a height of at least 1 pixel, got {text!r}")
    return name, (x, y, width, height)


def parse_grid(text: str | None) -> tuple[int, int] | None:
    """Parse a grid such as '4x3' to (columns, rows); None if `text` is None.

    Raises:
        OptionError: `text` has another form, or a number is not from 1 to 26.
    """
    if text is None:
        return None
    match = _GRID.fullmatch(text.strip())
    columns, rows = map(int, match.groups()) if match is not None else (0, 0)
    if not (1 <= columns <= 26 and 1 <= rows <= 26):
        raise OptionError(f"a grid is COLUMNSxROWS, each from 1 to 26, such as 4x3, got {text!r}")
    return columns, rows


def parse_scale(text: str | None) -> float | None:
    """Parse a scale to millimetres per pixel; None if `text` is None.

    Args:
        text: a length per pixel such as '0.12mm/px', or two points of the picture in pixels and
            their distance, such as '100,200-340,200=50mm'. Units: um, mm, cm, m, in.

    Raises:
        OptionError: `text` has another form, or the scale is 0 or infinite.
    """
    if text is None:
        return None
    compact = text.replace(" ", "")
    points, equals, length = compact.partition("=")
    pixels = 1.0
    if equals:
        match = _POINTS.fullmatch(points)
        x0, y0, x1, y1 = map(int, match.groups()) if match is not None else (0, 0, 0, 0)
        pixels = math.hypot(x1 - x0, y1 - y0)
    else:
        length = compact.removesuffix("/px")
    match = _LENGTH.fullmatch(length)
    millimetres = float(match[1]) * _MILLIMETRES[match[2]] if match is not None else 0.0
    if not (millimetres and pixels) or compact == length:
        raise OptionError(
            "a scale is a length per pixel such as 0.12mm/px, or two different points and their "
            f"distance such as 100,200-340,200=50mm (um, mm, cm, m or in), got {text!r}"
        )
    return millimetres / pixels
