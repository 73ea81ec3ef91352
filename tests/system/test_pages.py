"""README and pages: their commands parse, and their links, paths, extras and Python names exist."""

import ast
import re
import shlex
import tomllib
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import typer

import rtmag
from rtmag.realtime.cli.app import app
from rtmag.realtime.filters import parse_band
from rtmag.realtime.presets import PRESETS

ROOT = Path(__file__).parents[2]
FOLDERS = ("realtime", "train", "export", "benchmarks", "tests")
HISTORY = (
    "train/checkpoints/README.md",
    "benchmarks/EXPERIMENTS.md",
    "realtime/models/fast.md",
    "realtime/models/standard.md",
)
"""Pages whose commands belong to earlier commits."""
READMES = {
    path.relative_to(ROOT).as_posix()
    for name in FOLDERS
    for path in (ROOT / name).rglob("README.md")
}
PAGES = ("README.md", "CHANGELOG.md", *sorted(READMES - set(HISTORY)))
APPS = {"train": "rtmag.train.training", "export": "rtmag.export.cli"}
"""Modules with the `app` of commands that pass their options on."""
PATH = re.compile(rf"({'|'.join(FOLDERS)})/[\w./-]+")

FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    return [body for name, body in FENCE.findall(read(page)) if name == language]


def inline(page: str) -> list[str]:
    return INLINE.findall(FENCE.sub("", read(page)))


def commands(page: str) -> Iterator[list[str]]:
    """Every command of a page, as words; shell blocks line by line, and inline code."""
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    lines += [code for code in inline(page) if re.match(r"(rtmag|python|pip|torchrun) ", code)]
    for line in lines:
        words = shlex.split(line, comments=True)
        command: list[str] = []
        for word in [*words, "&&"]:
            if word in ("&&", "|", ";"):
                if command:
                    yield command
                command = []
            elif word != ">" and not re.match(r"[A-Z_]+=", word):
                command.append(word)


def parse(application: typer.Typer, args: list[str]) -> None:
    """Parse a command line without running anything."""
    command = typer.main.get_command(application)
    silence(command)
    command.main(args, prog_name="rtmag", standalone_mode=False)


def silence(command: Any) -> None:
    command.callback = None
    for inner in getattr(command, "commands", {}).values():
        silence(inner)


def check_rtmag(words: list[str], page: str) -> None:
    if words[1] in APPS:
        pytest.importorskip("torch")
        application, args = import_module(APPS[words[1]]).app, words[2:]
    else:
        application, args = app, [w for w in words[1:] if w not in ("-v", "--log-json", "--debug")]
    bare = len(words) == 2  # a command that is only named
    try:
        parse(application, args)
    except Exception as error:
        if not (bare and type(error).__name__ == "MissingParameter"):
            pytest.fail(f"{page}: {shlex.join(words)}: {error}")


def check_module(words: list[str], page: str) -> None:
    """`python -m MODULE OPTIONS`: the module exists; a benchmark accepts the options."""
    name = words[words.index("-m") + 1]
    assert find_spec(name) is not None, f"{page}: {name}"
    if not name.startswith("benchmarks."):
        return
    application = typer.Typer()
    application.command()(import_module(name).main)
    try:
        parse(application, words[3:])
    except Exception as error:
        if not (len(words) == 3 and type(error).__name__ == "MissingParameter"):
            pytest.fail(f"{page}: {shlex.join(words)}: {error}")


def check_extras(words: list[str], page: str) -> None:
    project = tomllib.loads(read("pyproject.toml"))["project"]
    for word in words[2:]:
        for names in re.findall(r"^(?:\.|rtmag)\[([\w,]+)\]$", word):
            assert set(names.split(",")) <= set(project["optional-dependencies"]), f"{page}: {word}"


CHECKS = {"rtmag": check_rtmag, "python": check_module, "torchrun": check_module}
FOREIGN = ("pytest", "ffmpeg", "ssh", "xvfb-run", "apt-get", "git", "cp", "nohup", "pip", "cd")


