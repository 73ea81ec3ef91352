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
    graph wants sides that are multiples of 4; the engine repeats the border and cuts it off again.
    Networks are trained to add motion, not to take it away. Alpha below 1 adds 1 - alpha times the
    opposite motion instead: the filter's first section, and with it the state, changes sign.

The graph's contract
    inputs   image uint8 (H, W, 3); alpha, reset float32 (); sections float32 (S, 5);
             state float32 (1, 2 S C, H/stride, W/stride)
    outputs  image_out uint8 (H, W, 3); state_out, like state
    metadata rtmag.contract = 1, rtmag.model, rtmag.channels = C, rtmag.stride, ...
"""

import re
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime import providers
from rtmag.realtime.errors import ModelError, ModelIncompatible, ProviderUnavailable, RtmagError
from rtmag.realtime.filters import Sections, State
from rtmag.realtime.frame import Image
from rtmag.realtime.opencv import cv2

CONTRACT = "1"
DEFAULT_MODEL = "standard"
SMALLEST = 16  # px; smaller pictures are padded, for reflecting borders need something to reflect
INPUTS = {
    "image": ("tensor(uint8)", 3),
    "alpha": ("tensor(float)", 0),
    "sections": ("tensor(float)", 2),
    "reset": ("tensor(float)", 0),
    "state": ("tensor(float)", 4),
}
OUTPUTS = {"image_out": ("tensor(uint8)", 3), "state_out": ("tensor(float)", 4)}


class Engine(Protocol):
    """Whatever can take one step of the magnifier."""

    name: str
    """The model's name."""
    provider: str
    """What runs it: `cpu`, `cuda` ..."""
    metadata: dict[str, str]
    """What the model says about itself."""

    def step(
        self, image: Image, alpha: float, sections: Sections, state: State | None
    ) -> tuple[Image, State]:
        """Magnify one image."""
        ...


