"""Choice of an engine: motion scales, precisions, file types, and their names in options.

Importing this module loads no library, so the command line can list the names in `--help`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from rtmag.realtime.errors import ModelIncompatible, OptionError

AUTO = "auto"
"""Value of an option that leaves the choice to rtmag."""

ONNX, PROGRAM = ".onnx", ".pt2"
"""Suffixes of exported models: ONNX graphs, and PyTorch programs. Every other file is read as an
ONNX graph."""

MOTION_SCALES = {1.0: 1, 0.5: 2, 0.25: 4}
"""Factor by which the network's input is smaller than the frame, by motion scale."""


def scale_name(scale: float) -> str:
    """A motion scale as options spell it: 1, 1/2 or 1/4."""
    shrink = MOTION_SCALES[scale]
    return "1" if shrink == 1 else f"1/{shrink}"


def unsupported_scale(model: str, motion_scale: float) -> ModelIncompatible:
    """The error to raise when a model supports motion scale 1 only."""
    return ModelIncompatible(
        f"model {model!r} supports motion scale 1 only, because its network draws the picture; "
        f"got {motion_scale:g}"
    )


PrecisionName = Literal["auto", "fp32"]
"""Precisions that can be requested: see `rtmag.realtime.engines.loading.load_engine`."""

PRECISIONS: tuple[PrecisionName, ...] = get_args(PrecisionName)
"""The same at run time."""

FP32 = "fp32"
"""Everything is computed in float32."""

MIXED_FP16 = "fp32+fp16"
"""Texture and decoder in half precision: files of `rtmag export --precision fp16`."""

MIXED_BF16 = "fp32+bf16"
"""All but shape, filter and motion in bfloat16: OpenVINO on CPUs with bfloat16 instructions."""


def exported_precision(metadata: Mapping[str, str]) -> str:
    """The precision of an exported file; files without this metadata are float32."""
    return MIXED_FP16 if metadata.get("rtmag.precision") == "fp16" else FP32


def check_precision(metadata: Mapping[str, str], requested: str, source: str) -> None:
    """Refuse to run a half-precision file in float32.

    Raises:
        OptionError: float32 was requested for a file that was exported in half precision.
    """
    if requested == FP32 and exported_precision(metadata) != FP32:
        raise OptionError(
            f"{source!r} was exported with --precision fp16 and cannot run in fp32; "
            "export it again without --precision"
        )


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """The arguments of `load_engine`, to load an engine later or several times."""

    model: str | None = None
    """As in `load_engine`; `auto`: the most faithful model that is fast enough (run/adaptive.py).
    """
    engine: str = AUTO
    motion_scale: float | None = 1.0
    """None: the largest scale that is fast enough."""
    precision: str = AUTO
    threads: int | None = None
    unsafe: bool = False
    """Allow files that can run any code when they are opened."""
    compiled: bool = False
