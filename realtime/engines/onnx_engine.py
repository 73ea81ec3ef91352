"""An exported graph as an engine: `.onnx` files, on any of the runtimes that take them."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.engines import spec as precisions
from rtmag.realtime.engines.batching import Layout, gather
from rtmag.realtime.engines.contract import MOTION, OUTPUTS, UNIT, check, streams_at_once
from rtmag.realtime.engines.engine import InTurn
from rtmag.realtime.engines.onnx_session import open_best, reason
from rtmag.realtime.engines.onnx_state import joined, parted
from rtmag.realtime.engines.spec import MOTION_SCALES, one_scale, scale_name
from rtmag.realtime.engines.warp import bordered, compose
from rtmag.realtime.errors import ModelError, ModelIncompatible, OptionError
from rtmag.realtime.frame import Image
from rtmag.realtime.opencv import cv2
from rtmag.realtime.sections import Sections, State, negated


class OnnxEngine(InTurn):
    """An exported graph on ONNX Runtime or OpenVINO.

    Where a CPU runs it, and wherever the network sees a smaller picture, the graph's form `motion`
    is taken if there is one, and the picture composed here (rtmag/realtime/engines/warp.py).
    """

    def __init__(
        self,
        model: bytes,
        motion: bytes | None = None,
        *,
        source: str,
        engine: str = "auto",
        threads: int | None = None,
        motion_scale: float = 1.0,
        precision: str = "auto",
    ) -> None:
        """Open a session on `model`, or on its other form where that is better: `load_engine`."""
        if motion_scale not in MOTION_SCALES:
            raise OptionError(f"motion scale must be 1, 1/2 or 1/4, got {motion_scale}")
        self._shrink = MOTION_SCALES[motion_scale]
        for content in (model, motion or b""):
            if re.search(rb"(\x08|\x88\x80*\x00)location", content):  # as outside weights need one
                raise ModelIncompatible(
                    f"cannot use model {source!r}: its weights lie in another file; export it again"
                )
        composed = motion or model
        drawn = composed if self._shrink > 1 else model
        forms = {"onnx": composed, "openvino": composed, "cuda": drawn}
        if engine == "auto" and motion is None:  # of pictures drawn by OpenVINO nothing is known
            del forms["openvino"]
        session = self._session = open_best(forms, source, engine, threads, precision)
        self.metadata: dict[str, str] = session.metadata
        precisions.check(self.metadata, precision, source)
        self._draws = not check(session.inputs, session.outputs, self.metadata, source)
        """Whether the picture is made in the graph, not here."""
        self.composes = motion is not None or not self._draws
        if self._shrink > 1 and self._draws:
            raise one_scale(source, motion_scale)
        self._other_form = partial(
            OnnxEngine, model, motion, source=source, engine=session.provider, threads=threads,
            precision=precision,
        )  # fmt: skip
        self.name = self.metadata["rtmag.model"]
        self.provider = session.provider
        self.at_once = streams_at_once(self.metadata)
        """Streams that one run of the network takes; infinitely many for any number."""
        self._channels = int(self.metadata["rtmag.channels"])
        self._stride = int(self.metadata["rtmag.stride"])
        self._layout = Layout(self.name, self._channels, self._stride, self.at_once)
        self.size: tuple[int, int] | None = None
        """(width, height) with the border, when the model was exported for one size only."""
        if session.size is not None:
            height, width = session.size
            self.size = width * self._shrink, height * self._shrink

    @property
    def motion_scale(self) -> float:
        """Size of the picture that the network sees, over that of the picture shown."""
        return 1 / self._shrink

    @property
    def precision(self) -> str:
        """The numbers it computes with: a name of `rtmag.realtime.engines.spec`."""
        mixed = getattr(self._session, "mixed", False)  # no other runtime chooses
        return precisions.BFLOAT16 if mixed else precisions.exported(self.metadata)

    @property
    def captured(self) -> bool:
        """Whether steps are replayed as CUDA graphs."""
        return bool(getattr(self._session, "captured", False))  # no other runtime does

    @property
    def described(self) -> str:
        """Name, and motion scale where it is not 1."""
        scale = self.motion_scale
        return self.name if scale == 1 else f"{self.name}, motion at {scale_name(scale)}"

    def at(self, motion_scale: float) -> "OnnxEngine":
        """The same session on pictures of another size; states of before do not fit it.

        Where the graph draws the picture, at one scale, its form that does not is opened.

        Raises:
            ModelIncompatible: there is none.
            ModelError: as `load_engine`, of that form.
        """
        if not self.composes:
            raise one_scale(self.name, motion_scale)
        if self._draws:
            return self if motion_scale == 1 else self._other_form(motion_scale=motion_scale)
        other = copy(self)
        other._shrink = MOTION_SCALES[motion_scale]
        if self.size is not None:
            width, height = (side // self._shrink * other._shrink for side in self.size)
            other.size = width, height
        return other

    def step(
        self, image: Image, alpha: float, sections: Sections, state: State | None
    ) -> tuple[Image, State]:
        """Magnify one image; see the module's description.

        Raises:
            ModelIncompatible: image or state do not fit the model or each other.
            ModelError: the runtime failed, for want of memory for example.
        """
        if "rtmag.streams" in self.metadata:
            images, states = self.step_many([image], [alpha], [sections], [state])
            return images[0], states[0]
        seen = self._seen(image)
        h, w = (side // self._stride for side in seen.shape[:2])
        expected = (1, 2 * len(sections) * self._channels, h, w)
        if state is None:
            memory = np.zeros(expected, np.float32)
        elif state.shape == expected:
            memory = state
        else:
            raise ModelIncompatible(f"model expects state {expected}, got {state.shape}")
        opposite = alpha < 1
        if opposite:
            alpha, sections, memory = 2 - alpha, negated(sections), -memory
        inputs: dict[str, NDArray[Any]] = {
            "image": seen,
            "alpha": np.array(alpha, np.float32),
            "sections": sections,
            "reset": np.array(state is None, np.float32),
            "state": memory,
        }
        if not self._draws:
            flow, memory = self._moved(inputs)
            out = compose(image, flow, self._shrink)
        else:
            out, memory = self._run([*OUTPUTS], inputs)
            out = out[: image.shape[0], : image.shape[1]]
        return out, -memory if opposite else memory

    def step_many(
        self,
        images: Sequence[Image],
        alphas: Sequence[float],
        sections: Sequence[Sections],
        states: Sequence[State | None],
    ) -> tuple[list[Image], list[State]]:
        """One step of several streams: in one run of a network that takes several, else in turn.

        Raises:
            ModelIncompatible: as of `step`; or the network takes several, but not so many, or not
                of sizes that differ.
            ModelError: the runtime failed; no stream has taken its step.
            ValueError: not as many alphas, sections or states as images.
        """
        if "rtmag.streams" not in self.metadata or not images:
            return super().step_many(images, alphas, sections, states)
        seen = [self._seen(image) for image in images]
        batch = gather(self._layout, seen, alphas, sections, states)
        with self._running():
            inputs = batch.inputs | {"state": joined(batch, self.provider)}
        if not self._draws:
            flows, memory = self._moved(inputs)
            shown = [compose(i, flows[k : k + 1], self._shrink) for k, i in enumerate(images)]
        else:
            drawn, memory = self._run([*OUTPUTS], inputs)
            shown = [drawn[k, : i.shape[0], : i.shape[1]] for k, i in enumerate(images)]
        return shown, parted(memory, batch)

    def _moved(self, inputs: dict[str, Any]) -> list[NDArray[Any]]:
        """Flow and state of the form that draws nothing."""
        found = self._run([*MOTION], inputs)
        if not np.isfinite(found[0]).all():
            raise ModelError(f"model {self.name!r} tells motion that is no number")
        return found

    def _run(self, outputs: list[str], inputs: dict[str, Any]) -> list[NDArray[Any]]:
        with self._running():
            found: list[NDArray[Any]] = self._session.run(outputs, inputs)
        return found

    @contextmanager
    def _running(self) -> Iterator[None]:
        """The runtime's errors are ours."""
        try:
            yield
        except Exception as error:  # onnxruntime's errors share no other base class
            raise ModelError(
                f"cannot run model {self.name!r} on {self.provider}: {reason(error)}"
            ) from error

    def _seen(self, image: Image) -> Image:
        """The picture as the network wants it: sides that fit, and as small as its scale says."""
        image = bordered(image, self.size, self.name, UNIT * self._shrink)
        if self._shrink > 1:
            size = image.shape[1] // self._shrink, image.shape[0] // self._shrink
            return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
        return image
