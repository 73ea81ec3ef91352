"""Runs an exported magnifier: the only module that knows the inference runtime.

Inputs
    image     (H, W, 3) uint8, BGR, any size
    alpha     total magnification factor
    sections  (S, 5) float32, the temporal filter (rtmag.realtime.filters)
    state     what the previous step returned, or None: take this image as the new reference
Outputs
    image     (H, W, 3) uint8, BGR, motion magnified
    state     to be passed to the next step

Conventions
    State is a value: the engine keeps none, so one engine may serve several streams in turn. The
    graph wants sides that are multiples of 16; the engine repeats the border and cuts it off again.
    Networks are trained to add motion, not to take it away. Alpha below 1 adds 1 - alpha times the
    opposite motion instead: the filter's first section, and with it the state, changes sign.

Motion scale
    The network may look at a picture of half or a quarter of the size: `motion_scale`. The picture
    shown keeps its resolution, only the motion is found more coarsely, in less time.
"""

import re
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime import providers
from rtmag.realtime.composition import compose
from rtmag.realtime.contract import MOTION, OUTPUTS, UNIT, check
from rtmag.realtime.errors import (
    ModelError,
    ModelIncompatible,
    OptionError,
    ProviderUnavailable,
    RtmagError,
)
from rtmag.realtime.filters import Sections, State
from rtmag.realtime.frame import Image
from rtmag.realtime.identity import NAME as NONE
from rtmag.realtime.identity import IdentityEngine
from rtmag.realtime.models import read_model
from rtmag.realtime.opencv import cv2

MOTION_SCALES = {1.0: 1, 0.5: 2, 0.25: 4}
"""How many times smaller the picture is that the network sees."""


class Engine(Protocol):
    """Whatever can take one step of the magnifier."""

    name: str
    """The model's name."""
    provider: str
    """What runs it: `cpu`, `cuda` ..."""
    metadata: dict[str, str]
    """What the model says about itself."""
    size: tuple[int, int] | None
    """(width, height) with the border, when the model was exported for one size only."""

    @property
    def motion_scale(self) -> float:
        """Size of the picture that the network sees, over that of the picture shown."""
        ...

    @property
    def composes(self) -> bool:
        """Whether the picture is made from flow and residual, outside the network."""
        ...

    @property
    def described(self) -> str:
        """Name, and what is not usual about it."""
        ...

    def at(self, motion_scale: float) -> "Engine":
        """The same engine at another motion scale; ModelIncompatible where it has but one."""
        ...

    def step(
        self, image: Image, alpha: float, sections: Sections, state: State | None
    ) -> tuple[Image, State]:
        """Magnify one image."""
        ...


