"""The environment that a benchmark reports: commit, machine, libraries."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from rtmag.realtime import environment as environment
from rtmag.realtime.environment import commit, gpu, machine
from tests.support.fakes import run_python


def test_commit_machine_and_libraries_are_named() -> None:
    result = machine()
    assert result["machine"]["cores"] >= 1
    assert {"cpu", "system"} < set(result["machine"])
    assert {"rtmag", "numpy", "onnxruntime"} <= set(result["versions"])
    if (environment._ROOT / ".git").exists():
        assert result["commit"].removesuffix("-dirty").isalnum()
    else:
        assert result["commit"] is None  # an installed copy


def test_a_gpu_is_named_with_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        environment, "_output", lambda command: "NVIDIA H200, 570.86.15\nNVIDIA B, 1"
    )
    assert gpu() == {"gpu": "NVIDIA H200", "driver": "570.86.15"}
    assert machine()["machine"].items() > gpu().items()
    monkeypatch.setattr(environment, "_output", lambda command: None)
    assert gpu() == {}


def test_torch_is_named_if_it_is_loaded_and_is_not_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code = "import sys; from rtmag.realtime.bench.timing import machine; result = machine()"
    assert run_python(f"{code}; print('torch' in sys.modules, 'torch' in result['versions'])") == (
        "False False\n"
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(__version__="2.99"))
    assert machine()["versions"]["torch"] == "2.99"


def test_changed_files_are_reported_and_an_outer_repository_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    (tmp_path / "file").write_text("before")
    subprocess.run([*git, "add", "file"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "x", "--no-gpg-sign"], check=True)
    assert commit(tmp_path / "inside") is None
    first = commit(tmp_path)
    assert first is not None
    assert len(first) == 12
    (tmp_path / "file").write_text("after")
    assert commit(tmp_path) == f"{first}-dirty"


def test_a_missing_or_failing_program_gives_none() -> None:
    assert environment._output(["no-such-program"]) is None
    assert environment._output(["git", "no-such-command"]) is None
