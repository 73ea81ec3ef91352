"""Files of a run: saved and loaded completely, safe against crashes and malicious content."""

import importlib.util
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from rtmag.realtime.errors import ModelIncompatible
from rtmag.train import checkpoint
from rtmag.train.losses import Objective
from rtmag.train.network.config import Config
from rtmag.train.network.magnet import MagNet
from rtmag.train.network.oh2018 import Oh2018
from tests.support import small


class Run:
    """A small training run with the memory layout and the fused Adam of the script."""

    def __init__(self, config: Config = small.MAGNET, seed: int = 0) -> None:
        self.net: MagNet | Oh2018 = small.net(config, seed)
        self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = torch.optim.Adam(self.net.parameters(), 1e-2, fused=True)
        self.average = checkpoint.copy_weights(self.net)
        self.history: dict[str, Any] = {"step": 0, "seconds": 0.0}

    def learn(self, steps: int) -> "Run":
        for _ in range(steps):
            self.optimizer.zero_grad()
            Objective(self.net)(small.batch(seed=self.history["step"]))["total"].backward()
            self.optimizer.step()
            self.history["step"] += 1
            checkpoint.update_average(self.average, self.net, 0.9)
        return self

    def save(self, folder: Path) -> None:
        checkpoint.save(folder, self.net, self.average, self.optimizer, self.history)

    def resume(self, folder: Path) -> "Run":
        self.history = checkpoint.resume(folder, self.net, self.average, self.optimizer)
        return self


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return list(a) == list(b) and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("config", [small.MAGNET, small.OH2018])
def test_saved_weights_are_loaded(config: Config, tmp_path: Path) -> None:
    run = Run(config).learn(2)
    run.history |= {"model": "tiny", "loss": 0.1}
    run.save(tmp_path / "new" / "run")
    net, training = checkpoint.load(tmp_path / "new" / "run")
    assert net.config == config
    assert not net.training
    assert training == run.history
    assert same(dict(net.state_dict()), run.average)
    assert not same(run.average, dict(run.net.state_dict()))
    assert {p.name for p in (tmp_path / "new" / "run").iterdir()} == {
        "config.json", "model.safetensors", "resume.safetensors"
    }  # fmt: skip


@pytest.mark.parametrize("config", [small.MAGNET, small.OH2018])
def test_a_resumed_run_gives_the_same_weights_as_an_uninterrupted_one(
    config: Config, tmp_path: Path
) -> None:
    straight = Run(config).learn(3)
    straight.save(tmp_path)
    resumed = Run(config, seed=1).resume(tmp_path)
    assert resumed.history == {"step": 3, "seconds": 0.0}
    straight.learn(3)
    resumed.learn(3)
    assert same(dict(straight.net.state_dict()), dict(resumed.net.state_dict()))
    assert same(straight.average, resumed.average)
    assert resumed.history["step"] == 6


def test_adam_moments_are_restored(tmp_path: Path) -> None:
    straight = Run().learn(3)
    straight.save(tmp_path)
    resumed = Run(seed=1).resume(tmp_path)
    for weight, twin in zip(straight.net.parameters(), resumed.net.parameters(), strict=True):
        kept, found = straight.optimizer.state[weight], resumed.optimizer.state[twin]
        assert float(found["step"]) == 3
        for name in ("exp_avg", "exp_avg_sq"):
            assert torch.equal(kept[name], found[name])
            assert found[name].stride() == twin.stride()


def test_a_run_without_steps_can_be_resumed(tmp_path: Path) -> None:
    Run().save(tmp_path)
    assert Run(seed=1).resume(tmp_path).history["step"] == 0


