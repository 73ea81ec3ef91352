"""The training script from its first option to its last checkpoint."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from safetensors.torch import load_file

from rtmag.realtime.cli.main import execute
from rtmag.realtime.errors import ModelIncompatible, OptionError
from rtmag.realtime.opencv import cv2
from rtmag.train import checkpoint
from rtmag.train import log as reports
from rtmag.train import training as script
from rtmag.train.__main__ import main
from rtmag.train.data.textures import Bank
from rtmag.train.log import Log, duration
from rtmag.train.machine import pick_precision
from rtmag.train.network.config import CONFIGS
from rtmag.train.network.magnet import build
from rtmag.train.network.oh2018 import Oh2018
from tests.support import small
from tests.support.fakes import ENVIRONMENT

MakeClip = Callable[..., Path]
TINY = ["--crop", "32", "--batch", "2", "--capacity", "16", "--device", "cpu"]
ONE_THREAD = {**ENVIRONMENT, "OMP_NUM_THREADS": "1"}


class SmallBank:
    """Makes banks of four small textures."""

    @staticmethod
    def make(**options: Any) -> Bank:
        return Bank.make(**options, count=4, size=64)


@pytest.fixture(autouse=True)
def small_bank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "Bank", SmallBank)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Restore the signal handlers after the script."""
    kept = [(n, signal.getsignal(n)) for n in (signal.SIGINT, signal.SIGTERM)]
    yield
    for number, handler in kept:
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published data set of eight samples, in which a texture moves."""
    root = small.published(tmp_path_factory.mktemp("data"), count=8)
    for i in range(8):
        shift = 0.1 * (i + 1)
        shifts = {"frameA": 0.0, "frameB": shift, "frameC": shift, "amplified": shift * (i + 1.5)}
        for folder, by in shifts.items():
            path = root / "train" / folder / f"{i:06d}.png"
            assert cv2.imwrite(str(path), small.textured(48, 48, by))
    return root


def log(out: Path) -> list[dict[str, str]]:
    with (out / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def described(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "config.json").read_text())["training"])


# ---- a run ------------------------------------------------------------------------------------


def test_a_new_run_writes_all_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "runs" / "tiny"
    main([str(out), *TINY, "--steps", "3", "--seed", "5"])
    assert {p.name for p in out.iterdir()} == {
        "config.json", "curve.png", "log.csv", "model.safetensors", "pool",
        "resume.safetensors",
    }  # fmt: skip
    net, training = checkpoint.load(out)
    assert net.config == CONFIGS["standard"]
    assert training == described(out)
    assert training["step"] == 3
    assert training["batch"] == 2
    assert training["crop"] == 32
    assert training["seed"] == 5
    assert training["data"] == "synthesised"
    assert set(log(out)[-1]) == {
        "step",
        "seconds",
        "lr",
        "reconstruction",
        "edges",
        "velocity",
        "flow",
        "gain",
        "still",
        "commit",
        "total",
    }
    assert log(out)[-1]["step"] == "3"
    assert float(log(out)[-1]["total"]) > 0
    assert json.loads((out / "pool" / "pool.json").read_text())["made"] == 16
    assert "3 steps in 0." in capsys.readouterr().out


def test_weights_and_their_average_change(data: Path, tmp_path: Path) -> None:
    main([str(tmp_path / "run"), *TINY, "--data", str(data), "--steps", "4", "--seed", "1"])
    torch.manual_seed(1)
    start = dict(build(CONFIGS["standard"]).state_dict())
    end = load_file(tmp_path / "run" / "resume.safetensors")
    for name, weight in start.items():
        moved = (end[f"net.{name}"] - weight).abs().max()
        followed = (end[f"average.{name}"] - weight).abs().max()
        assert moved > 0, name
        assert followed > 0, name


def test_the_seed_determines_the_weights(data: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        main([str(tmp_path / name), *TINY, "--data", str(data), "--steps", "3"])
    a, b = (load_file(tmp_path / name / "model.safetensors") for name in ("a", "b"))
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_a_run_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = [str(tmp_path), *TINY, "--steps", "1"]
    main(args)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    with pytest.raises(OptionError, match="holds a run already: continue it with --resume"):
        main(args)
    capsys.readouterr()
    assert execute(["train", *args]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_a_run_continues(tmp_path: Path) -> None:
    args = [str(tmp_path), *TINY]
    main([*args, "--steps", "2"])
    first = described(tmp_path)
    main([*args, "--steps", "5", "--resume"])
    assert described(tmp_path)["step"] == 5
    assert described(tmp_path)["seconds"] >= first["seconds"]
    assert [row["step"] for row in log(tmp_path)] == ["2", "5"]
    steps = load_file(tmp_path / "resume.safetensors")["adam.0.step"]
    assert float(steps) == 5


def test_resuming_a_finished_run_changes_nothing(tmp_path: Path) -> None:
    args = [str(tmp_path), *TINY, "--steps", "1"]
    main(args)
    weights = (tmp_path / "model.safetensors").read_bytes()
    main([*args, "--resume"])
    assert described(tmp_path)["step"] == 1
    assert (tmp_path / "model.safetensors").read_bytes() == weights


def test_a_run_may_start_from_another(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    main([str(first), *TINY, "--steps", "1"])
    # A step so small that nothing is lost of what was taken over.
    main([str(second), *TINY, "--steps", "1", "--init", str(first), "--lr", "1e-9", "--seed", "9"])
    begun, ended = (load_file(folder / "model.safetensors") for folder in (first, second))
    assert all(torch.allclose(begun[name], ended[name], atol=1e-6) for name in begun)
    assert described(second)["step"] == 1
    with pytest.raises(OptionError, match="leave out --init"):
        main([str(second), *TINY, "--steps", "2", "--init", str(first), "--resume"])


def test_initialised_motion_weights_have_a_low_learning_rate(tmp_path: Path) -> None:
    from rtmag.train.network.magnet import MagNet, build

    net = build(CONFIGS["fast"])
    assert isinstance(net, MagNet)
    fast, slow = script.parameter_groups(net)
    assert slow["params"] == net.basis()
    assert slow["pace"] < 0.1 < fast["pace"] == 1
    assert len(fast["params"]) + len(slow["params"]) == len(list(net.parameters()))
    assert len(script.parameter_groups(build(CONFIGS["oh2018"]))) == 1


def test_resume_keeps_the_network_of_the_run(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = [str(tmp_path), *TINY, "--data", str(data)]
    main([*args, "--model", "fast", "--steps", "1"])
    main([*args, "--steps", "2", "--resume"])
    net, training = checkpoint.load(tmp_path)
    assert net.config == CONFIGS["fast"]
    assert (training["model"], training["step"]) == ("fast", 2)
    main([*args, "--model", "fast", "--steps", "3", "--resume"])
    before = (tmp_path / "resume.safetensors").read_bytes()
    with pytest.raises(OptionError, match=r"the run trains 'fast'; leave out --model"):
        main([*args, "--model", "standard", "--steps", "4", "--resume"])
    assert (tmp_path / "resume.safetensors").read_bytes() == before


def test_a_run_with_a_damaged_config_is_not_resumed(data: Path, tmp_path: Path) -> None:
    args = [str(tmp_path), *TINY, "--data", str(data), "--model", "fast"]
    main([*args, "--steps", "1"])
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(
        ModelIncompatible, match=r"cannot resume .*config\.json is missing, damaged"
    ):
        main([*args, "--steps", "2", "--resume"])


# ---- progress ---------------------------------------------------------------------------------


def test_rendering_and_training_are_reported_off_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "FIRST_LINE", 0.0)
    monkeypatch.setattr(reports, "LINE_EVERY", 0.0)
    monkeypatch.setattr(script, "LOG_EVERY", 0.0)
    main([str(tmp_path), *TINY[:4], "--capacity", "128", "--device", "cpu", "--steps", "3"])
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == (
        f"rendering the first 128 scenes into {tmp_path / 'pool'}; training starts after that"
    )
    assert re.fullmatch(r"rendering scenes: 50% \(64 of 128\), about \d+ s left", lines[1])
    assert re.fullmatch(r"rendering scenes: 100% \(128 of 128\), about 0 s left", lines[2])
    assert re.fullmatch(r"rendered 128 scenes in \d+ s", lines[3])
    assert lines[4].startswith("training standard until 3 steps on CPU, ")
    assert lines[4].endswith(f"into {tmp_path}; Ctrl-C saves and stops")
    assert re.fullmatch(r"training standard: 33% \(step 2, loss \S+\), about \d+ s left", lines[6])


def test_a_resumed_run_reports_its_first_step_and_renders_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([str(tmp_path), *TINY, "--steps", "1"])
    capsys.readouterr()
    main([str(tmp_path), *TINY, "--steps", "2", "--resume"])
    said = capsys.readouterr().err
    assert said.startswith("training standard from step 1 until 2 steps on CPU, ")
    assert "rendering" not in said


def test_a_terminal_shows_a_bar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    main([str(tmp_path), *TINY, "--steps", "1"])
    said = capsys.readouterr().err
    assert "rendering scenes" in said
    assert "16 of 16" in said
    assert "100%" in said


def test_durations_are_formatted() -> None:
    assert [duration(s) for s in (0.4, 89, 420, 9000)] == ["0 s", "89 s", "7 min", "2.5 h"]


def test_nothing_to_resume_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelIncompatible, match="cannot resume"):
        main([str(tmp_path / "gone"), *TINY, "--steps", "1", "--resume"])


def test_fresh_scenes_need_no_pool(tmp_path: Path) -> None:
    main([str(tmp_path), *TINY, "--steps", "2", "--reuse", "1"])
    assert described(tmp_path)["step"] == 2
    assert not (tmp_path / "pool").exists()


def test_a_pool_may_be_shared_by_runs(tmp_path: Path) -> None:
    for name in ("a", "b"):
        main([str(tmp_path / name), *TINY, "--steps", "1", "--pool", str(tmp_path / "pool")])
    assert json.loads((tmp_path / "pool" / "pool.json").read_text())["made"] == 16


def test_own_photographs_replace_the_bundled_ones(tmp_path: Path) -> None:
    small.picture(tmp_path / "photographs" / "red.png")
    images = str(tmp_path / "photographs")
    main([str(tmp_path / "run"), *TINY, "--steps", "1", "--images", images])
    assert described(tmp_path / "run")["data"] == "synthesised, own photographs"


def test_oh2018_trains_on_the_published_data(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    args = ["--model", "oh2018", "--steps", "2", "--data", str(data), "--limit", "4"]
    main([str(out), "--crop", "32", "--batch", "1", "--device", "cpu", *args])
    net, training = checkpoint.load(out)
    assert isinstance(net, Oh2018)
    assert training["lr"] == 1e-4
    assert training["precision"] == "float32"
    assert training["data"] == "published set"
    row = log(out)[-1]
    assert {"reconstruction", "texture", "texture_amplified", "shape", "total"} < set(row)
    assert row["lr"] == "1.00e-04"


def test_checkpoints_are_written_during_the_run(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []
    save = checkpoint.save

    def remember(*args: Any) -> None:
        steps.append(args[-1]["step"])
        save(*args)

    monkeypatch.setattr(checkpoint, "save", remember)
    main([str(tmp_path / "run"), *TINY, "--data", str(data), "--steps", "3", "--every", "0"])
    assert steps == [1, 2, 3, 3]


# ---- validation -------------------------------------------------------------------------------


def test_clips_are_magnified_during_the_run_and_at_its_end(
    data: Path, clip: MakeClip, tmp_path: Path
) -> None:
    film = clip("film.mp4", frames=4)
    args = [*TINY, "--data", str(data), "--steps", "2", "--validate", str(film)]
    main([str(tmp_path / "run"), *args, "--validate-every", "0"])
    assert {p.name for p in (tmp_path / "run" / "validation").iterdir()} == {
        f"film-000000{step}{suffix}" for step in (1, 2) for suffix in (".mp4", ".png")
    }


def test_a_bad_clip_does_not_end_the_run(
    data: Path, clip: MakeClip, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_text("hello")
    good = clip("good.mp4", frames=2)
    clips = ["--validate", str(bad), "--validate", str(good)]
    main([str(tmp_path / "run"), *TINY, "--data", str(data), "--steps", "1", *clips])
    assert described(tmp_path / "run")["step"] == 1
    lines = capsys.readouterr().err.splitlines()
    skipped = [line for line in lines if line.startswith("validation skipped: ")]
    assert len(skipped) == 1
    assert skipped[0].startswith("validation skipped: cannot open")
    assert (tmp_path / "run" / "validation" / "good-0000001.png").exists()


# ---- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *((each, "0") for each in ("--capacity", "--reuse", "--batch", "--steps", "--limit")),
        ("--minutes", "nan"),
        ("--lr", "-1"),
        ("--crop", "16"),
    ],
)
def test_numbers_out_of_range_are_refused(
    option: str,
    value: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert execute(["train", "run", option, value]) == 2
    assert option in capsys.readouterr().err
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--model", "huge", "--steps", "1"], "must be one of standard, fast, large, oh2018"),
        (["--steps", "1", "--device", "abacus"], "cannot train on device 'abacus'"),
        (["--minutes", "0"], "minutes must be a positive number, got 0"),
        ([], "the run needs an end: give --minutes or --steps"),
        (["--steps", "1", "--crop", "50"], "multiple of 16 and at least 32, got 50"),
        (["--steps", "1", "--precision", "fp8"], "precision must be auto, fp32 or bf16"),
        (["--steps", "1", "--validate", "gone.mp4"], "cannot validate with 'gone.mp4'"),
        (
            ["--steps", "1", "--validate", "a/x.mp4", "--validate", "b/x.mp4"],
            "the same name before",
        ),
        (["--steps", "1", "--data", "nowhere"], "cannot read the data set at 'nowhere'"),
        (["--steps", "1", "--images", "nowhere"], "cannot read images from 'nowhere'"),
    ],
)
def test_impossible_options_are_refused_before_any_work(
    args: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("a", "b"):
        Path(folder).mkdir()
        Path(folder, "x.mp4").touch()
    assert execute(["train", "run", *args]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert words in said.err
    assert not Path("run").exists()


def test_an_unknown_option_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["train", "--stepz", "1"]) == 2


def test_help_lists_the_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["train", "--help"]) == 0
    assert "--resume" in capsys.readouterr().out


# ---- parts ------------------------------------------------------------------------------------


def test_the_schedule_warms_up_and_ends_low() -> None:
    assert script.schedule(0.0, 0) == pytest.approx(1 / 200)
    assert script.schedule(0.0, 500) == pytest.approx(1)
    assert script.schedule(0.5, 500) == pytest.approx(0.505)
    assert script.schedule(1.0, 500) == script.schedule(2.0, 500) == pytest.approx(0.01)


def test_progress_is_the_larger_of_the_shares_of_time_and_steps() -> None:
    history = {"seconds": 30.0, "step": 90}
    assert script.progress(history, 1.0, None) == pytest.approx(0.5)
    assert script.progress(history, None, 100) == pytest.approx(0.9)
    assert script.progress(history, 1.0, 100) == pytest.approx(0.9)
    assert script.progress(history, 0.5, 100) == pytest.approx(1.0)


def test_auto_precision_of_oh2018_is_float32() -> None:
    cpu = torch.device("cpu")
    assert pick_precision("auto", cpu, "oh2018") is torch.float32
    assert pick_precision("bf16", cpu, "oh2018") is torch.bfloat16
    assert pick_precision("auto", torch.device("cuda"), "standard") is torch.bfloat16


def test_the_log_has_means(tmp_path: Path) -> None:
    lines = Log(tmp_path / "log.csv", append=False)
    for value in (1.0, 2.0):
        lines.collect({"total": torch.tensor(value)})
    assert lines.write({"step": 2, "seconds": 1.0}, 1e-3) == "step 2, loss 1.50000"
    lines.collect({"total": torch.tensor(4.0)})
    lines.write({"step": 3, "seconds": 2.0}, 1e-3)
    assert [row["total"] for row in log(tmp_path)] == ["1.50000", "4.00000"]


# ---- processes --------------------------------------------------------------------------------


def test_ctrl_c_saves_and_exits_130(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"

    def interrupt() -> None:
        while not (out / "log.csv").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(typer.Exit) as caught:
        main([str(out), *TINY, "--data", str(data), "--steps", "100000"])
    assert caught.value.exit_code == 130
    assert 0 <= described(out)["step"] < 100_000


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to send")
def test_a_terminated_run_is_saved_and_goes_on(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    args = [str(out), *TINY, "--data", str(data)]
    with subprocess.Popen(
        [sys.executable, "-m", "rtmag.train", *args, "--steps", "100000"],
        env=ONE_THREAD,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        deadline = time.monotonic() + 60
        while not (out / "log.csv").exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert "Traceback" not in said[1]
    step = described(out)["step"]
    assert 0 < step < 100_000
    main([*args, "--steps", str(step + 2), "--resume"])
    assert described(out)["step"] == step + 2


WORKER = """
import os, sys
from pathlib import Path
from safetensors.torch import save_file
from rtmag.train import training as script
from rtmag.train.log import Log
from rtmag.train.machine import pick_precision