class OnnxEngine:
    """An exported graph on ONNX Runtime.

    Where a CPU runs it, and wherever the network sees a smaller picture, the graph's form `motion`
    is taken if there is one, and the picture composed here (rtmag/realtime/composition.py).
    """

    def __init__(
        self,
        model: bytes,
        motion: bytes | None = None,
        *,
        source: str,
        provider: str = "auto",
        threads: int | None = None,
        motion_scale: float = 1.0,
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
        forms = {"cpu": motion or model, "cuda": motion if motion and self._shrink > 1 else model}
        self._session = _open(forms, source, provider, threads)
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        self.composes = check(self._session, self.metadata, source)
        """Whether the picture is made here, not in the graph."""
        if self._shrink > 1 and not self.composes:
            raise one_scale(source, motion_scale)
        self.name = self.metadata["rtmag.model"]
        used = self._session.get_providers()[0]
        self.provider = next(k for k, v in providers.NAMES.items() if v == used)
        self._channels = int(self.metadata["rtmag.channels"])
        self._stride = int(self.metadata["rtmag.stride"])
        shape = self._session.get_inputs()[0].shape
        self.size: tuple[int, int] | None = None
        """(width, height) with the border, when the model was exported for one size only."""
        if isinstance(shape[0], int) and isinstance(shape[1], int):
            self.size = (shape[1] * self._shrink, shape[0] * self._shrink)

    @property
    def motion_scale(self) -> float:
        """Size of the picture that the network sees, over that of the picture shown."""
        return 1 / self._shrink

    @property
    def described(self) -> str:
        """Name, and motion scale where it is not 1."""
        return self.name if self._shrink == 1 else f"{self.name}, motion at 1/{self._shrink}"

    def at(self, motion_scale: float) -> "OnnxEngine":
        """The same session on pictures of another size; states of before do not fit it.

        Raises:
            ModelIncompatible: the form that runs draws its pictures itself, at one scale.
        """
        if not self.composes:
            raise one_scale(self.name, motion_scale)
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
            alpha, sections, memory = 2 - alpha, turned(sections), -memory
        inputs: dict[str, NDArray[Any]] = {
            "image": seen,
            "alpha": np.array(alpha, np.float32),
            "sections": sections,
            "reset": np.array(state is None, np.float32),
            "state": memory,
        }
        if self.composes:
            flow, residual, memory = self._run([*MOTION], inputs)
            if not np.isfinite(flow).all():
                raise ModelError(f"model {self.name!r} tells motion that is no number")
            out = compose(image, flow, residual, self._shrink)
        else:
            out, memory = self._run([*OUTPUTS], inputs)
            out = out[: image.shape[0], : image.shape[1]]
        return out, -memory if opposite else memory

    def _run(self, outputs: list[str], inputs: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
        try:
            found: list[NDArray[Any]] = self._session.run(outputs, inputs)
        except Exception as error:  # onnxruntime's errors share no other base class
            raise ModelError(
                f"cannot run model {self.name!r} on {self.provider}: {_reason(error)}"
            ) from error
        return found

    def _seen(self, image: Image) -> Image:
        """The picture as the network wants it: sides that fit, and as small as its scale says."""
        image = bordered(image, self.size, self.name, UNIT * self._shrink)
        if self._shrink > 1:
            size = image.shape[1] // self._shrink, image.shape[0] // self._shrink
            return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
        return image


def one_scale(model: str, motion_scale: float) -> ModelIncompatible:
    """What to raise where a model knows no motion scale but 1."""
    return ModelIncompatible(
        f"model {model!r} draws its pictures itself: no motion scale but 1, got {motion_scale:g}"
    )


def bordered(image: Image, size: tuple[int, int] | None, name: str, unit: int = UNIT) -> Image:
    """The image with its border repeated until sides are multiples of `unit`.

    Raises:
        ModelIncompatible: that is not the only `size` that model `name` knows.
    """
    height, width = image.shape[:2]
    down, right = (-side % unit for side in (height, width))
    if size is not None and (width + right, height + down) != size:
        raise ModelIncompatible(
            f"model {name!r} was exported for {size[0]}x{size[1]}, "
            f"got {width}x{height}; give --size, or export without it"
        )
    if down or right:
        wide = cv2.copyMakeBorder(image, 0, down, 0, right, cv2.BORDER_REPLICATE)
        return np.asarray(wide, np.uint8)
    return np.ascontiguousarray(image)


def _open(forms: dict[str, bytes], source: str, provider: str, threads: int | None) -> Any:
    """A session; `auto` tries the best provider first and ends at the CPU."""
    if provider == "auto":
        *better, provider = providers.PREFERENCE
        for name in better:
            with suppress(ProviderUnavailable):
                return _open_on(name, forms[name], source, threads)
    return _open_on(provider, forms.get(provider, b""), source, threads)


def _open_on(provider: str, model: bytes, source: str, threads: int | None) -> Any:
    try:
        return providers.open_session(model, provider, threads)
    except RtmagError:
        raise
    except Exception as error:  # onnxruntime's errors share no other base class
        if provider == "cpu":
            raise ModelIncompatible(
                f"cannot load model {source!r}: not an ONNX model this version can run"
            ) from error
        raise ProviderUnavailable(f"cannot open provider {provider!r}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """The first line without onnxruntime's codes."""
    return (str(error).splitlines() or [type(error).__name__])[0].rpartition(" : ")[2]


def turned(sections: Sections) -> Sections:
    """The filter whose result is the opposite."""
    out = sections.copy()
    out[0, :3] *= -1
    return out


def load_engine(
    model: str | Path | None = None,
    *,
    provider: str = "auto",
    threads: int | None = None,
    motion_scale: float = 1.0,
    unsafe: bool = False,
) -> Engine:
    """Load a magnifier.

    Args:
        model: Name of a model inside the package, path of an exported one (`.onnx`, or `.pt2` to be
            run by PyTorch or TensorRT), `none` to change nothing, or None: the default.
        provider: `auto` takes the best that really opens; `cpu` or `cuda` that one or none.
        threads: CPU threads; None is one per usable core.
        motion_scale: Size of the picture in which motion is looked for, over that of the picture
            shown: 1, 1/2 or 1/4.
        unsafe: Allow `.pt2` files, which may run any code when they are opened.

    Raises:
        MissingExtra: a `.pt2` file, and PyTorch (or TensorRT, if it needs that) is not installed.
        ModelIncompatible: no such file, not a model of this contract, or one that draws its
            pictures itself and so knows one motion scale only.
        OptionError: another motion scale, or a `.pt2` file without `unsafe`.
        ProviderUnavailable: the provider asked for does not open.
    """
    if Path(model or "").suffix == ".pt2":
        from rtmag.realtime.torch_engine import TorchEngine

        # torch.export.load unpickles whatever it finds; its graphs may call any function of torch.
        if not unsafe:
            raise OptionError(
                f"{str(model)!r} is a PyTorch program, which may run any code once opened: if "
                "you trust its maker, give --unsafe (in Python: unsafe=True); .onnx needs no trust"
            )
        if motion_scale != 1:
            raise one_scale(str(model), motion_scale)
        return TorchEngine(str(model), provider=provider)
    if model == NONE:
        return IdentityEngine()
    content, motion, source = read_model(model)
    return OnnxEngine(
        content,
        motion,
        source=source,
        provider=provider,
        threads=threads,
        motion_scale=motion_scale,
    )


AUTO = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSpec:
    """Which engine somebody wants; loaded when everything else has been found in order."""

    model: str | None = None
    """As of `load_engine`; `auto` for the most faithful that keeps up (rtmag.realtime.choice)."""
    provider: str = "auto"
    motion_scale: float | None = 1.0
    """None for the largest that keeps up."""
    unsafe: bool = False
    """Allow files that may run any code when they are opened."""

    def load(self) -> Engine:
        """The engine, or the most faithful one where there is a choice; raises as `load_engine`."""
        return load_engine(
            None if self.model == AUTO else self.model,
            provider=self.provider,
            motion_scale=self.motion_scale or 1.0,
            unsafe=self.unsafe,
        )
