"""Parsing of regions, grids and scales."""

import math

import pytest

from rtmag.realtime.cli.regions import MAX_REGIONS, parse_grid, parse_regions, parse_scale
from rtmag.realtime.errors import OptionError


def test_regions_have_names_or_get_numbers() -> None:
    found = parse_regions(["motor=10,20,64,48", "1,2,3,4", "left bearing (A) = 5, 6, 7, 8"])
    assert found == {
        "motor": (10, 20, 64, 48),
        "R2": (1, 2, 3, 4),
        "left bearing (A)": (5, 6, 7, 8),
    }
    assert parse_regions([]) == {}


@pytest.mark.parametrize(
    "text",
    ["", "1,2,3", "1,2,3,4,5", "a", "=1,2,3,4", "-1,2,3,4", "1.5,2,3,4", "m=1,2,0,4", "1,2,3,0",
     "1,2,3,99999999"],
)  # fmt: skip
def test_other_regions_are_refused(text: str) -> None:
    with pytest.raises(OptionError, match="region"):
        parse_regions([text])


@pytest.mark.parametrize(
    "name", ["-x", "+1", "@a", "a" * 41, "a\nb", "a\x1b[2J", "a=b", "<b>", "a,b"]
)
def test_names_are_no_formulas_and_no_markup(name: str) -> None:
    with pytest.raises(OptionError):
        parse_regions([f"{name}=1,2,3,4"])


def test_two_regions_need_two_names() -> None:
    with pytest.raises(OptionError, match="two regions are called 'a'"):
        parse_regions(["a=1,2,3,4", "a=5,6,7,8"])
    with pytest.raises(OptionError, match=f"at most {MAX_REGIONS}"):
        parse_regions(["1,2,3,4"] * (MAX_REGIONS + 1))


def test_grids() -> None:
    assert parse_grid("4x3") == (4, 3)
    assert parse_grid("26X1") == (26, 1)
    assert parse_grid(None) is None
    for text in ("0x3", "4", "4x", "27x1", "1x27", "-1x2", "4x3x2", "axb"):
        with pytest.raises(OptionError, match="such as 4x3"):
            parse_grid(text)


@pytest.mark.parametrize(
    ("text", "millimetres"),
    [
        ("0.12mm/px", 0.12),
        (".5 mm/px", 0.5),
        ("120um/px", 0.12),
        ("120µm/px", 0.12),
        ("2cm/px", 20.0),
        ("1in/px", 25.4),
        ("0.001m/px", 1.0),
        ("100,200-340,200=48mm", 0.2),
        ("0,0-30,40=1cm", 0.2),
        ("340,200-100,200 = 48 mm", 0.2),
    ],
)
def test_scales_in_millimetres_per_pixel(text: str, millimetres: float) -> None:
    found = parse_scale(text)
    assert found is not None
    assert math.isclose(found, millimetres, rel_tol=1e-12)


@pytest.mark.parametrize(
    "text",
    ["", "0.12", "0.12mm", "0mm/px", "-1mm/px", "1px/mm", "1mile/px", "1e400mm/px", "nanmm/px",
     "1,2-1,2=5mm", "1,2-3,4", "1,2-3,4=5", "1,2-3,4=0mm", "1,2=5mm", "1,2-3,4=5mm/px"],
)  # fmt: skip
def test_other_scales_are_refused(text: str) -> None:
    with pytest.raises(OptionError, match=r"0\.12mm/px"):
        parse_scale(text)


def test_no_scale_is_none() -> None:
    assert parse_scale(None) is None
