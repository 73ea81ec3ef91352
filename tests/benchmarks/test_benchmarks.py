"""Benchmarks run, and the tables in README and pages match their committed results."""

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from rtmag.realtime.engines.spec import EngineSpec
from rtmag.realtime.frame import Frame, Image
from rtmag.realtime.models import model_names
from rtmag.realtime.opencv import cv2
from rtmag.realtime.sections import State
from tests.support.fakes import (
    ENVIRONMENT,
    FakeEngine,
    SlowEngine,
    half_precision_model,
    identity_model,
)

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "realtime" / "models" / "standard.onnx"


def test_tables_in_documents_match_the_results() -> None:
    from benchmarks.tables import DOCUMENTS, TABLES, update_tables

    texts = [path.read_text() for path in DOCUMENTS]
    for text, model in zip(texts, DOCUMENTS.values(), strict=True):
        assert update_tables(text, model) == text
        assert model is None or "<!-- facts -->" in text
    for name in TABLES:
        assert any(f"<!-- {name} -->\n|" in text for text in texts), f"no document has table {name}"


def test_results_name_machine_and_commit() -> None:
    for path in (ROOT / "benchmarks" / "results").glob("*.json"):
        document = json.loads(path.read_text())
        assert document.get("commit") or all(document["commits"].values()), path.name


def test_engines_are_close_to_the_network() -> None:
    """Within 0.002 SSIM, up to alpha 100."""
    document = json.loads((ROOT / "benchmarks" / "results" / "engine_parity.json").read_text())
    rows = document["rows"]
    assert {(r["model"], r["provider"], r["alpha"]) for r in rows} == {
        (model, provider, alpha)
        for model in model_names()
        for provider in ("cpu", "openvino")
        for alpha in (20, 100)
    }
    assert all(row["ssim_least"] > 0.998 for row in rows)


