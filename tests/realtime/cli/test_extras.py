"""Commands whose libraries may not be installed."""

import pytest

from rtmag.realtime.cli import extras
from rtmag.realtime.cli.main import execute
from rtmag.realtime.errors import MissingExtra


def test_a_missing_extra_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(extras, "import_module", absent)
    for name in ("train", "export"):
        assert execute([name, "--anything"]) == 2
        said = capsys.readouterr().err
        assert said == f"error: rtmag {name} needs torch: pip install 'rtmag[{name}]'\n"


def test_arguments_are_passed_on_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    got: list[list[str]] = []

    class Command:
        main = staticmethod(got.append)

    monkeypatch.setattr(extras, "import_module", lambda name: Command)
    args = ["runs/x", "--minutes", "5", "--resume", "-b", "4", "--help"]
    assert execute(["train", *args]) == 0
    assert got == [args]


def test_a_fault_inside_train_is_not_taken_for_a_missing_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError("No module named 'rtmag.train.x'", name="rtmag.train.x")

    monkeypatch.setattr(extras, "import_module", absent)
    with pytest.raises(ModuleNotFoundError):
        extras.pass_on("train", [])
    assert not issubclass(ModuleNotFoundError, MissingExtra)
