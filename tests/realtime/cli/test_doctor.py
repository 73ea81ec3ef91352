"""The checks of `rtmag doctor`, and checks that fail."""

import json
from importlib.util import find_spec

import pytest

from rtmag.realtime.cli import doctor
from rtmag.realtime.cli.doctor import Finding, as_data, as_text, examine, healthy


@pytest.fixture(scope="module")
def findings() -> list[Finding]:
    return examine()


def test_every_topic_has_findings(findings: list[Finding]) -> None:
    topics = {finding.topic for finding in findings}
    assert topics == {"versions", "providers", "display", "cameras", "codecs", "model"}


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
