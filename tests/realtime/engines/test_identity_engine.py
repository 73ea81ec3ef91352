"""The engine of `--model none`, which changes nothing."""

import numpy as np
import pytest

from rtmag.realtime.cli.main import execute
from rtmag.realtime.engines.engine import IdentityEngine
from rtmag.realtime.engines.loading import load_engine, load_spec
from rtmag.realtime.engines.spec import EngineSpec


def test_the_identity_engine_is_loaded_by_its_name() -> None:
    assert isinstance(load_engine("none"), IdentityEngine)
    assert load_spec(EngineSpec(model="none", motion_scale=None)).described == "no model"


def test_images_are_unchanged() -> None:
    image = np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8)
    out, state = IdentityEngine().step(image, 20.0, np.zeros((1, 5), np.float32), None)
    assert np.array_equal(out, image)
    assert state.size == 0


def test_the_command_line_accepts_it(capsys: pytest.CaptureFixture[str]) -> None:
    args = ["camera", "test", "--model", "none", "--view", "none", "--frames", "5"]
    assert execute([*args, "--size", "64x48", "--fl", "0.5", "--fh", "2"]) == 0
    output = capsys.readouterr()
    assert output.out.startswith("5 frames in ")
    assert "no model on cpu" in output.err
