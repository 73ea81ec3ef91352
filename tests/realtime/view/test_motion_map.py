"""The drawing of maps: scale, legend and colours."""

from itertools import pairwise

import numpy as np
import pytest

from rtmag.realtime.frame import Frame, MotionField
from rtmag.realtime.view.motion_map import AmplitudeScale, MapCells, MapKind, draw_map


def test_the_scale_keeps_its_end_while_the_amplitude_varies() -> None:
    scale = AmplitudeScale()
    assert scale.update(0.13, 0.0) == pytest.approx(0.2)
    assert [scale.update(0.1 + 0.08 * (k % 2), k / 10) for k in range(100)] == [0.2] * 100
    assert scale.update(0.21, 11.0) == pytest.approx(0.5)
    assert scale.update(0.02, 12.0) == pytest.approx(0.5)  # small for a moment
    ends = [scale.update(0.02, 12 + k / 10) for k in range(100)]
    assert ends[-1] == pytest.approx(0.02) and sum(a != b for a, b in pairwise(ends)) == 1


@pytest.mark.parametrize("kind", ["amplitude", "phase"])
def test_only_cells_that_move_are_coloured(kind: MapKind) -> None:
    image = np.full((240, 320, 3), 90, np.uint8)
    nothing = np.zeros((40, 60, 2), np.float32)
    frame = Frame(image, 0.0, 0, field=MotionField(nothing, nothing, 4.0, (40, 20)))
    size, share = np.zeros((40, 60), np.float32), np.zeros((40, 60), np.float32)
    size[10:20, 10:20], share[10:20, 10:20] = 0.4, 1
    drawn = draw_map(frame, MapCells(size, np.zeros_like(size), share), kind, 0.5, 5.0)
    changed = (drawn != image).any(axis=2)
    assert changed[20 + 44 : 20 + 76, 40 + 44 : 40 + 76].all()
    assert not changed[:50].any() and not changed[:180, :70].any()
    assert changed[200:, 200:].any()  # the legend
    assert (image == 90).all()
