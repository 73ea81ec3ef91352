"""The table of runtimes, and the order in which `auto` tries them."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import pytest

from rtmag.realtime.engines import loading
from rtmag.realtime.engines.engine import Engine, IdentityEngine
from rtmag.realtime.engines.runtimes import ENGINES, RUNTIMES, Runtime, find_runtime
from rtmag.realtime.engines.spec import AUTO, ONNX, PROGRAM, EngineSpec
from rtmag.realtime.errors import ModelIncompatible, ProviderUnavailable


def test_the_names_of_engines_are_those_of_the_table() -> None:
    assert [AUTO, *(runtime.name for runtime in RUNTIMES)] == list(ENGINES)
    assert [find_runtime(name).name for name in ENGINES[1:]] == list(ENGINES[1:])
    with pytest.raises(ProviderUnavailable, match="got 'tpu'"):
        find_runtime("tpu")


def test_every_runtime_runs_some_type_of_file() -> None:
    suffixes = {runtime.name: (runtime.opens(ONNX), runtime.opens(PROGRAM)) for runtime in RUNTIMES}
    assert suffixes == {
        "cuda": (True, True), "openvino": (True, False), "onnx": (True, False),
        "torch": (False, True), "tensorrt": (False, True),
    }  # fmt: skip


def test_runtimes_for_onnx_files_can_be_checked() -> None:
    for runtime in RUNTIMES:
        assert (runtime.check is not None) == runtime.opens(ONNX)


def suitable(answer: bool, spec: EngineSpec, motion: bool) -> bool:
    return answer


def first(
    monkeypatch: pytest.MonkeyPatch, unsuitable: set[str], failing: Mapping[str, Exception]
) -> str:
    """The runtime that `auto` takes if some are unsuitable and others fail."""
    table = [
        replace(runtime, automatic=partial(suitable, runtime.name not in unsuitable))
        for runtime in RUNTIMES
    ]
    monkeypatch.setattr("rtmag.realtime.engines.loading.RUNTIMES", table)
    taken: list[str] = []

    def load(runtime: Runtime) -> Engine:
        if runtime.name in failing:
            raise failing[runtime.name]
        taken.append(runtime.name)
        return IdentityEngine()

    loading._load_on(None, load, ONNX, EngineSpec(), True)
    return taken[0]


def test_auto_takes_the_first_that_is_suitable_and_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = ProviderUnavailable("no such device")
    assert first(monkeypatch, set(), {}) == "cuda"
    assert first(monkeypatch, {"cuda"}, {}) == "openvino"
    assert first(monkeypatch, set(), {"cuda": missing, "openvino": missing}) == "onnx"


def test_auto_reports_a_bad_model_and_the_last_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelIncompatible, match="bad model"):
        first(monkeypatch, set(), {"cuda": ModelIncompatible("bad model")})
    missing = {name: ProviderUnavailable(f"no {name}") for name in ("cuda", "openvino", "onnx")}
    with pytest.raises(ProviderUnavailable, match="no onnx"):
        first(monkeypatch, set(), missing)
