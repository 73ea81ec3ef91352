"""The benchmark: what is timed, beside what, and what its results can be used for."""

import json
import math
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import pytest

from rtmag.realtime.bench import costs as contenders
from rtmag.realtime.bench import timing
from rtmag.realtime.bench.costs import card, floor_ms, open_engines, ran_by
from rtmag.realtime.bench.roofline import Floor
from rtmag.realtime.bench.timing import Run, baselines, bench, time_steps
from rtmag.realtime.cli.main import execute
from rtmag.realtime.engines.engine import IdentityEngine
from rtmag.realtime.engines.loading import load_engine
from rtmag.realtime.engines.torch_engine import TorchEngine
from rtmag.realtime.errors import ModelIncompatible
from rtmag.realtime.filters import Static, Temporal
from tests.support.fakes import identity_model

SIZE = (64, 48)


@pytest.fixture(autouse=True)
def _known_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    floors = {"cpu": Floor(gemm=1e10, copy=1e10)}
    monkeypatch.setattr(timing, "measure_floors", lambda places: dict(floors))


def test_a_slow_moment_of_the_machine_is_not_its_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = [(1e10, 2e10), (3e10, 1e10), (2e10, 1e10)]  # at first, and after each size
    found = iter({"cpu": Floor(gemm=gemm, copy=copy)} for gemm, copy in rates)
    monkeypatch.setattr(timing, "measure_floors", lambda places: next(found))
    sizes = [SIZE, (96, 64)]
    made = bench(["fast"], sizes, scales=(1.0,), runtimes=["onnx"], rounds=1)
    assert made["floor"] == {"gemm": 3e10, "copy": 2e10}
    for row in made["rows"]:
        least = 1e3 * row["macs_per_px"] * row["width"] * row["height"] / 3e10
        assert row["floor_ms"] == pytest.approx(least, abs=0.01)


def test_every_model_is_timed_at_every_scale_it_knows(tmp_path: Path) -> None:
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


def test_the_card_comes_before_anything_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    steps = timing.time_steps

    def timed(*args: Any) -> list[list[float]]:
        told.append("timed")
        return steps(*args)

    monkeypatch.setattr(timing, "time_steps", timed)
    made = bench(["fast"], [SIZE], scales=(1.0, 0.5), runtimes=["onnx"], rounds=1, tell=told.append)
    machine, full, half, last = told
    assert "10 G multiply-accumulates/s, copies 10.0 GB/s" in machine
    assert last == "timed"
    facts = load_engine("fast", engine="onnx").metadata
    for line, row in zip((full, half), made["rows"], strict=True):
        assert f"64x48: {facts['rtmag.parameters']} parameters, {facts['rtmag.macs']} MAC" in line
        assert f"{row['bytes_per_frame'] / 1e6:.1f} MB per frame" in line
        assert line.endswith(f"floor {row['floor_ms']:.2f} ms")
    assert made["rows"][0]["bytes_per_frame"] > made["rows"][1]["bytes_per_frame"] > 6 * 64 * 48


def test_the_card_names_a_gpu() -> None:
    place = {"machine": {"cores": 8, "cpu": "some", "gpu": "NVIDIA Y", "driver": "570.1"}}
    floors = {"cpu": Floor(gemm=1e10, copy=1e10), "cuda fp32": Floor(gemm=3e13, copy=4e12)}
    engine = load_engine("fast", engine="onnx")
    engine.provider = "cuda"
    sections = Static().sections(30.0)
    first, second, third = card(place, floors, [engine], [SIZE], sections)
    assert first.startswith("8 cores of some, NVIDIA Y, driver 570.1: 10 G")
    assert second == "cuda fp32: 30000 G multiply-accumulates/s, copies 4000.0 GB/s"
    assert third.endswith("floor 0.00 ms")
    del floors["cuda fp32"]  # without PyTorch
    assert card(place, floors, [engine], [SIZE], sections)[1].endswith("floor not known")


