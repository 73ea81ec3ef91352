"""Models written by hand are what ONNX's own library reads."""

import onnx
from onnx import TensorProto

from rtmag.realtime.engines.onnx_protobuf import INT64, field, model, node, tensor


def test_a_model_is_read_as_it_was_written() -> None:
    graph = field(1, node("Gather", ["x", "rows"], "y")) + field(2, "g" * 300)
    graph += field(11, tensor("x", (None, 5))) + field(11, tensor("rows", (None,), INT64))
    graph += field(12, tensor("y", (None, 5)))
    made = onnx.load_from_string(model(graph))
    onnx.checker.check_model(made, full_check=True)
    assert made.graph.name == "g" * 300
    assert (made.ir_version, made.opset_import[0].version) == (8, 13)
    (only,) = made.graph.node
    assert (only.op_type, list(only.input), list(only.output)) == ("Gather", ["x", "rows"], ["y"])
    kinds = [value.type.tensor_type for value in made.graph.input]
    assert [kind.elem_type for kind in kinds] == [TensorProto.FLOAT, TensorProto.INT64]
    assert [d.dim_value for d in kinds[0].shape.dim] == [0, 5]
