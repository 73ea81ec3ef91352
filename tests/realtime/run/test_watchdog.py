"""A model that hangs where no viewer waits: at its choice, in a file or a measurement."""

import subprocess
import sys

import pytest

from tests.support.fakes import ENVIRONMENT

HANGS = """
import time
import numpy as np
from rtmag.realtime.bench import timing
from rtmag.realtime.controls import Controls
from rtmag.realtime.engines.engine import IdentityEngine
from rtmag.realtime.engines.spec import EngineSpec
from rtmag.realtime.filters import Static
from rtmag.realtime.magnifier import Magnifier
from rtmag.realtime.run import adaptive, loop, measure
from rtmag.realtime.sources.scene.scene import SceneSource

class Hangs(IdentityEngine):
    def step(self, image, alpha, sections, state):
        time.sleep(30)

for module in (adaptive, loop, measure, timing):
    module.PATIENT = 0.3
adaptive.load_spec = lambda spec: Hangs()
SCENE, SECTIONS = SceneSource((64, 48), frames=3), Static().sections(30)
measure.Meter.add = lambda meter, frame: time.sleep(30)
"""

RUNS = {
    "file": "loop.run(loop.Pipeline(SCENE, Magnifier(Hangs()), Controls()))",
    "choice": 'adaptive.choose(EngineSpec(model="auto", motion_scale=None), (64, 48), 30)',
    "measure": "measure.run_measure('test', measure.MeasureOptions(seconds=1))",
    "bench": "timing.time_steps([timing.Candidate(Hangs(), 1)], (64, 48), SECTIONS, 2)",
}


@pytest.mark.parametrize("run", RUNS)
def test_a_hang_ends_the_process_with_70(run: str) -> None:
    """F10: not even the first step may block."""
    done = subprocess.run(
        [sys.executable, "-c", HANGS + RUNS[run]],
        capture_output=True, text=True, env=ENVIRONMENT, check=False, timeout=25,
    )  # fmt: skip
    assert done.returncode == 70, done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: the model has not returned for")
