"""Contents of pyproject.toml: packages, data files, extras, scripts and security rules."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

SYSTEMS = ("linux", "win32", "darwin", "freebsd14", "cygwin")
MACHINES = ("x86_64", "AMD64", "aarch64", "arm64", "ARM64", "i686", "riscv64")


def packages() -> list[str]:
    return list(PROJECT["tool"]["setuptools"]["packages"])


def test_every_folder_with_code_is_listed() -> None:
    folders = {
        path.parent.relative_to(ROOT)
        for top in ("realtime", "export", "train")
        for path in (ROOT / top).rglob("*.py")
    }
    listed = set(packages())
    assert {".".join(("rtmag", *folder.parts)) for folder in folders} <= listed
    for name in listed:
        assert ROOT.joinpath(*name.split(".")[1:]).is_dir()


def test_every_data_file_is_listed() -> None:
    data: dict[str, list[str]] = PROJECT["tool"]["setuptools"]["package-data"]
    for package in packages():
        if package == "rtmag":  # the root of the repository, most of which is not packaged
            continue
        patterns = data.get(package, []) + data["*"]
        for path in ROOT.joinpath(*package.split(".")[1:]).iterdir():
            packed = path.suffix != ".py" and path.name != "README.md" and path.name[0] != "."
            if path.is_file() and packed:
                assert any(path.match(pattern) for pattern in patterns), path


def test_every_package_is_typed() -> None:
    for top in (".", "realtime", "export", "train"):
        assert (ROOT / top / "py.typed").exists()


def markers() -> dict[str, str]:
    found = {}
    for line in PROJECT["project"]["dependencies"]:
        name = re.match(r"[\w-]+", line)
        if name and name[0].startswith("onnxruntime"):
            found[name[0]] = line.partition(";")[2]
    return found


def test_every_extra_installs_exactly_one_onnxruntime() -> None:
    packaging = pytest.importorskip("packaging.markers")
    assert set(markers()) == {"onnxruntime", "onnxruntime-gpu"}
    for system in SYSTEMS:
        for machine in MACHINES:
            place = {"sys_platform": system, "platform_machine": machine}
            chosen = [
                name
                for name, marker in markers().items()
                if packaging.Marker(marker).evaluate(place)
            ]
            expected = (system, machine) in {("linux", "x86_64"), ("win32", "AMD64")}
            assert chosen == ["onnxruntime-gpu" if expected else "onnxruntime"], place


def test_torch_is_in_extras_only() -> None:
    core = " ".join(PROJECT["project"]["dependencies"])
    assert "torch" not in core
    for extra in ("train", "export", "dev"):
        assert any(line.startswith("torch") for line in extras()[extra])


def extras() -> dict[str, list[str]]:
    return dict(PROJECT["project"]["optional-dependencies"])


def test_the_extra_dev_contains_the_extras_with_tests() -> None:
    def names(extra: str) -> set[str]:
        return {re.split(r"[^\w-]", line)[0] for line in extras()[extra]}

    tested = names("train") | names("export") | names("web") | names("plot") | names("uff")
    assert tested <= names("dev")
    assert "torch==2.13.*" in extras()["dev"]


def test_the_script_is_the_command_line() -> None:
    assert PROJECT["project"]["scripts"] == {"rtmag": "rtmag.__main__:main"}
    from rtmag.__main__ import main

    assert callable(main)


def calls() -> Iterator[tuple[str, dict[str, str]]]:
    """Function and keywords of every call in the shipped code."""
    for top in ("realtime", "export", "train"):
        for path in (ROOT / top).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call):
                    words = {k.arg: ast.unparse(k.value) for k in node.keywords if k.arg}
                    yield ast.unparse(node.func), words


def test_no_call_can_run_foreign_code() -> None:
    """S07: ruff's rules S check the rest; pip-audit runs in CI, because it needs the network."""
    assert "S" in PROJECT["tool"]["ruff"]["lint"]["select"]
    refused = {"eval", "exec", "os.system", "os.popen", "pickle.load", "pickle.loads", "yaml.load"}
    found = list(calls())
    assert len(found) > 1000
    for function, words in found:
        assert function not in refused
        assert words.get("shell", "False") == "False", function
        assert words.get("allow_pickle", "False") == "False", function
        assert function != "torch.load" or words.get("weights_only") == "True"


@pytest.mark.parametrize(
    ("package", "floor", "extras"),
    [
        ("opencv-python", (4, 12), {None}),  # CVE-2025-53644
        ("h11", (0, 16), {"web", "dev"}),  # CVE-2025-43859
        ("pillow", (12, 2), {"train", "dev"}),
    ],
)
def test_floors_keep_out_known_vulnerabilities(
    package: str, floor: tuple[int, int], extras: set[str | None]
) -> None:
    """S07."""
    project = PROJECT["project"]
    groups = {None: project["dependencies"], **project["optional-dependencies"]}
    for extra in extras:
        (line,) = (each for each in groups[extra] if re.match(rf"{package}\b[^-]", each))
        lowest = re.search(r">=([0-9]+)(?:\.([0-9]+))?", line)
        assert lowest is not None
        assert tuple(int(part or 0) for part in lowest.groups()) >= floor


def test_ci_tests_the_lowest_versions() -> None:
    """S07."""
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    job = workflow.partition("\n  floors:\n")[2].partition("\n  runtime:\n")[0]
    for extra in set(PROJECT["project"]["optional-dependencies"]) - {"cuda", "trt", "dev"}:
        assert f"--extra {extra}" in job
    for step in ("--resolution lowest-direct", "pip-audit --requirement", "pytest"):
        assert step in job