def test_speed_is_over_the_baseline_on_the_same_engine() -> None:
    class Named(IdentityEngine):
        def __init__(self, provider: str) -> None:
            super().__init__()
            self.provider = provider

    one, other = Named("cpu"), Named("openvino")
    runs = [Run(one), Run(one, 2), Run(one, 2, together=True), Run(Named("cpu")), Run(other)]
    times = [[1.0], [6.0], [5.0], [9.0], [2.0]]
    assert baselines(runs, times, [one, other]) == {"cpu": 3.0, "openvino": 2.0}


def test_pytorch_is_not_taken_for_onnx_runtime() -> None:
    engine = TorchEngine.__new__(TorchEngine)
    engine.provider, engine.compiled = "cpu", False
    assert (ran_by(engine), ran_by(IdentityEngine())) == ("torch cpu", "cpu")
    engine.compiled = True
    assert ran_by(engine) == "torch cpu, compiled"


def test_programs_are_timed_compiled_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[tuple[str, bool]] = []

    def load(model: str, *, compiled: bool = False, **_: object) -> IdentityEngine:
        loaded.append((model, compiled))
        return IdentityEngine()

    monkeypatch.setattr(contenders, "load_engine", load)
    open_engines(["a.pt2", "b.onnx"], (1.0,), "auto", None, compiled=True)
    open_engines(["a.pt2"], (1.0,), "auto", None)
    assert loaded == [("a.pt2", True), ("a.pt2", False), ("b.onnx", False), ("a.pt2", False)]


def test_sizes_are_timed_one_after_the_other() -> None:
    document = bench(["fast"], [SIZE, (96, 64)], scales=(1.0,), runtimes=["onnx"], rounds=1)
    assert [(row["width"], row["height"]) for row in document["rows"]] == [SIZE, (96, 64)]


def test_a_model_that_is_not_there_is_not_passed_over() -> None:
    with pytest.raises(ModelIncompatible, match=r"'nowhere\.onnx'"):
        open_engines(["nowhere.onnx"], (1.0, 0.5), "onnx", None)


