"""Rules of the code: size of folders and modules, unique names, first words of docstrings."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOPS = ("realtime", "export", "train")
QUESTIONS = {"what", "how", "where", "why", "whether", "who", "whoever", "whose", "which"}
SMALL = {
    "realtime.opencv": "one import with a helpful error",
    "realtime.streaming": "stream(), the public API in one line",
    "train.network.manipulator": "a stage of the paper's network",
}
"""Modules under 60 lines with a single importer that are not merged into it, with the reason."""


def modules() -> dict[str, Path]:
    """Every module by its name below the root; packages under the folder's name."""
    found = {}
    for top in TOPS:
        for path in (ROOT / top).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def trees() -> Iterator[tuple[str, ast.Module]]:
    for name, path in modules().items():
        yield name, ast.parse(path.read_text(encoding="utf-8"))


def test_no_folder_holds_more_than_twenty_modules() -> None:
    counts: dict[Path, int] = defaultdict(int)
    for path in modules().values():
        counts[path.parent] += path.name != "__init__.py"
    assert {folder: count for folder, count in counts.items() if count > 20} == {}


def test_public_class_names_are_unique() -> None:
    homes: dict[str, list[str]] = defaultdict(list)
    for name, tree in trees():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(name)
    assert {cls: where for cls, where in homes.items() if len(where) > 1} == {}


def docstrings() -> Iterator[tuple[str, str]]:
    """Every docstring of a module, public class or public function, with its place."""
    for name, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Module):
                place = name
            elif isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                place = f"{name}:{node.name}"
            else:
                continue
            text = ast.get_docstring(node)
            if text:
                yield place, text


def test_docstrings_begin_with_a_noun_phrase_or_a_verb() -> None:
    found = list(docstrings())
    assert len(found) > 800
    asking = [place for place, text in found if text.split()[0].strip(",:'").lower() in QUESTIONS]
    assert asking == []


FIGURATIVE = re.compile(
    r"\b(whoever|nobody|somebody|meanwhile|be it|for ever|anew|afresh|told|tells|so many|unasked"
    r"|beside|thereof|beforehand|is not to be had|numbers that are none|outlives?|mends?)\b",
    re.IGNORECASE,
)
"""Words and phrases that readers with English as a third language had to read twice."""


def test_code_and_pages_use_plain_words() -> None:
    pages = [*ROOT.glob("*.md")]
    for top in (*TOPS, "benchmarks", "tests"):
        pages += [path for path in (ROOT / top).rglob("*.md") if path.name != "EXPERIMENTS.md"]
    static = (ROOT / "realtime" / "web" / "static").glob("*.*")
    found: dict[Path, list[str]] = {}
    for path in [*modules().values(), *pages, *static]:
        if path.suffix in (".py", ".md", ".html", ".js", ".css"):
            words = FIGURATIVE.findall(path.read_text(encoding="utf-8"))
            found |= {path.relative_to(ROOT): words} if words else {}
    assert len(pages) >= 8
    assert found == {}


def importers() -> dict[str, set[str]]:
    """The modules that import each module, inside functions too."""
    found: dict[str, set[str]] = defaultdict(set)
    known = modules()
    for name, tree in trees():
        for node in ast.walk(tree):
            if not (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rtmag.")):
                continue
            module = (node.module or "").removeprefix("rtmag.")
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                found[inner if inner in known else module].add(name)
    return found


def test_small_modules_with_one_importer_are_few_and_named() -> None:
    users = importers()
    small = set()
    for name, path in modules().items():
        short = len(path.read_text(encoding="utf-8").splitlines()) < 60
        if path.name not in ("__init__.py", "__main__.py") and short and len(users[name]) == 1:
            small.add(name)
    assert small <= set(SMALL), small - set(SMALL)


@pytest.mark.parametrize("name", sorted(modules()))
def test_every_module_has_a_docstring(name: str) -> None:
    assert ast.get_docstring(ast.parse(modules()[name].read_text(encoding="utf-8")))
