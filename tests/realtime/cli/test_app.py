"""The help of all commands; the commands presets, config show, train and export."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from rich.text import Text
from typer.main import get_command
from typer.testing import CliRunner

from rtmag.realtime.cli import app as module
from rtmag.realtime.cli.main import execute
from rtmag.realtime.errors import MissingExtra, requires_extra
from rtmag.realtime.presets import PRESETS
from tests.support.fakes import ENVIRONMENT

PANELS = {
    "demo": ["Demo", "Model"],
    "camera": ["Motion", "Camera", "File", "View", "Output", "Model"],
    "stream": ["Motion", "Stream", "View", "Output", "Model"],
    "file": ["Motion", "Input", "Output", "Model"],
    "measure": ["Regions", "Input", "Output", "Model"],
    "bench": ["Models and engines", "Measurement", "Result"],
}

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


@pytest.mark.parametrize(
    ("library", "args"),
    [
        ("safetensors", ["train", "--steps", "1"]),
        ("skimage", ["train", "--steps", "1"]),
        ("matplotlib", ["train", "--steps", "1"]),
        ("safetensors", ["export", "x"]),
        ("onnxscript", ["export", "x"]),
    ],
)
def test_a_single_missing_library_is_named_before_any_work(
    library: str, args: list[str], tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    script = WITHOUT_TORCH.replace('("torch", "onnx")', repr((library,)))
    run = [sys.executable, "-c", script, *args]
    done = subprocess.run(run, env=ENVIRONMENT, cwd=tmp_path, capture_output=True, text=True)
    words = f"error: rtmag {args[0]} needs {library}: pip install 'rtmag[{args[0]}]'\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", words)
    assert not list(tmp_path.iterdir())


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
    with pytest.raises(ModuleNotFoundError) as caught, requires_extra("rtmag train", "train"):
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
        "[measure]",
    ]
    assert [line.split() for line in lines if line.startswith("alpha ")] == [
        ["alpha", "10.0", "default"],
        ["alpha", "10.0", "default"],
        ["alpha", "20.0", "default"],
    ]


def commands() -> Iterator[tuple[str, Any]]:
    """Every command of rtmag with its name; those of train and export if torch is installed."""
    yield from below("rtmag", get_command(module.app))
    if find_spec("torch"):
        yield from below("rtmag train", get_command(import_module("rtmag.train.training").app))
    yield from below("rtmag export", get_command(import_module("rtmag.export.cli").app))


def below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield name, command
    for word, each in getattr(command, "commands", {}).items():
        yield from below(f"{name} {word}", each)


def help_texts() -> Iterator[tuple[str, str]]:
    for name, command in commands():
        yield name, command.help or ""
        for param in command.params:
            if not getattr(param, "hidden", False):
                yield f"{name} {param.name}", param.help or ""
                if isinstance(param.show_default, str):
                    yield f"{name} {param.name} default", param.show_default + "."


def test_rich_shows_every_help_text_completely() -> None:
    """Rich takes unescaped brackets for markup and leaves them out."""
    texts = dict(help_texts())
    assert len(texts) > 140
    for place, text in texts.items():
        assert Text.from_markup(text).plain == text.replace("\\[", "["), place


def test_every_help_text_is_a_phrase_with_a_full_stop() -> None:
    for place, text in help_texts():
        assert text.endswith("."), place
        assert not text.startswith(("Of ", "As ", "What ", "How ", "Where ", "Whether ")), place


def help_of(*args: str) -> str:
    return CliRunner().invoke(module.app, [*args, "--help"], env={"TERMINAL_WIDTH": "100"}).output


def test_the_extra_of_a_benchmark_is_shown_with_its_brackets() -> None:
    assert "rtmag[export]" in " ".join(help_of("bench").split())
    assert "rtmag[train]" in help_of()


@pytest.mark.parametrize("name", PANELS)
def test_options_are_shown_in_panels(name: str) -> None:
    titles = re.findall(r"^╭─ ([A-Z][\w ]*?) ─", help_of(name), re.MULTILINE)
    assert [title for title in titles if title not in ("Arguments", "Options")] == PANELS[name]