def test_a_baseline_is_one_more_model_with_one_stream_by_the_same_runtime(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []

    def noted(model: Any, *, engine: str, **options: Any) -> Any:
        asked.append((Path(model).stem, engine))
        return load_engine(model, engine="onnx", **options)

    monkeypatch.setattr(contenders, "load_engine", noted)
    plain = identity_model(tmp_path / "plain.onnx")
    made = bench(["fast"], [SIZE], scales=(1.0,), streams=(2,), rounds=1, baseline=plain)
    assert asked == [("fast", "auto"), ("plain", "onnx")], "auto might take another for it"
    rows = [(row["model"], row["streams"]) for row in made["rows"]]
    assert rows == [("fast", 2), ("identity", 1)]
    assert (made["baseline"], made["rows"][-1]["speed"]) == ("identity", 1.0)


def test_the_network_of_oh_et_al_is_made_for_comparison(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("onnxscript", reason="needs rtmag[export]")
    args = ["bench", "--model", "fast", "--quick", "--engine", "onnx", "--oh2018"]
    assert execute(args) == 0
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert document["baseline"] == document["rows"][-1]["model"] == "oh2018"
    assert document["commits"]["oh2018"] == "untrained"
    assert document["rows"][0]["speed"] > 5


def test_without_pytorch_the_extra_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "rtmag.export.onnx_export", raising=False)
    monkeypatch.delitem(sys.modules, "rtmag.export.onnx_export", raising=False)
    assert execute(["bench", "--quick", "--oh2018"]) == 2
    said = capsys.readouterr().err
    assert said == "error: rtmag bench --oh2018 needs torch: pip install 'rtmag[export]'\n"


def test_engines_take_turns_of_two_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, other = load_engine("fast", engine="onnx"), load_engine("fast", engine="onnx")
    order: list[str] = []
    for name, each in (("a", engine), ("b", other)):
        step = each.step

        def noted(*args: object, name: str = name, step: object = step) -> object:
            order.append(name)
            if order.count(name) % 2:  # first of a turn
                time.sleep(0.1)
            return step(*args)  # type: ignore[operator]

        monkeypatch.setattr(each, "step", noted)
    times = time_steps([Run(engine), Run(other)], SIZE, Static().sections(30.0), rounds=4)
    assert order == ["a", "a", "b", "b"] * (4 + timing.WARM)
    assert [len(each) for each in times] == [4, 4]
    assert min(map(min, times)) < 100, "the second of a turn counts"


def test_several_streams_are_timed_in_turn_and_at_once_where_a_network_can(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Many(IdentityEngine):
        """Takes as many as come; notes how many, in which order."""

        name = "many"
        at_once = math.inf
        steps: ClassVar[list[int]] = []

        def step(self, *args: Any) -> Any:
            self.steps.append(1)
            return super().step(*args)

        def step_many(self, images: Any, *args: Any) -> Any:
            self.steps.append(len(images))
            return list(images), list(args[-1])

    document = bench(["none"], [SIZE], rounds=1, streams=(1, 3), beside=[Many()], scales=(1.0,))
    assert Many.steps == [*[1] * 8, 3, 3] * (1 + timing.WARM)
    rows = document["rows"]
    keys = [(row["model"], row["streams"], row["together"]) for row in rows]
    assert keys == [
        ("many", 1, False), ("many", 3, False), ("many", 3, True), ("none", 1, False),
        ("none", 3, False),
    ]  # fmt: skip


def test_what_becomes_of_a_row_with_several_streams() -> None:
    engine = load_engine("fast", engine="onnx")
    made = timing.row(Run(engine, 4), [20.0, 40.0, 60.0], 2.0, SIZE, base=5.0)
    assert (made["p50_ms"], made["stream_ms"], made["fps"]) == (40.0, 10.0, 25.0)
    assert (made["streams_fps"], made["speed"]) == (100.0, 0.5)
    assert (made["floor_ms"], made["floor_share"]) == (8.0, 0.2)


def test_the_command_counts_streams(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = ["bench", "--model", "fast", "--quick", "--threads", "1", "--streams", "1,2"]
    assert execute(args) == 0
    said = capsys.readouterr().out
    assert "fast 160x120 2 streams " in said
    assert "streams x fps" in said
    for text in ("0", "1,", "two", "-1"):
        assert execute([*args[:-1], text]) == 2
        assert f"such as 1,2,4, got {text!r}" in capsys.readouterr().err


def test_the_floor_counts_the_picture_that_the_network_sees(tmp_path: Path) -> None:
    sections = Temporal(0.5, 3).sections(30.0)
    full, half = (load_engine("fast", engine="onnx", motion_scale=s) for s in (1.0, 0.5))
    slow = Floor(gemm=1e6, copy=1e12)  # multiplying is what takes the time
    pixels = SIZE[0] * SIZE[1]
    assert floor_ms(full, SIZE, sections, slow) == pytest.approx(
        1e3 * int(full.metadata["rtmag.macs"]) * pixels / 1e6
    )
    quarter = (floor_ms(full, SIZE, sections, slow) or 0) / 4
    assert floor_ms(half, SIZE, sections, slow) == pytest.approx(quarter)
    copying = Floor(gemm=1e15, copy=1e6)
    state = 2 * 4 * 2 * int(full.metadata["rtmag.channels"]) / 16
    assert floor_ms(full, SIZE, sections, copying) == pytest.approx(pixels * (6 + state) / 1e3)
    plain = load_engine(identity_model(tmp_path / "plain.onnx"), engine="onnx")
    assert floor_ms(plain, SIZE, sections, slow) is None


def test_the_command_writes_what_it_prints_last(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "now.json"
    assert execute(["bench", "--model", "fast", "--quick", "--out", str(out)]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert json.loads(last) == json.loads(out.read_text())
    assert any(line.startswith("fast 1/2 160x120") for line in lines)
    assert [line.startswith("card: ") for line in lines[:5]] == [False, True, True, True, False]
    assert execute(["bench", "--compare", str(out), str(out)]) == 0
    ratios = capsys.readouterr().out.splitlines()
    assert len(ratios) == 3
    assert all(line.endswith("1.00 x") for line in ratios)
    assert execute(["bench", "--model", "fast", "--quick", "--out", str(out)]) == 2
    assert "it exists; use --overwrite" in capsys.readouterr().err
