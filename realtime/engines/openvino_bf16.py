"""Split an OpenVINO graph into a part that runs in float32 and a part that runs in bfloat16.

The nodes before the network's first non-linearities compute `shape`, its temporal filter and the
displacement: small differences of large numbers, with filter coefficients close to 1. They stay in
float32. The other nodes only weight these results. They do most of the work and run in bfloat16, as
do the convolutions whose results no other nodes use. The graph is split, because OpenVINO cannot
run parts of one graph in different precisions: it loses marks on nodes when it rewrites the graph.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from rtmag.realtime.engines.contract import STATE_OUT

CROSSING = "crossing_"
"""Prefix of the names of the tensors that the second part takes from the first."""

_HEAVY = ("Convolution", "GroupConvolution", "MatMul")
"""Types of the nodes that do most of the work."""


def split(model: Any) -> tuple[Any, Any] | None:
    """Split a graph of known sizes into a float32 part and a bfloat16 part.

    The second part has inputs of the graph, and inputs named `CROSSING` and a number. The latter
    are the last outputs of the first part, in this order. Returns None if the state depends on a
    non-linearity, because then no part may be rounded.
    """
    from openvino import Model, opset1
    from openvino.passes import ConstantFolding, Manager

    passes = Manager()
    passes.register_pass(ConstantFolding())  # folds the arithmetic on sizes
    passes.run_passes(model)
    nodes = model.get_ordered_ops()
    second = bfloat16_nodes(nodes)
    if second is None:
        return None
    # Both parts compute the nodes before any heavy node, which are cheap.
    heavy = _downstream(nodes, {n.get_name() for n in nodes if n.get_type_name() in _HEAVY})
    results = model.get_results()
    crossing = _crossing_outputs([n for n in nodes if n.get_name() in heavy - second], second)
    crossing_results, crossing_parameters = [], []
    for number, (port, users) in enumerate(crossing):
        parameter = opset1.parameter(port.shape, port.element_type)
        parameter.output(0).get_tensor().set_names({f"{CROSSING}{number}"})
        for user in users:
            user.replace_source_output(parameter.output(0))
        crossing_results.append(opset1.result(port))
        crossing_parameters.append(parameter)
    inputs = model.get_parameters()
    exact = [node for node in results if node.get_name() not in second]
    rounded = [node for node in results if node.get_name() in second]
    first = [*exact, *crossing_results]
    return (
        Model(first, _required_inputs(inputs, first)),
        Model(rounded, [*_required_inputs(inputs, rounded), *crossing_parameters]),
    )


def _crossing_outputs(nodes: Iterable[Any], second: set[str]) -> list[tuple[Any, list[Any]]]:
    """Outputs of nodes of the first part, each with the inputs of the second part that use it."""
    crossing = []
    for node in nodes:
        for port in node.outputs():
            users = [t for t in port.get_target_inputs() if t.get_node().get_name() in second]
            if users:
                crossing.append((port, users))
    return crossing


def bfloat16_nodes(nodes: list[Any]) -> set[str] | None:
    """Names of the nodes that may run in bfloat16; None if no part of the graph may.

    These are the nodes after the first non-linearities, and the convolutions whose results only
    they use. The output state must not be one of them.

    Args:
        nodes: All nodes of the graph in topological order.
    """
    names = _downstream(nodes, {name for node in nodes for name in _nonlinear(node)})
    for node in reversed(nodes if names else []):
        if node.get_type_name() == "Convolution":
            users = node.output(0).get_target_inputs()
            if names.issuperset(user.get_node().get_name() for user in users):
                names.add(node.get_name())
    results = [node for node in nodes if node.get_type_name() == "Result"]
    states = {node.get_name() for node in results if STATE_OUT in _source(node).names}
    return names if names and not names & states else None


def _nonlinear(node: Any) -> Iterator[str]:
    """Names of a non-linearity and of the convolution and the bias directly before it."""
    if node.get_type_name() == "Relu":
        yield node.get_name()
        before = _source(node).get_node()
        while before.get_type_name() in ("Add", "Convolution"):
            yield before.get_name()
            if before.get_type_name() == "Convolution":
                break
            before = _source(before).get_node()


def _source(node: Any) -> Any:
    """The output of another node that is the first input of this node."""
    return node.input(0).get_source_output()


def _downstream(nodes: Iterable[Any], start: set[str]) -> set[str]:
    """The names in `start` and those of all nodes that depend on them."""
    names = set(start)
    for node in nodes:
        if any(port.get_source_output().get_node().get_name() in names for port in node.inputs()):
            names.add(node.get_name())
    return names


def _required_inputs(inputs: list[Any], results: list[Any]) -> list[Any]:
    """The inputs that the results depend on."""
    seen: set[str] = set()
    pending = list(results)
    while pending:
        node = pending.pop()
        if node.get_name() not in seen:
            seen.add(node.get_name())
            pending += [port.get_source_output().get_node() for port in node.inputs()]
    return [node for node in inputs if node.get_name() in seen]
