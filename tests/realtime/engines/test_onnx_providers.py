"""Execution providers of ONNX Runtime: only one that opens counts as available."""

import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest

from rtmag.realtime.engines import onnx_providers as providers
from rtmag.realtime.engines.onnx_providers import check_provider, missing_library, packaged_graph
from rtmag.realtime.environment import usable_cores
from rtmag.realtime.errors import MissingExtra, ProviderUnavailable
from tests.support.fakes import identity_model


@pytest.fixture
def model(tmp_path: Path) -> bytes:
    return identity_model(tmp_path / "identity.onnx").read_bytes()


class FakeRuntime:
    """An onnxruntime that lists CUDA; if it is `broken`, sessions run on the CPU."""

    def __init__(self, broken: bool = False) -> None:
        self.opened: list[dict[str, Any]] = []
        self.entries: dict[str, str] = {}
        self._broken = broken

    def get_available_providers(self) -> list[str]:
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]

    def set_default_logger_severity(self, level: int) -> None:
        self.level = level

    def preload_dlls(self) -> None:
        print("Failed to load libcudnn.so.9")
        self.opened.append({"preloaded": True})

    def SessionOptions(self) -> SimpleNamespace:
        return SimpleNamespace(add_session_config_entry=self.entries.__setitem__)

    def InferenceSession(self, model: bytes, options: Any, **named: Any) -> SimpleNamespace:
        self.opened.append({"options": options, **named})
        first = "CPUExecutionProvider" if self._broken else named["providers"][0][0]
        return SimpleNamespace(get_providers=lambda: [first, "CPUExecutionProvider"])


def test_the_cpu_uses_the_requested_threads(model: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    assert providers.open_session(model, "cpu").get_providers() == ["CPUExecutionProvider"]
    fake = FakeRuntime()
    monkeypatch.setattr(providers, "import_onnxruntime", lambda: fake)
    providers.open_session(model, "cpu")
    providers.open_session(model, "cpu", threads=3)
    threads = [call["options"].intra_op_num_threads for call in fake.opened]
    assert threads == [usable_cores(), 3]
    assert fake.entries["session.force_spinning_stop"] == "1"


def test_threads_sleep_between_frames(model: bytes) -> None:
    session = providers.open_session(model, "cpu", threads=2)
    inputs = {
        "image": np.zeros((64, 64, 3), np.uint8),
        "alpha": np.array(2, np.float32),
        "sections": np.array([[1, -1, 0, -1, 0]], np.float32),
        "reset": np.array(1, np.float32),
    }
    shapes = {each.name: each.shape for each in session.get_inputs()}
    assert shapes.keys() >= inputs.keys()
    state = np.zeros([1 if not isinstance(n, int) else n for n in shapes["state"]], np.float32)
    for _ in range(3):
        session.run(None, inputs | {"state": state})
    began = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - began < 0.1


def test_cuda_may_run_shape_arithmetic_on_the_cpu(
    model: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeRuntime()
    monkeypatch.setattr(providers, "import_onnxruntime", lambda: fake)
    session = providers.open_session(model, "cuda")
    assert session.get_providers()[0] == "CUDAExecutionProvider"
    assert "session.disable_cpu_ep_fallback" not in fake.entries
    assert fake.opened[-1]["enable_fallback"] == 0


def test_cuda_preloads_its_libraries_once_and_uses_no_tf32(
    model: bytes, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    fake = FakeRuntime()
    monkeypatch.setattr(providers, "import_onnxruntime", lambda: fake)
    providers.open_session(model, "cpu")
    providers.open_session(model, "cuda")
    providers.open_session(model, "cuda")
    assert [call.get("preloaded", False) for call in fake.opened] == [False, True, False, False]
    (name, options), *_ = fake.opened[-1]["providers"]
    assert (name, options["use_tf32"]) == ("CUDAExecutionProvider", "0")
    assert "enable_cuda_graph" not in options
    providers.open_session(model, "cuda", cuda_graph=True)
    assert fake.opened[-1]["providers"][0][1] == options | {"enable_cuda_graph": "1"}
    assert capfd.readouterr() == ("", "")


def test_a_silent_fallback_is_an_error(model: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "import_onnxruntime", lambda: FakeRuntime(broken=True))
    with pytest.raises(ProviderUnavailable, match="fell back to the CPU"):
        providers.open_session(model, "cuda")


def test_a_build_without_cuda_is_named(model: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeRuntime()
    monkeypatch.setattr(fake, "get_available_providers", lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr(providers, "import_onnxruntime", lambda: fake)
    with pytest.raises(ProviderUnavailable, match=r"does not include it; pip install"):
        providers.open_session(model, "cuda")


def test_unknown_providers_are_refused(model: bytes) -> None:
    with pytest.raises(ProviderUnavailable, match="must be auto, cpu, cuda, got 'npu'"):
        providers.open_session(model, "npu")


def test_the_check_opens_a_provider_and_prints_nothing(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert check_provider("cpu") == "works"
    try:
        assert check_provider("cuda") == "works"
    except ProviderUnavailable as error:
        assert "\n" not in str(error)
    assert capfd.readouterr() == ("", "")


def test_the_check_prefers_the_reason_of_the_loader(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no such provider\nand more")

    monkeypatch.setattr(providers, "open_session", fail)
    monkeypatch.setattr(providers, "missing_library", lambda provider: None)
    with pytest.raises(ProviderUnavailable, match=r"^no such provider$"):
        check_provider("cuda")
    monkeypatch.setattr(providers, "missing_library", lambda provider: "libcublas: not found")
    with pytest.raises(ProviderUnavailable, match=r"^libcublas: not found$"):
        check_provider("cuda")


def test_the_probe_graph_is_valid_and_runs() -> None:
    model = packaged_graph("convolution")
    onnx.checker.check_model(onnx.load_from_string(model))
    assert providers.open_session(model, "cpu").get_outputs()[0].shape == [1, 1, 6, 6]


def test_the_cpu_provider_needs_no_library_of_its_own() -> None:
    assert missing_library("cpu") is None


def test_a_missing_library_is_one_line() -> None:
    reason = missing_library("cuda")
    assert reason is None or "\n" not in reason


def test_a_missing_onnxruntime_names_the_command_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtra, match="exactly one of them"):
        providers.import_onnxruntime()


def test_cores_are_those_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 5, 7}, raising=False)
    assert usable_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1
