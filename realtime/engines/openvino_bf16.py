"""Cuts a graph of OpenVINO in what stays in float32 and what is run in bfloat16.

What comes before the network's first non-linearities is shape, its filter and how far things moved:
small differences of large numbers, and coefficients next to 1, so it stays in float32. The rest,
most of the work, only weighs that, and is run in bfloat16, with convolutions that nothing but the
rest sees. OpenVINO itself has no such choice for a part of a graph: marks on nodes are lost when it
rewrites them.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from rtmag.realtime.engines.contract import STATE_OUT

CROSSING = "crossing_"
"""How names begin of what the second part of a graph takes from the first."""

_HEAVY = ("Convolution", "GroupConvolution", "MatMul")


def split(model: Any) -> tuple[Any, Any] | None:
    """A graph of known sizes as two: up to its first non-linearities, and the rest.

    The second part takes inputs of the graph and, as `CROSSING` and a number, the last outputs of
    the first, which have names already. None for a graph whose state depends on a non-linearity, so
    that no part of it may be rounded.
    """
    from openvino import Model, opset1
    from openvino.passes import ConstantFolding, Manager

    passes = Manager()
    passes.register_pass(ConstantFolding())  # of the arithmetic on sizes
    passes.run_passes(model)
    nodes = model.get_ordered_ops()
    after = rest(nodes)
    if after is None:
        return None
    heavy = _followers(nodes, {n.get_name() for n in nodes if n.get_type_name() in _HEAVY})
    results = model.get_results()
    crossing = []
    for node in nodes:
        if node.get_name() in heavy - after:
            for port in node.outputs():
                targets = [t for t in port.get_target_inputs() if t.get_node().get_name() in after]
                if targets:
                    crossing.append((port, targets))
    passed, taken = [], []
    for number, (port, targets) in enumerate(crossing):
        parameter = opset1.parameter(port.shape, port.element_type)
        parameter.output(0).get_tensor().set_names({f"{CROSSING}{number}"})
        for target in targets:
            target.replace_source_output(parameter.output(0))
        passed.append(opset1.result(port))
        taken.append(parameter)
    inputs = model.get_parameters()
    exact = [node for node in results if node.get_name() not in after]
    others = [node for node in results if node.get_name() in after]
    return (
        Model([*exact, *passed], _needed(inputs, [*exact, *passed])),
        Model(others, [*_needed(inputs, others), *taken]),
    )


def rest(nodes: list[Any]) -> set[str] | None:
    """What comes after the first non-linearities; None where that is nothing, or the state.

    And convolutions that nothing else sees: they are what gains by it.
    """
    found = _followers(nodes, {name for node in nodes for name in _bent(node)})
    for node in reversed(nodes if found else []):
        if node.get_type_name() == "Convolution":
            targets = node.output(0).get_target_inputs()
            if found.issuperset(target.get_node().get_name() for target in targets):
                found.add(node.get_name())
    results = [node for node in nodes if node.get_type_name() == "Result"]
    states = {node.get_name() for node in results if STATE_OUT in _source(node).names}
    return found if found and not found & states else None


def _bent(node: Any) -> Iterator[str]:
    """A non-linearity, with the convolution and the bias before it."""
    if node.get_type_name() == "Relu":
        yield node.get_name()
        before = _source(node).get_node()
        while before.get_type_name() in ("Add", "Convolution"):
            yield before.get_name()
            if before.get_type_name() == "Convolution":
                break
            before = _source(before).get_node()


def _source(node: Any) -> Any:
    return node.input(0).get_source_output()


def _followers(nodes: Iterable[Any], begun: set[str]) -> set[str]:
    """Those nodes, in order, that have one of `begun` before them, and `begun`."""
    found = set(begun)
    for node in nodes:
        if any(port.get_source_output().get_node().get_name() in found for port in node.inputs()):
            found.add(node.get_name())
    return found


def _needed(inputs: list[Any], ends: list[Any]) -> list[Any]:
    """The inputs that lie before the ends."""
    seen: set[str] = set()
    left = list(ends)
    while left:
        node = left.pop()
        if node.get_name() not in seen:
            seen.add(node.get_name())
            left += [port.get_source_output().get_node() for port in node.inputs()]
    return [node for node in inputs if node.get_name() in seen]
