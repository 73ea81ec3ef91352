"""Where graphs are cut in what stays in float32 and what does not; skipped without OpenVINO."""

from typing import Any

import numpy as np
import pytest

from rtmag.realtime.engines.openvino_bf16 import rest

pytest.importorskip("openvino", reason="needs OpenVINO: pip install 'rtmag[openvino]'")


@pytest.mark.parametrize(("output", "mixed"), [("flow", True), ("state_out", False)])
def test_a_state_after_a_non_linearity_is_not_rounded(output: str, mixed: bool) -> None:
    """As that of Oh et al., whose shape comes from many layers."""
    from openvino import Model, opset1

    given = opset1.parameter([1], np.float32)
    bent = opset1.relu(given)
    bent.output(0).get_tensor().add_names({output})
    nodes = Model([opset1.result(bent)], [given]).get_ordered_ops()
    assert (rest(nodes) is not None) == mixed


def test_convolutions_that_only_the_rest_sees_belong_to_it() -> None:
    from openvino import Model, opset1

    def convolved(x: Any, name: str) -> Any:
        edge = np.zeros(2, np.int64)
        kernel = opset1.constant(np.ones((1, 1, 1, 1), np.float32))
        out = opset1.convolution(x, kernel, edge + 1, edge, edge, edge + 1)
        out.set_friendly_name(name)
        return out

    given = opset1.parameter([1, 1, 4, 4], np.float32)
    seen = convolved(given, "seen by the state too")
    first = convolved(opset1.add(seen, seen), "first of two")
    later = opset1.add(opset1.relu(given), convolved(first, "second"))
    ends = [opset1.result(later), opset1.result(seen)]
    ends[1].input_value(0).get_tensor().add_names({"state_out"})
    nodes = Model(ends, [given]).get_ordered_ops()
    found = rest(nodes)
    assert found is not None
    known = {node.get_friendly_name() for node in nodes if node.get_name() in found}
    assert {"first of two", "second"} <= known
    assert "seen by the state too" not in known
