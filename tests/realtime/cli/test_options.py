"""Parsing of sizes, and the expansion of option groups."""

import inspect
from dataclasses import dataclass
from typing import Annotated, ClassVar

import pytest
import typer
from typer.testing import CliRunner

from rtmag.realtime.cli.options import grouped, parse_live_size, parse_size
from rtmag.realtime.errors import OptionError


def test_sizes() -> None:
    assert parse_size("640x480") == (640, 480)
    assert parse_size("1920X1080") == (1920, 1080)
    assert parse_size(None) is None


def test_size_auto_needs_an_automatic_motion_scale() -> None:
    assert parse_live_size("auto") is None
    assert parse_live_size("640x480", "1/2") == (640, 480)
    assert parse_live_size(None, "1/2") is None
    with pytest.raises(OptionError, match=r"--size auto needs .*, got 1/2: leave out one"):
        parse_live_size("auto", "1/2")
    with pytest.raises(OptionError, match="640x480"):
        parse_size("auto")


@pytest.mark.parametrize("text", ["640", "640x", "0x480", "-1x4", "axb", "640x480x3", ""])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(OptionError, match="640x480"):
        parse_size(text)


@dataclass(frozen=True, kw_only=True)
class Taste:
    panel: ClassVar = "Taste"
    sweet: Annotated[bool, typer.Option("--sweet", help="Add sugar.")] = False
    salt: Annotated[float, typer.Option("--salt", min=0, help="Salt in grams.")] = 1.0


def test_a_group_becomes_parameters_and_arrives_as_a_dataclass() -> None:
    received: list[object] = []

    @grouped
    def cook(dish: str, taste: Taste, portions: int = 2) -> None:
        """Cook."""
        received.extend([dish, taste, portions])

    assert [*inspect.signature(cook).parameters] == ["dish", "sweet", "salt", "portions"]
    app = typer.Typer()
    app.command()(cook)
    result = CliRunner().invoke(app, ["soup", "--salt", "3"])
    assert result.exit_code == 0
    assert received == ["soup", Taste(sweet=False, salt=3.0), 2]
    assert CliRunner().invoke(app, ["soup", "--salt", "-1"]).exit_code == 2
    assert "─ Taste ─" in CliRunner().invoke(app, ["--help"]).output
