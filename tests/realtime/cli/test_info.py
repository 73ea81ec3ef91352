"""What is told about options can be used as options."""

import shlex
from pathlib import Path

import pytest

from rtmag.realtime.cli.main import execute
from rtmag.realtime.presets import PRESETS


def shown(capsys: pytest.CaptureFixture[str], *args: str) -> list[str]:
    assert execute(list(args)) == 0
    return capsys.readouterr().out.splitlines()


def test_each_preset_is_told_as_the_options_it_stands_for(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = shown(capsys, "presets")
    assert [line.split()[0] for line in lines[::2]] == list(PRESETS)
    for line, why in zip(lines[::2], lines[1::2], strict=True):
        name, *options = shlex.split(line)
        assert why.strip() == PRESETS[name].why  # type: ignore[index]
        spelt = effective(shown(capsys, "config", "show", "file", *options))
        assert effective(shown(capsys, "config", "show", "file", "--preset", name)) == spelt


def effective(lines: list[str]) -> list[object]:
    """Alpha, mode, order and the band's edges, to three digits."""
    values = {line.split()[0]: line.split()[1] for line in lines[1:]}
    edges = [float(f"{float(values[key]):.3g}") for key in ("fl", "fh")]
    return [values["alpha"], values["mode"], values["order"], *edges]


def test_every_command_has_a_heading(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = shown(capsys, "config", "show")
    assert [line for line in lines if line.startswith("[")] == [
        "[camera]",
        "[stream]",
        "[file]",
    ]
    assert [line.split() for line in lines if line.startswith("alpha ")] == [
        ["alpha", "20.0", "default"],
        ["alpha", "20.0", "default"],
        ["alpha", "20.0", "default"],
    ]