def test_parity_measures_differences(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    from benchmarks import engine_parity as parity
    from benchmarks import tables

    monkeypatch.setattr(parity, "SIZE", (64, 48))
    monkeypatch.setattr(parity, "model_names", lambda: ["fast"])
    parity.main(engines=["onnx"], frames=3, out=tmp_path / "parity.json")
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert document == json.loads((tmp_path / "parity.json").read_text())
    assert len(document["rows"]) == 4
    assert all(row["worst"] <= 1 and row["ssim"] > 0.999 for row in document["rows"])
    assert "| `fast` | ONNX Runtime | scene | 100 | 1.0000 | " in tables.parity_table(document)
    dark, light = (np.full((16, 16, 3), level, np.uint8) for level in (100, 110))
    found = parity.score([[dark, dark]], [[dark, light]])
    assert (found["mean"], found["worst"]) == (5.0, 10)
    assert found["psnr"] == pytest.approx(31.14, abs=0.01)
    with pytest.raises(RuntimeError, match="made of other weights"):
        parity.reference("fast", "0")


def test_speeds_are_over_the_baseline_on_the_same_engine() -> None:
    rows = json.loads((ROOT / "benchmarks" / "results" / "fps.json").read_text())["rows"]
    bases = {(r["provider"], r["width"]): r["p50_ms"] for r in rows if r["model"] == "oh2018"}
    assert len(bases) == 4
    for row in rows:
        widths = {key: ms for key, ms in bases.items() if key[1] == row["width"]}
        base = bases.get((row["provider"], row["width"]), min(widths.values()))
        assert row["speed"] == pytest.approx(base / row["p50_ms"], rel=0.002, abs=0.01)


def test_openvino_scores_like_onnx_runtime() -> None:
    """SSIM differs by less than 0.001 in every set, as benchmarks/README.md says."""
    results = ROOT / "benchmarks" / "results"
    names = ("quality", "quality-openvino")
    ours, theirs = (json.loads((results / f"{name}.json").read_text()) for name in names)
    assert set(theirs["models"]) == set(model_names())
    assert theirs["models"].items() <= ours["models"].items()
    assert theirs["engine"] == "openvino"
    for part in ("pairs", "sequences"):
        means: list[dict[tuple[str, str], list[float]]] = [{}, {}]
        for found, document in zip(means, (ours, theirs), strict=True):
            for row in document[part]:
                found.setdefault((row["method"], row.get("set", "")), []).append(row["ssim"])
        for key, values in means[1].items():
            assert abs(sum(values) - sum(means[0][key])) / len(values) < 0.001, key


def test_the_step_benchmark_ends_with_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from benchmarks import fps, speeds
    from rtmag.export import onnx_export as timed

    plain = identity_model(tmp_path / "plain.onnx")
    monkeypatch.setattr(timed, "export_baseline", lambda folder: plain)
    out = tmp_path / "fps.json"
    options = {"rounds": 1, "threads": 1, "streams": "1,2", "quick": True, "out": out}
    half = half_precision_model(tmp_path)
    asked: list[dict[str, bool]] = []

    def variants(names: list[str], folder: Path, **kinds: bool) -> list[Path]:
        asked.append(kinds)
        return [half]

    monkeypatch.setattr(fps, "variants", variants)
    precisions = ["fp32", "fp16"]
    fps.main(model=["fast"], size=None, precisions=precisions, **options)  # type: ignore[arg-type]
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert document == json.loads(out.read_text())
    models = dict.fromkeys(row["model"] for row in document["rows"])
    assert list(models) == ["Laplacian pyramid", "Riesz pyramid", "fast", "identity"]
    assert set(document["commits"]) == {"fast", "identity"}
    assert asked == [{"half": True, "streams": True}]
    numbers = [(row["motion_scale"], row["precision"]) for row in document["rows"][4:-1:2]]
    assert numbers == [(s, p) for p in ("fp32", "fp32+fp16") for s in (1.0, 0.5, 0.25)]
    table = speeds.fps_table(document)
    assert "| `fast` | ONNX Runtime, fp32+fp16 | 0.5 | 160x120 | " in table
    assert table.count("| Riesz pyramid | NumPy, OpenCV | 1 | 160x120 | ") == 1, "several streams"
    batch = speeds.batch_table(document)
    assert (
        batch.count("| one after another |") == 6
    )  # scales times precisions; no baseline, nothing else
    assert "| `fast` | ONNX Runtime, fp32 | 0.25 | 160x120 | one after another | " in batch
    assert document["baseline"] == "identity"
    others = len(document["rows"]) - 1
    assert [row["streams"] for row in document["rows"]] == [*[1, 2] * (others // 2), 1]
    assert document["rows"][-1]["speed"] == 1.0


def test_batch_table_lists_one_run_below_single_steps() -> None:
    from benchmarks import speeds

    row = {
        "model": "fast", "provider": "cpu", "motion_scale": 1.0, "macs_per_px": 1, "width": 64,
        "height": 48, "streams": 2, "together": False, "stream_ms": 3.0, "streams_fps": 333.3,
    }  # fmt: skip
    many = row | {"model": "fast-streams"}
    rows = [many | {"together": True, "stream_ms": 2.0}, many, row]
    table = speeds.batch_table(
        {"rows": rows, "baseline": "oh2018", "machine": {"cores": 1, "cpu": "x"}}
    )
    assert table.splitlines()[2:4] == [
        "| `fast` | ONNX Runtime | 1 | 64x48 | one after another | 3.0 ms, 333.3 |",
        "| `fast` | ONNX Runtime | 1 | 64x48 | one run | 2.0 ms, 333.3 |",
    ]


def test_built_in_models_are_exported_in_variants_for_timing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    from benchmarks import fps
    from rtmag.export import onnx_export as timed

    def noted(run: Path, out: Path, **how: str) -> tuple[str, str, dict[str, str]]:
        assert (run / "model.safetensors").is_file()
        return run.name, out.name, how

    monkeypatch.setattr(timed, "export_unchecked", noted)
    made: list[Any] = list(fps.variants(["fast"], tmp_path, half=True, streams=True))
    assert made == [
        ("fast", "fast-fp16.onnx", {"name": "fast", "precision": "fp16"}),
        ("fast", "fast-streams.onnx", {"name": "fast-streams", "streams": "any"}),
    ]
    assert fps.variants(model_names(), tmp_path, half=False, streams=False) == []


def test_step_time_is_split_by_kind_of_operator(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from benchmarks import operators, tables

    out = tmp_path / "operators.json"
    operators.main(model=["fast"], size="160x128", rounds=2, threads=1, out=out)
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert document == json.loads(out.read_text())
    (row,) = document["rows"]
    assert list(row["ms"]) == [*operators.KINDS, operators.REST, operators.PICTURE]
    assert all(ms > 0 for ms in row["ms"].values())
    assert "| `fast`, 160x128 | " in tables.operators_table(document)


def one_picture() -> dict[str, Image]:
    """A picture with soft texture, drawn in no time."""
    coarse = np.random.default_rng(0).integers(0, 255, (128, 128, 3)).astype(np.uint8)
    return {"texture": np.asarray(cv2.resize(coarse, (512, 512)), np.uint8)}


def test_vibrating_things_are_measured(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from benchmarks import measure, tables, vibrating_scenes

    monkeypatch.setattr(vibrating_scenes, "SECONDS", 6.0)
    monkeypatch.setattr(measure, "pictures", one_picture)
    monkeypatch.delitem(measure.METHODS, "pyidi")
    out = tmp_path / "measure.json"
    measure.main(scenes=1, out=out)
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert document == json.loads(out.read_text())
    assert [row["method"] for row in document["rows"]] == ["region", "patch"]
    for row in document["rows"]:
        assert row["first"]
        assert row["false"] == 0
        assert abs(row["px_error"]) < 0.01 * row["px"]
        assert abs(row["hz_error"]) < 0.002
    assert "| none | `rtmag measure` | 1 of 1 | 1 | 0 | " in tables.measure_table(document)


def test_frequencies_are_found(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from benchmarks import find, tables, vibrating_scenes

    monkeypatch.setattr(vibrating_scenes, "SECONDS", 1.2)
    monkeypatch.setattr(find, "pictures", one_picture)
    out = tmp_path / "find.json"
    find.main(scenes=0, still=1, clips=tmp_path, capture_fps=240.0, out=out)
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert document == json.loads(out.read_text())
    (row,) = document["rows"]
    assert (row["lines"], row["first"], row["false"]) == ([], False, 0)
    assert "| nothing moves | 1 |  |  | 0 |" in tables.find_table(document)
    moving = row | {"codec": None, "hz": [2.0], "lines": [[2.0, 0.1], [4.0, 0.01]], "found": 1}
    document["rows"] = [moving | {"first": True}]
    assert "| none | 1 | 1 | 1 of 1 | 0 |" in tables.find_table(document)


def test_scenes_can_be_stored_with_a_codec() -> None:
    from benchmarks.vibrating_scenes import HEIGHT, WIDTH, compressed

    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8) for _ in range(3)]
    shown = list(compressed((Frame(image, 0.0, 0) for image in images), 300, 12))
    assert [frame.coding for frame in shown][:1] == ["I"]
    assert [frame.image.shape for frame in shown] == [image.shape for image in images]
    assert np.abs(shown[0].image.astype(float) - images[0]).mean() > 5


@pytest.mark.parametrize("model", model_names())
def test_only_arithmetic_per_element_counts_as_other(model: str) -> None:
    onnx = pytest.importorskip("onnx")
    from benchmarks import operators
    from rtmag.realtime.models import read_model

    graph = onnx.load_from_string(read_model(model)[1]).graph
    kinds = {node.op_type: operators.kind_of(node.op_type) for node in graph.node}
    assert kinds["Conv"] == "convolution"
    other = [name for name, kind in kinds.items() if kind == operators.REST]
    heavy = re.compile(
        "Conv|Gemm|MatMul|Einsum|Reduce|Pool|Norm|Resize|Grid|Pad|Trans|Concat|Split"
    )
    assert [name for name in other if heavy.search(name)] == []


@pytest.mark.alone
def test_the_live_benchmark_counts_late_frames_and_times_stages(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks import live, tables
    from benchmarks.stages import STAGES

    monkeypatch.setattr(live, "WARM", 0.2)
    live.main(model="standard", motion_scale="1/2", size=["64x48@20"], seconds=1)
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    shown, recorded = document["rows"]
    assert (shown["sink"], recorded["sink"]) == ("none", "mp4")
    for row in document["rows"]:
        assert row["engine"] == "standard, motion scale 1/2"
        assert row["frames"] == 20
        assert 0 < row["p50_ms"] <= row["p95_ms"] <= row["p99_ms"]
        assert all(0 <= each["p50_ms"] <= each["p95_ms"] for each in row["stages"].values())
        inline = sum(row["stages"][stage]["p50_ms"] for stage in STAGES[:-1])
        assert 0 < row["stages"]["infer"]["p50_ms"] < inline < 1.5 * row["p50_ms"]
    assert (tuple(shown["stages"]), tuple(recorded["stages"])) == (STAGES[:-1], STAGES)
    assert recorded["unrecorded"] == 0
    assert "64x48 at 20 fps" in tables.live_table(document)
    assert "| encode | " in tables.stages_table(document)


def test_memory_and_start_end_with_json_that_makes_a_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from benchmarks import memory, start, tables

    monkeypatch.setitem(os.environ, "PYTHONPATH", ENVIRONMENT["PYTHONPATH"])
    monkeypatch.setattr(memory, "model_names", lambda: ["fast"])
    memory.main(size="64x48", frames=[3], out=tmp_path / "memory.json")
    start.main(rounds=1, size="64x48", out=tmp_path / "start.json")
    taken, begun = (json.loads((tmp_path / f"{n}.json").read_text()) for n in ("memory", "start"))
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == begun
    assert [row["command"] for row in taken["rows"]] == ["file", "camera", "camera"]
    assert all(40 < row["median_mb"] <= row["peak_mb"] < 400 for row in taken["rows"])
    assert "| `rtmag camera`, `fast` | " in tables.memory_table(taken)
    assert all(0 < row["best_s"] <= row["median_s"] for row in begun["rows"])
    assert "| `rtmag --help` has ended | " in tables.start_table(begun)


def test_a_step_longer_than_two_intervals_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    from benchmarks import live

    class Slow(FakeEngine):
        def step(self, image: Image, *_: object) -> tuple[Image, State]:
            time.sleep(0.25)
            return image, np.zeros((1, 2, 1, 1), np.float32)

    monkeypatch.setattr(live, "WARM", 0.1)
    row = live.measure(Slow(), EngineSpec(motion_scale=1.0), (64, 48), 10.0, 1.0, None)
    assert row["shown"] < row["frames"] == 10
    assert row["late_percent"] == 100


@pytest.mark.alone
def test_the_live_benchmark_adapts_the_motion_scale(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from benchmarks import live

    monkeypatch.setattr(live, "WARM", 4.0)
    slow = SlowEngine(lambda: 0.15)
    row = live.measure(slow, EngineSpec(motion_scale=None), (64, 48), 20.0, 2.0, None)
    assert row["engine"] != row["chosen"] == slow.described


def test_the_gain_of_a_picture_that_is_not_magnified_is_one_over_alpha() -> None:
    import numpy as np

    from benchmarks import gain

    class Unchanged:
        def step(self, image: object, *_: object) -> tuple[object, object]:
            return image, None

    picture = np.random.default_rng(0).integers(0, 256, (256, 256, 3)).astype(np.uint8)
    measured = gain.gain(Unchanged(), picture, 0.5, 4.0)  # type: ignore[arg-type]
    assert measured == pytest.approx(0.25, rel=0.03)


def test_glance_scores_an_untrained_network(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    from benchmarks import glance, heldout

    some = dict(list(heldout.pictures().items())[:2])
    monkeypatch.setattr(heldout, "pictures", lambda: some)
    monkeypatch.setattr(glance, "SETS", ("alpha", "static"))
    monkeypatch.setattr(glance, "CASES", ((0.25, 10.0),))
    glance.main(runs=None, untrained=["fast"])
    head, row = capsys.readouterr().out.splitlines()
    assert head == "| experiment | alpha | static | leak | gain |"
    least, _, most = row.split("|")[-2].split()
    assert 0.85 < float(least) <= float(most) < 1.1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs terminals, and small disks")
def test_recordings_lose_at_most_a_second(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """F11, F12, F13: killed, on a full disk, at Ctrl-C, ten times each; the report is committed."""
    from benchmarks import recording_loss as losses

    monkeypatch.setitem(os.environ, "PYTHONPATH", ENVIRONMENT["PYTHONPATH"])
    losses.main(times=10)
    rows = json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]
    assert all(len(row["lost"]) == 10 for row in rows)
    assert len(rows) >= 2  # without root no disk can be mounted


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of memory")
def test_damaged_videos_cause_no_crash_and_no_hang(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """I11, the first few; the committed report has the rest."""
    from benchmarks import fuzz

    monkeypatch.setitem(
        os.environ, "PYTHONPATH", ENVIRONMENT["PYTHONPATH"] + os.pathsep + str(ROOT)
    )
    with pytest.raises(typer.Exit) as ended:
        fuzz.main(mutants=60, keep=tmp_path / "kept", out=None)
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (ended.value.exit_code, document["failures"]) == (0, [])
    assert sum(sum(each.values()) for each in document["outcomes"].values()) == 60
    committed = json.loads((ROOT / "benchmarks" / "results" / "fuzz.json").read_text())
    assert (committed["failures"], committed["mutants"] >= 2000) == ([], True)
