"""Interpolation of the weights of two run folders."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from rtmag.realtime.errors import OptionError
from rtmag.train import checkpoint
from rtmag.train.blend import blend
from tests.support import small


def save(folder: Path, seed: int, step: int, config: object = small.MAGNET) -> Path:
    net = small.net(config, seed=seed)  # type: ignore[arg-type]
    optimizer = torch.optim.Adam(net.parameters())
    checkpoint.save(folder, net, checkpoint.copy_weights(net), optimizer, {"step": step})
    return folder


def test_blend_interpolates_the_weights(tmp_path: Path) -> None:
    early, late = save(tmp_path / "early", 1, 100), save(tmp_path / "late", 2, 300)
    a, b = (load_file(folder / "model.safetensors") for folder in (early, late))
    for share in (0.0, 0.25, 1.0):
        out = tmp_path / f"out{share}"
        blend(early, late, out, share)
        found, training = checkpoint.load(out)
        for name, weight in found.state_dict().items():
            assert torch.allclose(weight, (1 - share) * a[name] + share * b[name], atol=1e-6)
        assert training["step"] == 300
        assert training["blended"] == {"from_step": 100, "share": share}


def test_blend_with_the_starting_weights_and_a_surplus(tmp_path: Path) -> None:
    early, late = save(tmp_path / "early", 1, 100), save(tmp_path / "late", 2, 300)
    for folder, seed in ((early, 1), (late, 2)):
        facts = json.loads((folder / "config.json").read_text())
        facts["training"]["parts"] = [{"from_step": 0, "seed": seed}]
        (folder / "config.json").write_text(json.dumps(facts))
    blend(early, late, tmp_path / "out", surplus=0.04)
    found, training = checkpoint.load(tmp_path / "out")
    assert found.config.surplus == training["surplus"] == 0.04
    assert training["blended"] == {"from_step": 0, "share": 0.5}
    blend(tmp_path / "out", late, tmp_path / "again", surplus=0.07)  # from weights with another
    assert checkpoint.load(tmp_path / "again")[0].config.surplus == 0.07


def test_networks_that_differ_are_not_blended(tmp_path: Path) -> None:
    early, late = save(tmp_path / "early", 1, 100), save(tmp_path / "late", 2, 300)
    other = save(tmp_path / "other", 1, 1, small.OH2018)
    with pytest.raises(OptionError, match=r"share must be between 0 and 1, got 1\.5"):
        blend(early, late, tmp_path / "out", 1.5)
    with pytest.raises(OptionError, match="not the same network"):
        blend(early, other, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    before = (late / "config.json").read_text()
    with pytest.raises(OptionError, match="holds weights already"):
        blend(early, late, late)
    assert json.loads((late / "config.json").read_text()) == json.loads(before)