@pytest.mark.parametrize("fails_at", ["resume", "model"])
def test_an_interrupted_write_leaves_the_old_file(
    fails_at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run().learn(1)
    run.save(tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def cut_off(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
        save_file(tensors, path, metadata)
        if path.name.startswith(fails_at):
            path.write_bytes(path.read_bytes()[:1000])
            raise OSError("the disk is full")

    monkeypatch.setattr(checkpoint, "save_file", cut_off)
    with pytest.raises(OSError, match="the disk is full"):
        run.learn(1).save(tmp_path)
    after = {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.name in before}
    assert after["model.safetensors"] == before["model.safetensors"]
    assert after["config.json"] == before["config.json"]
    if fails_at == "resume":
        assert after == before
    checkpoint.load(tmp_path)
    assert Run().resume(tmp_path).history["step"] == (1 if fails_at == "resume" else 2)


def break_json(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def forget_config(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"training": {}}))


def strange_field(folder: Path) -> None:
    config = {"config": {"architecture": "magnet", "depth": 3}, "training": {}}
    (folder / "config.json").write_text(json.dumps(config))


def strange_architecture(folder: Path) -> None:
    config = {"config": {"architecture": "unet"}, "training": {}}
    (folder / "config.json").write_text(json.dumps(config))


def other_network(folder: Path) -> None:
    config = {"config": Config().to_dict(), "training": {}}
    (folder / "config.json").write_text(json.dumps(config))


def lose_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def cut_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def weights_are_text(folder: Path) -> None:
    (folder / "model.safetensors").write_text("hello")


def one_tensor_less(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors.popitem()
    save_file(tensors, folder / "model.safetensors")


@pytest.mark.parametrize(
    "damage",
    [
        break_json, forget_config, strange_field, strange_architecture, other_network,
        lose_weights, cut_weights, weights_are_text, one_tensor_less,
    ],
)  # fmt: skip
def test_a_damaged_checkpoint_is_refused(damage: Callable[[Path], None], tmp_path: Path) -> None:
    Run().save(tmp_path)
    damage(tmp_path)
    with pytest.raises(ModelIncompatible, match="cannot load checkpoint") as caught:
        checkpoint.load(tmp_path)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_a_missing_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelIncompatible, match="no such file; expected a folder made by rtmag"):
        checkpoint.load(tmp_path / "gone")
    with pytest.raises(ModelIncompatible, match=r"it holds no resume\.safetensors"):
        Run().resume(tmp_path)


def test_a_run_of_another_network_is_not_resumed(tmp_path: Path) -> None:
    Run(small.OH2018).save(tmp_path)
    with pytest.raises(ModelIncompatible, match="another network"):
        Run(small.MAGNET).resume(tmp_path)


@pytest.mark.parametrize("keep", [0, 5, 1000])
def test_a_damaged_run_is_not_resumed(keep: int, tmp_path: Path) -> None:
    Run().learn(1).save(tmp_path)
    path = tmp_path / "resume.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ModelIncompatible, match=r"resume\.safetensors is damaged"):
        Run().resume(tmp_path)


def test_other_safetensors_files_are_not_resumed(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(2)}, tmp_path / "resume.safetensors")
    with pytest.raises(ModelIncompatible, match="not rtmag train's"):
        Run().resume(tmp_path)


def test_the_average_moves_by_one_minus_decay() -> None:
    net = small.net()
    average = checkpoint.copy_weights(net)
    start = {k: v.clone() for k, v in average.items()}
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(1)
    assert same(average, start)
    checkpoint.update_average(average, net, 0.9)
    assert all(torch.allclose(average[k], start[k] + 0.1, atol=1e-6) for k in average)


def test_no_code_reads_pickles() -> None:
    """Run folders of others are read as data only; unpickling would run their code."""
    risky = re.compile(
        r"\b(import|from) (c?pickle|dill|joblib|shelve|marshal)\b|\btorch\.(load|save|jit\.load)\("
        r"|allow_pickle\s*=\s*True"
    )
    files = []
    for package in ("realtime", "export", "train"):
        spec = importlib.util.find_spec(f"rtmag.{package}")
        assert spec is not None
        assert spec.origin is not None
        files += sorted(Path(spec.origin).parent.rglob("*.py"))
    assert len(files) > 40
    for path in files:
        assert not risky.search(path.read_text()), path


# ---- beginning where another run ended --------------------------------------------------------


def test_a_run_starts_from_another(tmp_path: Path) -> None:
    Run(seed=1).learn(1).save(tmp_path)
    net = small.net(seed=2)
    checkpoint.start_from(tmp_path, net)
    assert same(net.state_dict(), checkpoint.load(tmp_path)[0].state_dict())


def test_weights_of_another_shape_are_not_copied(tmp_path: Path) -> None:
    Run(seed=1).save(tmp_path)
    given = load_file(tmp_path / "model.safetensors")
    narrow = Config(channels=4, width=2, blocks=1)
    net = small.net(narrow, seed=2)
    own = {k: v.clone() for k, v in net.state_dict().items()}
    checkpoint.start_from(tmp_path, net)
    for name, value in net.state_dict().items():
        fits = given[name].shape == own[name].shape
        assert torch.equal(value, given[name] if fits else own[name]), name


def test_a_folder_without_weights_to_start_from_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ModelIncompatible, match=r"cannot start from '.*': it holds no readable model"
    ):
        checkpoint.start_from(tmp_path, small.net())
    save_file({"other": torch.zeros(3)}, tmp_path / "model.safetensors")
    with pytest.raises(ModelIncompatible, match="none of its weights fits"):
        checkpoint.start_from(tmp_path, small.net())
