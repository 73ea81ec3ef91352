"""The layout `map` on the built-in scene, whose tank sways at 2 Hz and whose motor at 5 Hz."""

import numpy as np
import pytest

from rtmag.realtime.controls import Controls
from rtmag.realtime.engines.loading import load_engine
from rtmag.realtime.filters import Temporal
from rtmag.realtime.frame import Frame
from rtmag.realtime.magnifier import Magnifier
from rtmag.realtime.run.loop import Pipeline, run
from rtmag.realtime.sources.scene.scene import SceneSource
from tests.support.fakes import FakeSink


@pytest.mark.parametrize(("name", "band"), [("tank", (1.2, 3.0)), ("motor", (4.0, 6.5))])
def test_the_map_shows_what_vibrates_in_the_band(name: str, band: tuple[float, float]) -> None:
    source = SceneSource((320, 240), 30.0, 135)
    sink, originals = FakeSink(), list[Frame]()
    engine = load_engine("fast", engine="onnx")
    run(
        Pipeline(
            source,
            Magnifier(engine, alpha=20, filter=Temporal(*band), fps=30.0),
            Controls(alpha=20, filter=Temporal(*band), layout="map"),
            sinks=[sink],
            on_frame=lambda frame, _: originals.append(frame),
        )
    )
    changed = (sink.frames[-1].image != originals[-1].image).any(axis=2)
    changed = changed[:160]  # the legend is below
    share = {}
    for vibration in source.vibrations:
        x, y, w, h = vibration.region
        share[vibration.name] = float(changed[y : y + h, x : x + w].mean())
    other = next(each for each in share if each != name)
    assert share[name] > 0.3 and share[other] < 0.05, share
    # Pixels that are not coloured are those of the original, never magnified.
    assert np.array_equal(sink.frames[2].image[:200], originals[2].image[:200])
    still = slice(30, 100), slice(220, 290)
    assert np.array_equal(sink.frames[-1].image[still], originals[-1].image[still])
