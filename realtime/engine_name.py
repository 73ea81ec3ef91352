"""The names of engines, apart so that the command line's help need not load one."""

from typing import Literal, get_args

EngineName = Literal["auto", "onnx", "openvino", "cuda", "torch", "tensorrt"]
"""See `rtmag.realtime.engine.load_engine`."""
ENGINES: tuple[EngineName, ...] = get_args(EngineName)
