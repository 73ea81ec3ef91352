"""Stand-ins for devices, sinks, views and the magnifier."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from rtmag.realtime.engines.engine import Engine, IdentityEngine, SequentialSteps
from rtmag.realtime.errors import ModelIncompatible
from rtmag.realtime.frame import Frame, Image
from rtmag.realtime.magnifier import Magnifier
from rtmag.realtime.models import motion_form, read_model
from rtmag.realtime.sections import Sections, State
from rtmag.realtime.sinks.sink import BaseSink
from rtmag.realtime.sources.source import BaseSource
from rtmag.realtime.view.viewer import Facts, PictureView

ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(str(Path(p).absolute()) for p in sys.path),
}
"""Environment in which child processes import the same packages as this process."""


def run_python(code: str) -> str:
    """Run Python code in a process of its own; return its output."""
    run = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(run, capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def blank(value: int = 0, size: tuple[int, int] = (64, 48)) -> Image:
    """Make a picture of one grey level."""
    return np.full((size[1], size[0], 3), value, np.uint8)


class FakeSource(BaseSource):
    """A source of frames with rising grey level, one every `every` seconds."""

    name = "fake"
    size = (64, 48)

    def __init__(
        self,
        frames: int | None = 5,
        *,
        live: bool = False,
        every: float = 0.0,
        error: BaseException | None = None,
    ) -> None:
        self.frames = frames
        self.live = live
        self.fps: float | None = 30.0
        self.left = self.closed = False
        self._every = every
        self._error = error

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        try:
            while self.frames is None or index < self.frames:
                time.sleep(self._every)
                moment = time.monotonic() if self.live else index / 30
                yield Frame(blank(index % 256), moment, index)
                index += 1
            if self._error is not None:
                raise self._error
        finally:
            self.left = True

    def close(self) -> None:
        self.closed = True


class FakeMagnifier(Magnifier):
    """Add 100 grey levels to each frame, after a call of `before` with the frame."""

    def __init__(self, before: Callable[[Frame], None] = lambda frame: None) -> None:
        super().__init__(IdentityEngine(), fps=30.0)
        self._before_step = before

    def magnify(self, frame: Frame) -> Frame:
        self._before_step(frame)
        return frame.with_image(frame.image + np.uint8(100))


class FakeEngine(SequentialSteps):
    """Attributes of an engine; subclasses add `step`."""

    name = provider = runtime = described = "fake"
    precision: str | None = None
    uses_cuda_graph = False
    size: tuple[int, int] | None = None
    motion_scale = 1.0
    scalable = False

    def __init__(self) -> None:
        self.metadata: dict[str, str] = {}

    def at(self, motion_scale: float) -> Engine:
        raise ModelIncompatible("no scale but 1")


class SlowEngine(FakeEngine):
    """An engine whose step takes `seconds()` at motion scale 1, and less at smaller scales."""

    scalable = True

    def __init__(self, seconds: Callable[[], float], motion_scale: float = 1.0) -> None:
        super().__init__()
        self.motion_scale = motion_scale
        self.described = f"slow, motion scale {motion_scale:g}"
        self._seconds = seconds

    def at(self, motion_scale: float) -> Engine:
        return SlowEngine(self._seconds, motion_scale)

    def step(
        self, image: Image, alpha: float, sections: Sections, state: State | None
    ) -> tuple[Image, State]:
        time.sleep(self._seconds() * self.motion_scale**2)
        return image, np.zeros((1, 2, 1, 1), np.float32)


class FakeSink(BaseSink):
    """A sink that keeps its frames; it raises `error` at frame number `fails_at`."""

    def __init__(self, fails_at: int | None = None, error: Exception | None = None) -> None:
        self.frames: list[Frame] = []
        self.finished: bool | None = None
        self._fails_at, self._error = fails_at, error

    def write(self, frame: Frame) -> None:
        if self._error is not None and len(self.frames) == self._fails_at:
            raise self._error
        self.frames.append(frame)

    def close(self, *, finished: bool = True) -> None:
        if self.finished is None:
            self.finished = finished


class FakeView(FakeSink, PictureView):
    """A view without a window. Each poll returns the next of `keys`; `.` is no key."""

    def __init__(self, keys: str = "", close_after: int | None = None) -> None:
        super().__init__()
        self._keys = list(keys)
        self._close_after = close_after
        self.polls = 0
        self.fullscreen = False
        self.messages: list[str] = []

    @property
    def closed(self) -> bool:
        return self._close_after is not None and self.polls > self._close_after

    def poll(self) -> int | None:
        self.polls += 1
        key = self._keys.pop(0) if self._keys else "."
        return None if key == "." else ord(key)

    def toggle_fullscreen(self) -> None:
        self.fullscreen = not self.fullscreen

    def show_message(self, facts: Facts) -> None:
        self.messages.append(facts.message)


def half_precision_model(folder: Path) -> Path:
    """Write both forms of the model `fast`, with metadata that claim half precision."""
    path = folder / "half.onnx"
    for content, form in zip(read_model("fast"), (path, motion_form(path)), strict=False):
        assert isinstance(content, bytes)
        key = b"rtmag.precision\x12\x04"
        assert key + b"fp32" in content
        form.write_bytes(content.replace(key + b"fp32", key + b"fp16"))
    return path


def identity_model(path: Path) -> Path:
    """Write a model that keeps the contract and changes nothing."""
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["h", "w", 3])
    scalars = [helper.make_tensor_value_info(n, TensorProto.FLOAT, []) for n in ("alpha", "reset")]
    sections = helper.make_tensor_value_info("sections", TensorProto.FLOAT, ["s", 5])
    state = helper.make_tensor_value_info("state", TensorProto.FLOAT, [1, "c", "y", "x"])
    image_out = helper.make_tensor_value_info("image_out", TensorProto.UINT8, ["h", "w", 3])
    state_out = helper.make_tensor_value_info("state_out", TensorProto.FLOAT, [1, "c", "y", "x"])
    graph = helper.make_graph(
        [
            helper.make_node("Identity", ["image"], ["image_out"]),
            helper.make_node("Identity", ["state"], ["state_out"]),
        ],
        "identity",
        [image, *scalars, sections, state],
        [image_out, state_out],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    about = {"contract": "2", "model": "identity", "channels": "1", "stride": "4"}
    helper.set_model_props(model, {f"rtmag.{key}": value for key, value in about.items()})
    path.write_bytes(model.SerializeToString())
    return path


_CPU_INPUTS = {
    "Expand": {1}, "ConstantOfShape": {0}, "Pad": {1, 3}, "Range": {0, 1, 2}, "Reshape": {1},
    "Resize": {1, 2, 3}, "Slice": {1, 2, 3, 4}, "Split": {1}, "Tile": {1}, "Unsqueeze": {1},
}  # fmt: skip
"""Inputs that GPU kernels read from CPU memory, by operator."""


def cpu_to_gpu_copies(content: bytes) -> list[str]:
    """Nodes of a graph that would copy a size from the CPU, where it is computed, to the GPU."""
    graph = onnx.load_from_string(content).graph
    known = {tensor.name for tensor in graph.initializer}
    on_cpu: set[str] = set()
    found = []
    for node in graph.node:
        if node.op_type == "Constant":
            known.update(node.output)
        elif node.op_type == "Shape" or (
            node.op_type not in ("Range", "ConstantOfShape", "Expand")
            and on_cpu & set(node.input)
            and on_cpu | known >= set(filter(None, node.input))
        ):
            on_cpu.update(node.output)
        else:
            cpu_inputs = _CPU_INPUTS.get(node.op_type, set())
            gpu_inputs = [name for k, name in enumerate(node.input) if k not in cpu_inputs]
            found += [f"{node.op_type} {node.name}"] if on_cpu & set(gpu_inputs) else []
    return found