nets, build = [], script.build
script.build = lambda config: nets.append(build(config)) or nets[-1]
script.app(sys.argv[1:], standalone_mode=False)
weights = {name: value.contiguous() for name, value in nets[0].state_dict().items()}
save_file(weights, Path(sys.argv[1]) / f"rank{os.environ['RANK']}.safetensors")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="torchrun there needs a build with libuv")
def test_two_processes_learn_one_network(data: Path, tmp_path: Path) -> None:
    """Stopped by time, since the clocks of two processes differ."""
    (tmp_path / "worker.py").write_text(WORKER)
    out = tmp_path / "run"
    run = subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2",
            str(tmp_path / "worker.py"), str(out), *TINY, "--data", str(data), "--minutes", "0.05",
        ],
        env=ONE_THREAD, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stdout.count(" steps in ") == 1
    first, second = (load_file(out / f"rank{rank}.safetensors") for rank in (0, 1))
    assert first
    assert all(torch.equal(first[name], second[name]) for name in first)
    saved = load_file(out / "resume.safetensors")
    assert all(torch.equal(first[name], saved[f"net.{name}"]) for name in first)
    assert described(out)["processes"] == 2
    steps = [int(row["step"]) for row in log(out)]
    assert steps == sorted(set(steps))
    assert steps[-1] == described(out)["step"] > 1


def test_a_log_with_other_terms_is_renamed_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    for terms in (
        {"total": torch.tensor(1.0)},
        {"new": torch.tensor(2.0), "total": torch.ones(())},
    ):
        for step in (1, 2):
            log = Log(path, append=True)
            log.collect(terms)
            log.write({"step": step, "seconds": step}, 1e-3)
    with path.open() as file:
        assert [row["new"] for row in csv.DictReader(file)] == ["2.00000", "2.00000"]
    with (tmp_path / "log-until-1.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["1", "2"]