@pytest.mark.parametrize("page", PAGES)
def test_commands_are_accepted(page: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RTMAG_URL", "rtsp://192.168.1.5/live")
    for words in commands(page):
        if words[0] == "pip":
            check_extras(words, page)
        elif words[0] in CHECKS:
            CHECKS[words[0]](words, page)
        else:
            assert words[0] in FOREIGN, f"{page}: {shlex.join(words)}"


def test_an_unknown_option_on_a_page_fails() -> None:
    with pytest.raises(pytest.fail.Exception, match="colour"):
        check_rtmag(["rtmag", "camera", "--colour", "red"], "page")
    with pytest.raises(pytest.fail.Exception, match="sleeping"):
        check_rtmag(["rtmag", "camera", "--preset", "sleeping"], "page")
    with pytest.raises(AssertionError):
        check_extras(["pip", "install", ".[webb]"], "page")


def slugs(text: str) -> set[str]:
    """Anchors of the headings of a page, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", [*PAGES, *HISTORY])
def test_every_link_has_a_target(page: str) -> None:
    for target in LINK.findall(read(page)):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        file = (ROOT / page).parent / name if name else ROOT / page
        assert file.exists(), f"{page}: {target}"
        if anchor:
            assert anchor in slugs(file.read_text(encoding="utf-8")), f"{page}: {target}"


@pytest.mark.parametrize("page", [*PAGES, *HISTORY])
def test_paths_in_the_text_exist(page: str) -> None:
    for code in inline(page):
        if PATH.fullmatch(code):
            places = (ROOT, (ROOT / page).parent)
            assert any((place / code).exists() for place in places), f"{page}: {code}"


@pytest.mark.parametrize("page", [*PAGES])
def test_options_in_the_text_exist(page: str) -> None:
    known = options(typer.main.get_command(app)) | {"--help"}
    for module in APPS.values() if find_spec("torch") else ():
        known |= options(typer.main.get_command(import_module(module).app))
    for module in re.findall(r"python -m (\S+?)[`\s]", read(page)):
        if find_spec(module) is not None and (find_spec("torch") or "train" not in module):
            single = typer.Typer()
            single.command()(import_module(module).main)
            known |= options(typer.main.get_command(single))
    for code in inline(page):
        found = re.match(r"--[a-z][\w-]*", code)
        if found and find_spec("torch"):
            assert found[0] in known, f"{page}: {code}"


def options(command: Any) -> set[str]:
    """Every option of a command and of the commands in it."""
    names = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
    return names.union(*(options(each) for each in getattr(command, "commands", {}).values()))


@pytest.mark.parametrize("page", PAGES)
def test_python_compiles_and_its_names_exist(page: str) -> None:
    for block in blocks(page, "python"):
        tree = ast.parse(block)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                module = import_module(str(node.module))
                assert all(hasattr(module, alias.name) for alias in node.names), f"{page}: {block}"
            elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "rtmag":
                assert hasattr(rtmag, node.attr), f"{page}: rtmag.{node.attr}"


# ---- the README ---------------------------------------------------------------------------------

LONGEST = 200
ANY_CAMERA = 15.0
"""Frames per second that every camera has."""


def test_the_readme_is_short() -> None:
    assert len(read("README.md").splitlines()) <= LONGEST


def test_each_version_of_the_changelog_is_short() -> None:
    for version in read("CHANGELOG.md").split("\n## ")[1:]:
        assert len(version.splitlines()) <= 40, version.splitlines()[0]


def settings() -> list[list[str]]:
    """Rows of the table of settings by problem: film, frequency, camera, command, alpha, see."""
    section = read("README.md").partition("## Settings for your problem")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line[:1] == "|"]
    return rows[2:]


@pytest.mark.parametrize("row", settings(), ids=lambda row: str(row[0]))
def test_settings_by_problem_agree_with_the_presets(row: list[str]) -> None:
    _, frequency, camera, command, alpha, _ = row
    args: dict[str, str] = dict(re.findall(r"--([a-z-]+) (\S+?)(?=[ `]|$)", command))
    presets = {str(name): preset for name, preset in PRESETS.items()}
    usual = presets[args["preset"]].alpha if "preset" in args else 20
    assert float(args.get("alpha", usual)) == float(alpha)
    if "mode" in args:
        return
    fl, fh = parse_band(args["band"]) if "band" in args else presets[args["preset"]].filter.band
    numbers = [float(number) for number in re.findall(r"[\d.]+", frequency.rpartition(":")[2])]
    scale = 60 if re.search(r"bpm|per minute", frequency) else 1
    lowest, highest = min(numbers) / scale, max(numbers) / scale
    assert fl <= lowest * 1.01
    assert highest <= fh * 1.01
    rates = [float(number) for number in re.findall(r"\d+", camera)] or [ANY_CAMERA]
    assert max(rates) >= 5 * highest * 0.99
    rate = args.get("capture-fps") or args.get("fps") or min(rates)
    assert fh < float(rate) / 2
