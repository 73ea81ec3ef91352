"""Small graphs that the runtime ships, in rtmag/realtime/engines/graphs.

    python -m rtmag.export.runtime_graphs     # writes the files again

The runtime reads the files, so it needs no ONNX library to make graphs.
"""

from pathlib import Path

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

FOLDER = Path(__file__).resolve().parent.parent / "realtime" / "engines" / "graphs"

OPSET, IR_VERSION = 13, 8
"""Versions that all supported versions of the runtimes can read."""


def convolution() -> ModelProto:
    """A 3x3 convolution of a 1x1x8x8 input: tests whether an execution provider works."""
    weight = numpy_helper.from_array(np.ones((1, 1, 3, 3), np.float32), "weight")
    return _model(
        "convolution",
        [helper.make_node("Conv", ["x", "weight"], ["y"])],
        [_float("x", [1, 1, 8, 8])],
        _float("y", [1, 1, 6, 6]),
        [weight],
    )


def gather_states() -> ModelProto:
    """Overwrite rows of `total` by rows of `source` times their signs; sign 0 keeps the row."""
    states = [None] * 4
    nodes = [
        helper.make_node("Gather", ["source", "rows"], ["gathered"]),
        helper.make_node("Mul", ["gathered", "signs"], ["signed"]),
        helper.make_node("Equal", ["signs", "zero"], ["kept"]),
        helper.make_node("Where", ["kept", "total", "signed"], ["updated"]),
    ]
    rows = helper.make_tensor_value_info("rows", TensorProto.INT64, [None])
    inputs = [_float(name, states) for name in ("total", "source", "signs", "zero")]
    return _model("gather_states", nodes, [*inputs, rows], _float("updated", states))


GRAPHS = {"convolution": convolution, "gather_states": gather_states}


def write(folder: Path = FOLDER) -> None:
    """Write every graph into a folder."""
    for name, make in GRAPHS.items():
        (folder / f"{name}.onnx").write_bytes(make().SerializeToString(deterministic=True))


def _float(name: str, shape: list[int] | list[None]) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _model(
    name: str,
    nodes: list[NodeProto],
    inputs: list[ValueInfoProto],
    output: ValueInfoProto,
    weights: list[TensorProto] | None = None,
) -> ModelProto:
    graph = helper.make_graph(nodes, name, inputs, [output], weights)
    opsets = [helper.make_opsetid("", OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


if __name__ == "__main__":
    write()
