"""The checks of `rtmag doctor`, and checks that fail."""

import json
import re
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

from rtmag.realtime.cli import doctor
from rtmag.realtime.cli.doctor import Finding, as_data, as_text, examine, healthy


@pytest.fixture(scope="module")
def findings() -> list[Finding]:
    return examine()


def test_every_topic_has_findings(findings: list[Finding]) -> None:
    topics = {finding.topic for finding in findings}
    assert topics == {
        "versions", "providers", "extras", "display", "cameras", "codecs", "model", "speed",
    }  # fmt: skip


def test_extras_are_those_of_the_project() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text("utf-8"))
    extras = project["project"]["optional-dependencies"]
    runtimes = {"cuda", "openvino", "trt"}
    assert set(doctor.EXTRAS) | runtimes | {"dev"} == set(extras)
    for name, (_, packages) in doctor.EXTRAS.items():
        assert set(packages) == {re.split(r"[^\w-]", line)[0] for line in extras[name]}


def test_a_missing_extra_has_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "installed", lambda name: None if name == "mss" else "1.0")
    found = {finding.name: finding for finding in doctor._extras()}
    assert [name for name, finding in found.items() if not finding.ok] == ["screen"]
    assert found["screen"].value == "rtmag stream screen; not installed: mss"
    assert "pip install 'rtmag[screen]'" in found["screen"].hint
    assert "screen: for rtmag stream screen" in as_text(list(found.values()))


def test_the_speed_of_each_runtime_is_measured(findings: list[Finding]) -> None:
    speeds = {finding.name: finding.value for finding in findings if finding.topic == "speed"}
    opened = {finding.name for finding in findings if finding.topic == "providers" and finding.ok}
    assert set(speeds) == {"onnx" if name == "cpu" else name for name in opened}
    for value in speeds.values():
        match = re.fullmatch(r"(\d+) steps/s at 640x480 with model fast", value)
        assert match is not None


def test_versions_are_those_installed(findings: list[Finding]) -> None:
    import numpy

    versions = {finding.name: finding.value for finding in findings if finding.topic == "versions"}
    assert versions["numpy"] == numpy.__version__
    assert {"python", "system", "av", "typer"} <= set(versions)


def test_the_core_works_here(findings: list[Finding]) -> None:
    found = {finding.name: finding for finding in findings}
    assert found["cpu"].ok
    assert found["writing mp4"].ok, found["writing mp4"].value
    assert found["openvino"].ok is (find_spec("openvino") is not None)


def test_a_failed_check_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def _model() -> list[Finding]:
        raise RuntimeError("broken\nin two lines")

    def _cameras() -> list[Finding]:
        raise OSError

    monkeypatch.setattr(doctor, "_model", _model)
    monkeypatch.setattr(doctor, "_cameras", _cameras)
    found = {finding.topic: finding for finding in examine()}
    assert found["model"].value == "broken"
    assert found["cameras"].value == "OSError"
    assert not healthy(list(found.values()))


def test_two_packages_in_one_folder_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    both = {"opencv-python": "5.0", "opencv-python-headless": "5.0"}
    monkeypatch.setattr(doctor, "installed", both.get)
    (finding,) = doctor._conflicts()
    assert finding.name == "opencv-python and opencv-python-headless"
    assert "pip uninstall" in finding.hint
    assert not finding.ok


def test_optional_parts_do_not_make_rtmag_unhealthy() -> None:
    missing = Finding("display", "windows", False, "no display", "use --view none")
    fine = Finding("model", "built-in model", True, "standard", needed=True)
    assert healthy([missing, fine])
    text = as_text([missing, fine])
    assert "no  windows: no display" in text
    assert "windows: use --view none" in text
    assert text.endswith("rtmag works here")
    broken = Finding("model", "check", False, "no such model", needed=True)
    assert as_text([broken]).endswith("rtmag cannot work here yet")


def test_findings_are_json_data(findings: list[Finding]) -> None:
    data = json.loads(json.dumps(as_data(findings)))
    assert data["healthy"] is healthy(findings)
    assert data["findings"][0]["name"] == "python"
