"""Numbers on the command line: each has two ends, and none outside reaches the program."""

import inspect
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import pytest
import typer

from rtmag.realtime.cli.app import app
from rtmag.realtime.cli.main import execute
from rtmag.realtime.cli.options import parse_size, parse_streams
from rtmag.realtime.errors import OptionError
from rtmag.realtime.sources.pipe import RawPipe

EXTREME = ("nan", "inf", "-inf", "1e308", "-1", "9" * 4000, "-" + "9" * 4000, "1e-320", "0x1")

CHECKED_LATER = {"alpha", "fl", "fh", "drift"}
"""Options whose ranges depend on others: `Controls`, filters and the frame rate check them."""

NOTHING = {
    "camera": ["no such camera", "--view", "none"],
    "stream": ["no-such-file-*", "--view", "none"],
    "file": ["none.mp4"],
    "measure": ["none.mp4"],
    "demo": ["--overwrite", "--model", "none"],
    "bench": ["--model", "none.onnx"],
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def numbers(group: typer.Typer) -> Iterator[tuple[str, str, Any]]:
    """Command, flag and declaration of each option that is a number."""
    for command in group.registered_commands:
        assert command.callback is not None
        for each in inspect.signature(command.callback, eval_str=True).parameters.values():
            kind, *marks = get_args(each.annotation) or (each.annotation,)
            if {kind, *get_args(kind)} & {int, float}:
                option = next(mark for mark in marks if isinstance(mark, type(typer.Option())))
                yield command.callback.__name__, "--" + each.name.replace("_", "-"), option


def all_groups() -> dict[str, typer.Typer]:
    groups = {"rtmag": app}
    if find_spec("torch") is not None:
        from rtmag.export.cli import app as export_app
        from rtmag.train.training import app as train_app

        groups |= {"export": export_app, "train": train_app}
    return groups


def test_every_number_has_two_ends() -> None:
    found = [each for group in all_groups().values() for each in numbers(group)]
    assert len(found) > 20
    for command, flag, option in found:
        if flag.lstrip("-") not in CHECKED_LATER:
            assert None not in (option.min, option.max), f"{command} {flag}"


def test_extreme_numbers_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Each is refused before anything is opened, with exit code 2."""
    for command, flag, option in numbers(app):
        for text in EXTREME:
            if flag == "--alpha" and command == "demo" and text not in ("nan", "inf", "-inf"):
                continue  # it would run
            code = execute([command, *NOTHING[command], f"{flag}={text}"])
            error = capsys.readouterr().err
            assert code == 2, (command, flag, text[:9], error)
            for words in ("a bug in rtmag", "Traceback", "Warning"):
                assert words not in error, (command, flag, text[:9], error)
            if option.max is not None and text in EXTREME[:4]:
                assert flag in error, (command, flag, text[:9], error)


@pytest.mark.skipif(find_spec("torch") is None, reason="needs PyTorch")
@pytest.mark.parametrize("command", ["train", "export"])
def test_extreme_numbers_of_other_commands_are_refused(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for _, flag, _ in numbers(all_groups()[command]):
        for text in EXTREME[:6]:
            assert execute([command, "run", f"{flag}={text}"]) == 2
            assert flag in capsys.readouterr().err
    assert not Path("run").exists()


@pytest.mark.parametrize("digits", [7, 4000, 5000])
def test_lists_and_sizes_of_too_many_digits_are_refused(digits: int) -> None:
    with pytest.raises(OptionError, match="640x480"):
        parse_size(f"{'9' * digits}x8")
    with pytest.raises(OptionError, match="such as 1,2,4"):
        parse_streams(f"1,{'9' * digits}")


@pytest.mark.parametrize("fps", [float("inf"), float("nan"), 0.0, -1.0])
def test_a_raw_pipe_needs_a_positive_rate(fps: float) -> None:
    with pytest.raises(OptionError, match="fps must be positive"):
        RawPipe((8, 8), fps)
