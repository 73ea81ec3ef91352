"""The benchmark: candidates, rounds, baselines, and the command."""

import json
import math
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from rtmag.realtime.bench import costs, timing
from rtmag.realtime.bench.costs import bound_ms, describe_costs, open_candidates
from rtmag.realtime.bench.roofline import Roofline
from rtmag.realtime.bench.timing import Candidate, baseline_times, bench, time_steps
from rtmag.realtime.cli.main import execute
from rtmag.realtime.engines.engine import Engine, IdentityEngine
from rtmag.realtime.engines.loading import load_engine, load_spec
from rtmag.realtime.engines.spec import EngineSpec
from rtmag.realtime.engines.torch_engine import TorchEngine
from rtmag.realtime.errors import ModelIncompatible
from rtmag.realtime.filters import Static, Temporal
from tests.support.fakes import identity_model

SIZE = (64, 48)


@pytest.fixture(autouse=True)
def _known_roofline(monkeypatch: pytest.MonkeyPatch) -> None:
    rooflines = {"cpu": Roofline(gemm=1e10, copy=1e10)}
    monkeypatch.setattr(timing, "measure_rooflines", lambda devices: dict(rooflines))


def test_the_best_measurement_is_the_roofline(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = [(1e10, 2e10), (3e10, 1e10), (2e10, 1e10)]  # before the first size, and after each size
    measurements = iter({"cpu": Roofline(gemm=gemm, copy=copy)} for gemm, copy in rates)
    monkeypatch.setattr(timing, "measure_rooflines", lambda devices: next(measurements))
    sizes = [SIZE, (96, 64)]
    made = bench(["fast"], sizes, scales=(1.0,), runtimes=["onnx"], rounds=1)
    assert made["floor"] == {"gemm": 3e10, "copy": 2e10}
    for row in made["rows"]:
        bound = 1e3 * row["macs_per_px"] * row["width"] * row["height"] / 3e10
        assert row["floor_ms"] == pytest.approx(bound, abs=0.01)


def test_every_model_is_timed_at_every_supported_scale(tmp_path: Path) -> None:
    document = bench(["fast", identity_model(tmp_path / "plain.onnx")], [SIZE], rounds=2)
    names = [(row["model"], row["motion_scale"]) for row in document["rows"]]
    assert names == [("fast", 1.0), ("fast", 0.5), ("fast", 0.25), ("identity", 1.0)]
    assert document["baseline"] == "identity"
    for row in document["rows"]:
        assert 0 < row["p50_ms"] <= row["p95_ms"] <= row["p99_ms"]
        rounding = 0.01 / row["p50_ms"]
        assert row["fps"] == pytest.approx(1000 / row["p50_ms"], rel=0.02 + rounding)
    assert document["rows"][-1]["speed"] == 1.0
    assert document["commits"]["fast"] != "untrained"


def test_costs_are_printed_before_anything_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    steps = timing.time_steps

    def timed(*args: Any) -> list[list[float]]:
        events.append("timed")
        return steps(*args)

    monkeypatch.setattr(timing, "time_steps", timed)
    made = bench(
        ["fast"], [SIZE], scales=(1.0, 0.5), runtimes=["onnx"], rounds=1, print_line=events.append
    )
    machine, full, half, last = events
    assert "10 G multiply-accumulates/s, copies 10.0 GB/s" in machine
    assert last == "timed"
    metadata = load_engine("fast", engine="onnx").metadata
    for line, row in zip((full, half), made["rows"], strict=True):
        assert (
            f"64x48: {metadata['rtmag.parameters']} parameters, {metadata['rtmag.macs']} multiply"
            in line
        )
        assert f"{row['bytes_per_frame'] / 1e6:.1f} MB per frame" in line
        assert line.endswith(f"roofline bound {row['floor_ms']:.2f} ms")
    assert made["rows"][0]["bytes_per_frame"] > made["rows"][1]["bytes_per_frame"] > 6 * 64 * 48


def test_costs_name_a_gpu() -> None:
    environment = {"machine": {"cores": 8, "cpu": "some", "gpu": "NVIDIA Y", "driver": "570.1"}}
    rooflines = {"cpu": Roofline(gemm=1e10, copy=1e10), "cuda fp32": Roofline(gemm=3e13, copy=4e12)}
    engine = load_engine("fast", engine="onnx")
    engine.provider = "cuda"
    sections = Static().sections(30.0)
    first, second, third = describe_costs(environment, rooflines, [engine], [SIZE], sections)
    assert first.startswith("8 cores of some, NVIDIA Y, driver 570.1: 10 G")
    assert second == "cuda fp32: 30000 G multiply-accumulates/s, copies 4000.0 GB/s"
    assert third.endswith("roofline bound 0.00 ms")
    del rooflines["cuda fp32"]  # without PyTorch
    assert describe_costs(environment, rooflines, [engine], [SIZE], sections)[1].endswith(
        "roofline bound unknown"
    )


def test_speed_is_relative_to_the_baseline_on_the_same_runtime() -> None:
    class Named(IdentityEngine):
        def __init__(self, provider: str) -> None:
            super().__init__()
            self.provider = self.runtime = provider

    one, other = Named("cpu"), Named("openvino")
    runs = [
        Candidate(one), Candidate(one, 2), Candidate(one, 2, together=True),
        Candidate(Named("cpu")), Candidate(other),
    ]  # fmt: skip
    times = [[1.0], [6.0], [5.0], [9.0], [2.0]]
    assert baseline_times(runs, times, [one, other]) == {"cpu": 3.0, "openvino": 2.0}


def test_pytorch_and_onnx_runtime_have_different_names() -> None:
    engine = TorchEngine.__new__(TorchEngine)
    engine.provider, engine.compiled = "cpu", False
    assert (engine.runtime, IdentityEngine().runtime) == ("torch cpu", "cpu")
    engine.compiled = True
    assert engine.runtime == "torch cpu, compiled"


def test_programs_are_timed_compiled_and_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[tuple[str | None, bool]] = []

    def load(spec: EngineSpec) -> IdentityEngine:
        loaded.append((spec.model, spec.compiled))
        return IdentityEngine()

    monkeypatch.setattr(costs, "load_spec", load)
    open_candidates(EngineSpec(compiled=True), ["a.pt2", "b.onnx"], (1.0,))
    open_candidates(EngineSpec(), ["a.pt2"], (1.0,))
    assert loaded == [("a.pt2", True), ("a.pt2", False), ("b.onnx", False), ("a.pt2", False)]


def test_sizes_are_timed_one_after_the_other() -> None:
    document = bench(["fast"], [SIZE, (96, 64)], scales=(1.0,), runtimes=["onnx"], rounds=1)
    assert [(row["width"], row["height"]) for row in document["rows"]] == [SIZE, (96, 64)]


def test_a_missing_model_is_an_error() -> None:
    with pytest.raises(ModelIncompatible, match=r"'nowhere\.onnx'"):
        open_candidates(EngineSpec(engine="onnx"), ["nowhere.onnx"], (1.0, 0.5))


def test_a_baseline_has_one_stream_on_the_runtime_of_the_first_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: list[tuple[str, str]] = []
    load = load_spec

    def record(spec: EngineSpec) -> Engine:
        requests.append((Path(spec.model or "").stem, spec.engine))
        return load(replace(spec, engine="onnx"))

    monkeypatch.setattr(costs, "load_spec", record)
    plain = identity_model(tmp_path / "plain.onnx")
    made = bench(["fast"], [SIZE], scales=(1.0,), streams=(2,), rounds=1, baseline=plain)
    assert requests == [("fast", "auto"), ("plain", "onnx")], "auto may choose another runtime"
    rows = [(row["model"], row["streams"]) for row in made["rows"]]
    assert rows == [("fast", 2), ("identity", 1)]
    assert (made["baseline"], made["rows"][-1]["speed"]) == ("identity", 1.0)


def test_the_network_of_oh_et_al_is_the_baseline(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("onnxscript", reason="needs rtmag[export]")
    args = ["bench", "--model", "fast", "--quick", "--engine", "onnx", "--oh2018"]
    assert execute(args) == 0
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert document["baseline"] == document["rows"][-1]["model"] == "oh2018"
    assert document["commits"]["oh2018"] == "untrained"
    assert document["rows"][0]["speed"] > 5


def test_a_missing_pytorch_names_the_extra(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "rtmag.export.onnx_export", raising=False)
    monkeypatch.delitem(sys.modules, "rtmag.export.onnx_export", raising=False)
    assert execute(["bench", "--quick", "--oh2018"]) == 2
    message = capsys.readouterr().err
    assert message == "error: rtmag bench --oh2018 needs torch: pip install 'rtmag[export]'\n"


def test_engines_alternate_in_rounds_of_two_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, other = load_engine("fast", engine="onnx"), load_engine("fast", engine="onnx")
    order: list[str] = []
    for name, each in (("a", engine), ("b", other)):
        step = each.step

        def record(*args: object, name: str = name, step: object = step) -> object:
            order.append(name)
            if order.count(name) % 2:  # first step of a round
                time.sleep(0.1)
            return step(*args)  # type: ignore[operator]

        monkeypatch.setattr(each, "step", record)
    times = time_steps(
        [Candidate(engine), Candidate(other)], SIZE, Static().sections(30.0), rounds=4
    )
    assert order == ["a", "a", "b", "b"] * (4 + timing.WARM_UP_ROUNDS)
    assert [len(each) for each in times] == [4, 4]
    assert min(map(min, times)) < 100, "the second step of a round counts"


def test_several_streams_are_timed_one_by_one_and_together_if_possible(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Many(IdentityEngine):
        """An engine for any number of streams that records the steps."""

        name = "many"
        streams_per_run = math.inf
        steps: ClassVar[list[int]] = []

        def step(self, *args: Any) -> Any:
            self.steps.append(1)
            return super().step(*args)

        def step_many(self, images: Any, *args: Any) -> Any:
            self.steps.append(len(images))
            return list(images), list(args[-1])

    document = bench(["none"], [SIZE], rounds=1, streams=(1, 3), extra=[Many()], scales=(1.0,))
    assert Many.steps == [*[1] * 8, 3, 3] * (1 + timing.WARM_UP_ROUNDS)
    rows = document["rows"]
    keys = [(row["model"], row["streams"], row["together"]) for row in rows]
    assert keys == [
        ("many", 1, False), ("many", 3, False), ("many", 3, True), ("none", 1, False),
        ("none", 3, False),
    ]  # fmt: skip


def test_a_row_with_several_streams() -> None:
    engine = load_engine("fast", engine="onnx")
    made = timing.row(Candidate(engine, 4), [20.0, 40.0, 60.0], 2.0, SIZE, base=5.0)
    assert (made["p50_ms"], made["stream_ms"], made["fps"]) == (40.0, 10.0, 25.0)
    assert (made["streams_fps"], made["speed"]) == (100.0, 0.5)
    assert (made["floor_ms"], made["floor_share"]) == (8.0, 0.2)


def test_the_command_times_several_streams(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["bench", "--model", "fast", "--quick", "--threads", "1", "--streams", "1,2"]
    assert execute(args) == 0
    output = capsys.readouterr().out
    assert "fast 160x120 2 streams " in output
    assert "streams x fps" in output
    for text in ("0", "1,", "two", "-1"):
        assert execute([*args[:-1], text]) == 2
        assert f"such as 1,2,4, got {text!r}" in capsys.readouterr().err


def test_the_bound_depends_on_the_size_of_the_network_input(tmp_path: Path) -> None:
    sections = Temporal(0.5, 3).sections(30.0)
    full, half = (load_engine("fast", engine="onnx", motion_scale=s) for s in (1.0, 0.5))
    slow = Roofline(gemm=1e6, copy=1e12)  # the matrix product is slower
    pixels = SIZE[0] * SIZE[1]
    assert bound_ms(full, SIZE, sections, slow) == pytest.approx(
        1e3 * int(full.metadata["rtmag.macs"]) * pixels / 1e6
    )
    quarter = (bound_ms(full, SIZE, sections, slow) or 0) / 4
    assert bound_ms(half, SIZE, sections, slow) == pytest.approx(quarter)
    copying = Roofline(gemm=1e15, copy=1e6)
    state = 2 * 4 * 2 * int(full.metadata["rtmag.channels"]) / 16
    assert bound_ms(full, SIZE, sections, copying) == pytest.approx(pixels * (6 + state) / 1e3)
    plain = load_engine(identity_model(tmp_path / "plain.onnx"), engine="onnx")
    assert bound_ms(plain, SIZE, sections, slow) is None


def test_the_command_writes_its_last_line_to_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "now.json"
    assert execute(["bench", "--model", "fast", "--quick", "--out", str(out)]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert json.loads(last) == json.loads(out.read_text())
    assert any(line.startswith("fast 1/2 160x120") for line in lines)
    assert [line.startswith("cost: ") for line in lines[:5]] == [False, True, True, True, False]
    assert execute(["bench", "--compare", str(out), str(out)]) == 0
    ratios = capsys.readouterr().out.splitlines()
    assert len(ratios) == 3
    assert all(line.endswith("1.00 x") for line in ratios)
    assert execute(["bench", "--model", "fast", "--quick", "--out", str(out)]) == 2
    assert "it exists; use --overwrite" in capsys.readouterr().err
