"""Commands that the application module holds itself: presets, config show, train and export."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from rtmag.realtime.cli import app as module
from rtmag.realtime.cli.main import execute
from rtmag.realtime.errors import MissingExtra, needing
from rtmag.realtime.presets import PRESETS
from tests.support.fakes import ENVIRONMENT

WITHOUT_TORCH = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "onnx"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refuse())
from rtmag.realtime.cli.main import main
main()
"""


@pytest.mark.parametrize(
    "args", [["train"], ["train", "--help"], ["export", "x"], ["export", "x", "--target", "pt2"]]
)
def test_a_missing_extra_is_named(args: list[str], tmp_path: Path) -> None:
    """The gate runs the same commands in an environment without torch."""
    run = [sys.executable, "-c", WITHOUT_TORCH, *args]
    done = subprocess.run(run, env=ENVIRONMENT, cwd=tmp_path, capture_output=True, text=True)
    words = rf"error: rtmag {args[0]} needs (torch|onnx): pip install 'rtmag\[{args[0]}\]'\n"
    assert re.fullmatch(words, done.stderr), done.stderr
    assert done.stdout == ""
    assert done.returncode == 2


def test_help_of_export_needs_no_torch(tmp_path: Path) -> None:
    run = [sys.executable, "-c", WITHOUT_TORCH, "export", "--help"]
    done = subprocess.run(run, env=ENVIRONMENT, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--target" in done.stdout


def test_all_arguments_are_passed_to_the_training_script(monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[list[str]] = []

    class Command:
        main = staticmethod(received.append)

    monkeypatch.setattr(module, "import_module", lambda name: Command)
    args = ["runs/x", "--minutes", "5", "--resume", "-b", "4", "--help"]
    assert execute(["train", *args]) == 0
    assert received == [args]


def test_a_missing_module_of_rtmag_is_not_reported_as_a_missing_extra() -> None:
    with pytest.raises(ModuleNotFoundError) as caught, needing("rtmag train", "train"):
        raise ModuleNotFoundError("No module named 'rtmag.train.x'", name="rtmag.train.x")
    assert not isinstance(caught.value, MissingExtra)


def output_of(capsys: pytest.CaptureFixture[str], *args: str) -> list[str]:
    assert execute(list(args)) == 0
    return capsys.readouterr().out.splitlines()


def test_the_options_listed_for_a_preset_have_the_same_effect(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = output_of(capsys, "presets")
    assert [line.split()[0] for line in lines[::2]] == list(PRESETS)
    for line, why in zip(lines[::2], lines[1::2], strict=True):
        name, *options = shlex.split(line)
        assert why.strip() == PRESETS[name].why  # type: ignore[index]
        spelt = effective(output_of(capsys, "config", "show", "file", *options))
        assert effective(output_of(capsys, "config", "show", "file", "--preset", name)) == spelt


def effective(lines: list[str]) -> list[object]:
    """Alpha, mode, order and the band's edges, to three digits."""
    values = {line.split()[0]: line.split()[1] for line in lines[1:]}
    edges = [float(f"{float(values[key]):.3g}") for key in ("fl", "fh")]
    return [values["alpha"], values["mode"], values["order"], *edges]


def test_config_show_has_a_heading_for_each_command(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = output_of(capsys, "config", "show")
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
