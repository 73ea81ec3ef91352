"""The small graphs in the package are those that export makes."""

import numpy as np
import onnx
import pytest

from rtmag.export.runtime_graphs import FOLDER, GRAPHS
from rtmag.realtime.engines.onnx_providers import open_session, packaged_graph


def test_every_packaged_graph_has_a_function_that_makes_it() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(GRAPHS)


@pytest.mark.parametrize("name", GRAPHS)
def test_a_packaged_graph_equals_the_one_made_again(name: str) -> None:
    graph = onnx.load_from_string(packaged_graph(name))
    assert graph == GRAPHS[name]()
    onnx.checker.check_model(graph, full_check=True)
    assert (graph.ir_version, graph.opset_import[0].version) == (8, 13)


def test_states_are_gathered_with_their_signs_over_a_total() -> None:
    source = np.arange(2, dtype=np.float32).reshape(2, 1, 1, 1) + 5
    inputs = {
        "total": np.full((3, 1, 1, 1), 9, np.float32),
        "source": source,
        "rows": np.array([1, 0, 0]),
        "signs": np.array([-1, 1, 0], np.float32).reshape(3, 1, 1, 1),
        "zero": np.zeros((1, 1, 1, 1), np.float32),
    }
    session = open_session(packaged_graph("gather_states"), "cpu")
    (updated,) = session.run(None, inputs)
    assert updated.ravel().tolist() == [-6, 5, 9]
