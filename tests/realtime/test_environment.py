"""Hardware: what a benchmark says about where it ran."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from rtmag.realtime import environment as hardware
from rtmag.realtime.environment import code, gpu, machine
from tests.support.fakes import run_python


def test_it_names_commit_machine_and_libraries() -> None:
    found = machine()
    assert found["machine"]["cores"] >= 1
    assert {"cpu", "system"} < set(found["machine"])
    assert {"rtmag", "numpy", "onnxruntime"} <= set(found["versions"])
    if (hardware._ROOT / ".git").exists():
        assert found["commit"].removesuffix("-dirty").isalnum()
    else:
        assert found["commit"] is None  # an installed copy


def test_a_gpu_is_named_with_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "_answer", lambda command: "NVIDIA H200, 570.86.15\nNVIDIA B, 1")
    assert gpu() == {"gpu": "NVIDIA H200", "driver": "570.86.15"}
    assert machine()["machine"].items() > gpu().items()
    monkeypatch.setattr(hardware, "_answer", lambda command: None)
    assert gpu() == {}


def test_torch_is_named_where_it_was_used_and_imported_for_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = "import sys; from rtmag.realtime.bench.timing import machine; found = machine()"
    assert run_python(f"{asked}; print('torch' in sys.modules, 'torch' in found['versions'])") == (
        "False False\n"
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(__version__="2.99"))
    assert machine()["versions"]["torch"] == "2.99"


def test_changes_are_told_and_other_repositories_are_not_ours(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    (tmp_path / "file").write_text("before")
    subprocess.run([*git, "add", "file"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "x", "--no-gpg-sign"], check=True)
    assert code(tmp_path / "inside") is None
    first = code(tmp_path)
    assert first is not None
    assert len(first) == 12
    (tmp_path / "file").write_text("after")
    assert code(tmp_path) == f"{first}-dirty"


def test_a_program_that_is_not_there_or_fails_says_nothing() -> None:
    assert hardware._answer(["no-such-program"]) is None
    assert hardware._answer(["git", "no-such-command"]) is None
