"""The smallest model, and why providers do not open."""

import onnx

from rtmag.realtime.engines.onnx_providers import missing_library, one_convolution, open_session


def test_the_smallest_model_is_valid_and_runs() -> None:
    onnx.checker.check_model(onnx.load_from_string(one_convolution()))
    session = open_session(one_convolution(), "cpu")
    assert session.get_outputs()[0].shape == [1, 1, 6, 6]


def test_the_cpu_needs_no_library_of_its_own() -> None:
    assert missing_library("cpu") is None


def test_a_reason_is_one_line() -> None:
    reason = missing_library("cuda")
    assert reason is None or "\n" not in reason
