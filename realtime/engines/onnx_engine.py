"""An engine for ONNX graphs, on any runtime that has a session for them."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.engines.batching import StreamBatch, collate
from rtmag.realtime.engines.contract import (
    CELL,
    FLOW,
    MOTION,
    OUTPUTS,
    SIDE_MULTIPLE,
    STATE_OUT,
    GraphLayout,
    check,
)
from rtmag.realtime.engines.engine import (
    Measured,
    SequentialSteps,
    StepInputs,
    cannot_measure,
    check_results,
    prepare,
)
from rtmag.realtime.engines.onnx_session import OrtSession, Session, error_reason
from rtmag.realtime.engines.onnx_state import concat_states
from rtmag.realtime.engines.spec import (
    MIXED_BF16,
    MOTION_SCALES,
    exported_precision,
    scale_name,
    unsupported_scale,
)
from rtmag.realtime.engines.warp import measured, measuring_alpha, pad, warp
from rtmag.realtime.errors import ModelError, ModelIncompatible, OptionError
from rtmag.realtime.frame import Image
from rtmag.realtime.opencv import cv2
from rtmag.realtime.sections import Sections, State

_EXTERNAL_WEIGHTS = re.compile(rb"(\x08|\x88\x80*\x00)location")
"""The key of an `external_data` entry in a serialised ONNX model."""


class OnnxEngine(SequentialSteps):
    """An exported graph on ONNX Runtime or OpenVINO.

    A model has one or two forms. The full graph returns the magnified picture. The form `motion`
    returns the flow, by which this class warps the image (rtmag/realtime/engines/warp.py). It is
    required for motion scales below 1, and is faster on CPUs.

    Args:
        model: The full graph, serialised.
        motion: The form `motion`, serialised; None: the model has no such form.
        source: Path or name, for messages.
        open_session: Opens a serialised graph on a runtime.
        prefer_full: Use the full graph at motion scale 1, even if the model has a form `motion`.
        motion_scale: 1, 1/2 or 1/4.

    Raises:
        ModelIncompatible: the graph does not keep the contract, has weights in another file, or
            supports motion scale 1 only.
        OptionError: the motion scale is invalid.
        ModelError, MissingExtra: as `open_session` raises.
    """

    def __init__(
        self,
        model: bytes,
        motion: bytes | None = None,
        *,
        source: str,
        open_session: Callable[[bytes], Session] = OrtSession,
        prefer_full: bool = False,
        motion_scale: float = 1.0,
    ) -> None:
        if motion_scale not in MOTION_SCALES:
            raise OptionError(f"motion scale must be 1, 1/2 or 1/4, got {motion_scale}")
        self._shrink = MOTION_SCALES[motion_scale]
        for content in (model, motion or b""):
            if _EXTERNAL_WEIGHTS.search(content):
                raise ModelIncompatible(
                    f"cannot use model {source!r}: its weights are in another file; export it again"
                )
        full = motion is None or (prefer_full and self._shrink == 1)
        session = self._session = open_session(model if full else motion or b"")
        self.metadata: dict[str, str] = session.metadata
        self._draws_picture = not check(session.inputs, session.outputs, self.metadata, source)
        """True if the graph returns the picture; False if it returns the flow."""
        self.scalable = motion is not None or not self._draws_picture
        if self._shrink > 1 and self._draws_picture:
            raise unsupported_scale(source, motion_scale)
        self._motion_form = partial(
            OnnxEngine,
            model,
            motion,
            source=source,
            open_session=open_session,
            prefer_full=prefer_full,
        )
        self.provider = session.provider
        self._layout = GraphLayout.from_metadata(self.metadata)
        self.name = self._layout.model
        self.streams_per_run = self._layout.streams_per_run
        self.size: tuple[int, int] | None = None
        if session.size is not None:
            height, width = session.size
            self.size = width * self._shrink, height * self._shrink

    @property
    def runtime(self) -> str:
        """The same as `provider`: `cpu`, `cuda` or `openvino`."""
        return self.provider

    @property
    def motion_scale(self) -> float:
        """Width of the network's input divided by the width of the image: 1, 1/2 or 1/4."""
        return 1 / self._shrink

    @property
    def precision(self) -> str:
        """`fp32`, `fp32+fp16` or `fp32+bf16`."""
        return MIXED_BF16 if self._session.bfloat16 else exported_precision(self.metadata)

    @property
    def uses_cuda_graph(self) -> bool:
        """True if a step has been captured as a CUDA graph, which later steps replay."""
        return self._session.uses_cuda_graph

    @property
    def described(self) -> str:
        """The model's name, with the motion scale if that is not 1."""
        scale = self.motion_scale
        return self.name if scale == 1 else f"{self.name}, motion scale {scale_name(scale)}"

    def at(self, motion_scale: float) -> "OnnxEngine":
        """The same model at another motion scale; states of this engine do not fit that one.

        Both engines share the session, unless its graph returns the picture: then the form `motion`
        is opened.

        Raises:
            ModelIncompatible: the model has no form `motion`.
            ModelError: as `load_engine`, for that form.
        """
        if not self.scalable:
            raise unsupported_scale(self.name, motion_scale)
        if self._draws_picture:
            return self if motion_scale == 1 else self._motion_form(motion_scale=motion_scale)
        other = copy(self)
        other._shrink = MOTION_SCALES[motion_scale]
        if self.size is not None:
            width, height = (side // self._shrink * other._shrink for side in self.size)
            other.size = width, height
        return other

    def step(
        self, image: Image, alpha: float, sections: Sections, state: State | None
    ) -> tuple[Image, State]:
        """Magnify one image; see the description of `rtmag.realtime.engines.engine`.

        Raises:
            ModelIncompatible: image or state do not fit the model or each other.
            ModelError: the runtime failed, for example because memory ran out.
        """
        if "rtmag.streams" in self.metadata:
            images, states = self.step_many([image], [alpha], [sections], [state])
            return images[0], states[0]
        stream, inputs = self._inputs(image, alpha, sections, state)
        if self._draws_picture:
            out, after = self._run([*OUTPUTS], inputs)
            out = out[: image.shape[0], : image.shape[1]]
        else:
            flow, after = self._run_motion(inputs)
            out = warp(image, flow, self._shrink)
        return out, stream.caller_state(after)

    def step_many(
        self,
        images: Sequence[Image],
        alphas: Sequence[float],
        sections: Sequence[Sections],
        states: Sequence[State | None],
    ) -> tuple[list[Image], list[State]]:
        """Take one step of each stream: in one run if the graph takes several, else one by one.

        Raises:
            ModelIncompatible: as `step`; or the graph takes several streams, but not this number of
                them, or the images differ in size.
            ModelError: the runtime failed; no state has changed.
            ValueError: the four sequences differ in length.
        """
        if "rtmag.streams" not in self.metadata or not images:
            return super().step_many(images, alphas, sections, states)
        batch, inputs = self._batch(images, alphas, sections, states)
        if self._draws_picture:
            drawn, after = self._run([*OUTPUTS], inputs)
            out = [drawn[k, : i.shape[0], : i.shape[1]] for k, i in enumerate(images)]
        else:
            flows, after = self._run_motion(inputs)
            out = [warp(i, flows[k : k + 1], self._shrink) for k, i in enumerate(images)]
        return out, batch.split(after)

    def measure(
        self,
        image: Image,
        alpha: float,
        sections: Sections,
        state: State | None,
        *,
        draw: bool = True,
    ) -> Measured:
        """Take a step and return the displacement of the scene as well; see `Engine.measure`.

        Raises:
            ModelIncompatible: as `step`; or the graph returns only the picture.
            ModelError: as `step`.
        """
        if "rtmag.streams" in self.metadata:
            return self.measure_many([image], [alpha], [sections], [state], draw=draw)[0]
        stream, inputs = self._inputs(image, measuring_alpha(alpha), sections, state)
        flow, after, drawn = self._run_measuring(inputs, draw)
        return measured(
            image, alpha, stream.caller_state(after), flow,
            draw=draw, drawn=drawn, shrink=self._shrink,
        )  # fmt: skip

    def measure_many(
        self,
        images: Sequence[Image],
        alphas: Sequence[float],
        sections: Sequence[Sections],
        states: Sequence[State | None],
        *,
        draw: bool = True,
    ) -> list[Measured]:
        """Take one step of each stream as `measure` does; errors are those of `step_many`."""
        if "rtmag.streams" not in self.metadata or not images:
            return super().measure_many(images, alphas, sections, states, draw=draw)
        used = [measuring_alpha(alpha) for alpha in alphas]
        batch, inputs = self._batch(images, used, sections, states)
        flows, after, drawn = self._run_measuring(inputs, draw)
        return [
            measured(
                image, alphas[k], state, flows[k : k + 1],
                draw=draw, drawn=None if drawn is None else drawn[k], shrink=self._shrink,
            )
            for k, (image, state) in enumerate(zip(images, batch.split(after), strict=True))
        ]  # fmt: skip

    def _run_measuring(
        self, inputs: dict[str, Any], draw: bool
    ) -> tuple[NDArray[Any], Any, NDArray[Any] | None]:
        """Run the graph; returns flow, state, and the picture if the graph draws it."""
        if not self._draws_picture:
            flow, after = self._run_motion(inputs)
            return flow, after, None
        if FLOW not in self._session.outputs:
            raise cannot_measure(self.name)
        flow, after, *drawn = self._run_motion(inputs, [*OUTPUTS][:1] if draw else [])
        return flow, after, drawn[0] if drawn else None

    def _inputs(
        self, image: Image, alpha: float, sections: Sections, state: State | None
    ) -> tuple[StepInputs, dict[str, Any]]:
        """Inputs of a graph for one stream."""
        small = self._network_input(image)
        stream = prepare(self._layout, small, alpha, sections, state)
        return stream, {
            "image": small,
            "alpha": np.array(stream.alpha, np.float32),
            "sections": stream.sections,
            "reset": np.array(state is None, np.float32),
            "state": stream.network_state(),
        }

    def _batch(
        self,
        images: Sequence[Image],
        alphas: Sequence[float],
        sections: Sequence[Sections],
        states: Sequence[State | None],
    ) -> tuple[StreamBatch, dict[str, Any]]:
        """Inputs of a graph for several streams."""
        small = [self._network_input(image) for image in images]
        batch = collate(self._layout, small, alphas, sections, states)
        with self._runtime_errors():
            return batch, batch.inputs | {"state": concat_states(batch, self.provider)}

    def _run_motion(self, inputs: dict[str, Any], also: Sequence[str] = ()) -> list[NDArray[Any]]:
        """Run the graph for flow, state and the outputs `also`."""
        results = self._run([*MOTION, *also], inputs)
        if not np.isfinite(results[0]).all():
            raise ModelError(f"model {self.name!r} returned NaN or infinite motion")
        return results

    def _run(self, outputs: list[str], inputs: dict[str, Any]) -> list[NDArray[Any]]:
        """Run the graph; ModelIncompatible if a result has another shape than the contract says."""
        with self._runtime_errors():
            results = self._session.run(outputs, inputs)
        image = inputs["image"].shape
        streams, (height, width) = (image[0] if len(image) == 4 else 1), image[-3:-1]
        shapes = {
            "image_out": image,
            FLOW: (streams, 2, height // CELL, width // CELL),
            STATE_OUT: tuple(inputs["state"].shape),
        }
        found = dict(zip(outputs, results, strict=True))
        if any(value.shape != shapes[name] for name, value in found.items()):
            check_results(self.name, {name: (value, shapes[name]) for name, value in found.items()})
        return results

    @contextmanager
    def _runtime_errors(self) -> Iterator[None]:
        """Turn the runtime's errors into `ModelError`."""
        try:
            yield
        except Exception as error:  # onnxruntime's errors share no other base class
            raise ModelError(
                f"cannot run model {self.name!r} on {self.provider}: {error_reason(error)}"
            ) from error

    def _network_input(self, image: Image) -> Image:
        """The image, padded and reduced by the motion scale: its sides are multiples of 16."""
        image = pad(image, self.size, self.name, SIDE_MULTIPLE * self._shrink)
        if self._shrink > 1:
            size = image.shape[1] // self._shrink, image.shape[0] // self._shrink
            return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
        return image
