"""`--model none`: everything but the model."""

import numpy as np
import pytest

from rtmag.realtime.cli.main import execute
from rtmag.realtime.engines.engine import IdentityEngine
from rtmag.realtime.engines.loading import EngineSpec, load_engine


def test_it_is_a_choice_as_others() -> None:
    assert isinstance(load_engine("none"), IdentityEngine)
    assert EngineSpec(model="none", motion_scale=None).load().described == "no model"


def test_pictures_stay_as_they_are() -> None:
    image = np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8)
    out, state = IdentityEngine().step(image, 20.0, np.zeros((1, 5), np.float32), None)
    assert np.array_equal(out, image)
    assert state.size == 0


def test_the_command_line_knows_it(capsys: pytest.CaptureFixture[str]) -> None:
    args = ["camera", "test", "--model", "none", "--view", "none", "--frames", "5"]
    assert execute([*args, "--size", "64x48", "--fl", "0.5", "--fh", "2"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("5 frames in ")
    assert "no model on cpu" in said.err
