"""Splitting a graph into a float32 and a bfloat16 part; skipped without OpenVINO."""

from typing import Any

import numpy as np
import pytest

from rtmag.realtime.engines.openvino_bf16 import bfloat16_nodes

pytest.importorskip("openvino", reason="needs OpenVINO: pip install 'rtmag[openvino]'")


@pytest.mark.parametrize(("output", "mixed"), [("flow", True), ("state_out", False)])
def test_a_state_after_a_non_linearity_is_not_rounded(output: str, mixed: bool) -> None:
    """The shape of Oh et al. comes from many layers."""
    from openvino import Model, opset1

    source = opset1.parameter([1], np.float32)
    output_node = opset1.relu(source)
    output_node.output(0).get_tensor().add_names({output})
    nodes = Model([opset1.result(output_node)], [source]).get_ordered_ops()
    assert (bfloat16_nodes(nodes) is not None) == mixed


def test_convolutions_that_only_bfloat16_nodes_use_are_bfloat16_too() -> None:
    from openvino import Model, opset1

    def convolved(x: Any, name: str) -> Any:
        edge = np.zeros(2, np.int64)
        kernel = opset1.constant(np.ones((1, 1, 1, 1), np.float32))
        out = opset1.convolution(x, kernel, edge + 1, edge, edge, edge + 1)
        out.set_friendly_name(name)
        return out

    source = opset1.parameter([1, 1, 4, 4], np.float32)
    shared = convolved(source, "used by the state too")
    first = convolved(opset1.add(shared, shared), "first of two")
    later = opset1.add(opset1.relu(source), convolved(first, "second"))
    ends = [opset1.result(later), opset1.result(shared)]
    ends[1].input_value(0).get_tensor().add_names({"state_out"})
    nodes = Model(ends, [source]).get_ordered_ops()
    names = bfloat16_nodes(nodes)
    assert names is not None
    friendly = {node.get_friendly_name() for node in nodes if node.get_name() in names}
    assert {"first of two", "second"} <= friendly
    assert "used by the state too" not in friendly