class OnnxEngine:
    """An exported graph on ONNX Runtime."""

    def __init__(self, model: bytes, *, source: str, provider: str, threads: int | None) -> None:
        if re.search(rb"(\x08|\x88\x80*\x00)location", model):  # as only outside weights need one
            raise ModelIncompatible(
                f"cannot use model {source!r}: its weights lie in another file; export it again"
            )
        self._session = _open(model, source, provider, threads)
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        _check(self._session, self.metadata, source)
        self.name = self.metadata["rtmag.model"]
        used = self._session.get_providers()[0]
        self.provider = next(k for k, v in providers.NAMES.items() if v == used)
        self._channels = int(self.metadata["rtmag.channels"])
        self._stride = int(self.metadata["rtmag.stride"])
        shape = self._session.get_inputs()[0].shape
        self.size: tuple[int, int] | None = None
        """(width, height) when the model was exported for one size only."""
        if isinstance(shape[0], int) and isinstance(shape[1], int):
            self.size = (shape[1], shape[0])

    def step(
        self, image: Image, alpha: float, sections: Sections, state: State | None
    ) -> tuple[Image, State]:
        """Magnify one image; see the module's description.

        Raises:
            ModelIncompatible: image or state do not fit the model or each other.
            ModelError: the runtime failed, for want of memory for example.
        """
        height, width = image.shape[:2]
        padded = self._pad(image)
        h, w = (side // self._stride for side in padded.shape[:2])
        expected = (1, 2 * len(sections) * self._channels, h, w)
        if state is None:
            memory = np.zeros(expected, np.float32)
        elif state.shape == expected:
            memory = state
        else:
            raise ModelIncompatible(f"model expects state {expected}, got {state.shape}")
        turned = alpha < 1
        if turned:
            alpha, sections, memory = 2 - alpha, _turned(sections), -memory
        out, memory = self._run(
            {
                "image": padded,
                "alpha": np.array(alpha, np.float32),
                "sections": sections,
                "reset": np.array(state is None, np.float32),
                "state": memory,
            }
        )
        return out[:height, :width], -memory if turned else memory

    def _run(self, inputs: dict[str, NDArray[Any]]) -> tuple[Image, State]:
        try:
            image, state = self._session.run(list(OUTPUTS), inputs)
        except Exception as error:  # onnxruntime's errors share no other base class
            raise ModelError(
                f"cannot run model {self.name!r} on {self.provider}: {_reason(error)}"
            ) from error
        return image, state

    def _pad(self, image: Image) -> Image:
        height, width = image.shape[:2]
        if self.size is not None and (width, height) != self.size:
            raise ModelIncompatible(
                f"model {self.name!r} was exported for {self.size[0]}x{self.size[1]}, "
                f"got {width}x{height}; give --size, or export without it"
            )
        down, right = (max(SMALLEST, -(-side // 4) * 4) - side for side in (height, width))
        if not down and not right:
            return np.ascontiguousarray(image)
        return np.asarray(cv2.copyMakeBorder(image, 0, down, 0, right, cv2.BORDER_REPLICATE))


def _open(model: bytes, source: str, provider: str, threads: int | None) -> Any:
    """A session; `auto` tries the best provider first and ends at the CPU."""
    if provider == "auto":
        *better, provider = providers.PREFERENCE
        for name in better:
            with suppress(ProviderUnavailable):
                return _open_on(name, model, source, threads)
    return _open_on(provider, model, source, threads)


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


def _check(session: Any, metadata: dict[str, str], source: str) -> None:
    """Refuse a model that does not keep the contract."""
    contract = metadata.get("rtmag.contract")
    if contract is None:
        raise ModelIncompatible(
            f"cannot use model {source!r}: not made by rtmag export (it has no rtmag metadata)"
        )
    if contract != CONTRACT:
        raise ModelIncompatible(
            f"cannot use model {source!r}: contract {contract}, this version needs {CONTRACT}; "
            "export it again"
        )
    for kind, expected, found in (
        ("inputs", INPUTS, session.get_inputs()),
        ("outputs", OUTPUTS, session.get_outputs()),
    ):
        given = {value.name: (value.type, len(value.shape)) for value in found}
        if given != expected:
            raise ModelIncompatible(
                f"cannot use model {source!r}: expected {kind} {_listed(expected)}, "
                f"got {_listed(given)}"
            )
    numbers = {key: metadata.get(f"rtmag.{key}", "") for key in ("channels", "stride")}
    wrong = [key for key, value in numbers.items() if not re.fullmatch("[1-9][0-9]{0,3}", value)]
    wrong += [] if metadata.get("rtmag.model") else ["model"]
    if wrong:
        raise ModelIncompatible(
            f"cannot use model {source!r}: no metadata {', '.join(wrong)}, or not as it should be"
        )


def _turned(sections: Sections) -> Sections:
    """The filter whose result is the opposite."""
    out = sections.copy()
    out[0, :3] *= -1
    return out


def _listed(values: dict[str, tuple[str, int]]) -> str:
    """Such as `image uint8 3-d`."""
    return ", ".join(f"{name} {kind[7:-1]} {rank}-d" for name, (kind, rank) in values.items())


def model_names() -> list[str]:
    """Models inside this package."""
    folder = resources.files("rtmag.realtime.models")
    return sorted(p.name[:-5] for p in folder.iterdir() if p.name.endswith(".onnx"))


def read_model(model: str | Path | None = None) -> tuple[bytes, str]:
    """The bytes of a model by name or path, and what to call it in messages.

    Raises:
        ModelIncompatible: no such model.
    """
    name = str(model or DEFAULT_MODEL)
    if name in model_names():
        inside = resources.files("rtmag.realtime.models") / f"{name}.onnx"
        return inside.read_bytes(), name
    try:
        return Path(name).read_bytes(), name
    except OSError as error:
        known = ", ".join(model_names()) or "none"
        raise ModelIncompatible(
            f"cannot load model {name!r}: no such file or model (inside the package: {known})"
        ) from error


def load_engine(
    model: str | Path | None = None, *, provider: str = "auto", threads: int | None = None
) -> OnnxEngine:
    """Load a magnifier.

    Args:
        model: Name of a model inside the package, path of an exported one, or None: the default.
        provider: `auto` takes the best that really opens; `cpu` or `cuda` that one or none.
        threads: CPU threads; None is one per usable core.

    Raises:
        ModelIncompatible: no such file, or not a model of this contract.
        ProviderUnavailable: the provider asked for does not open.
    """
    content, source = read_model(model)
    return OnnxEngine(content, source=source, provider=provider, threads=threads)
