"""The numbers that a network is computed with, as results of benchmarks tell them.

fp32        float32, all of it
fp32+fp16   texture and decoder in half precision, as exported by `rtmag export --precision fp16`
fp32+bf16   all but shape, filter and motion in bfloat16: OpenVINO, where the CPU multiplies it
"""

from collections.abc import Mapping
from typing import Literal, get_args

from rtmag.realtime.errors import ModelIncompatible, OptionError

EngineName = Literal["auto", "onnx", "openvino", "cuda", "torch", "tensorrt"]
"""See `rtmag.realtime.engines.loading.load_engine`."""

ENGINES: tuple[EngineName, ...] = get_args(EngineName)

MOTION_SCALES = {1.0: 1, 0.5: 2, 0.25: 4}
"""How many times smaller the picture is that the network sees."""


def scale_name(scale: float) -> str:
    """A motion scale as options spell it: 1, 1/2 or 1/4."""
    shrink = MOTION_SCALES[scale]
    return "1" if shrink == 1 else f"1/{shrink}"


def one_scale(model: str, motion_scale: float) -> ModelIncompatible:
    """What to raise where a model knows no motion scale but 1."""
    return ModelIncompatible(
        f"model {model!r} draws its pictures itself: no motion scale but 1, got {motion_scale:g}"
    )


PrecisionName = Literal["auto", "fp32"]
"""What may be asked of an engine: see `rtmag.realtime.engines.loading.load_engine`."""

PRECISIONS: tuple[PrecisionName, ...] = get_args(PrecisionName)

FP32, HALF, BFLOAT16 = "fp32", "fp32+fp16", "fp32+bf16"


def exported(metadata: Mapping[str, str]) -> str:
    """What a file was exported with; those that do not tell are of before there was a choice."""
    return HALF if metadata.get("rtmag.precision") == "fp16" else FP32


def check(metadata: Mapping[str, str], asked: str, source: str) -> None:
    """Refuse float32 of a file that has less.

    Raises:
        OptionError: as said.
    """
    if asked == "fp32" and exported(metadata) != FP32:
        raise OptionError(
            f"precision fp32 is not to be had of {source!r}, which was exported with "
            "--precision fp16; export it without"
        )


PROGRAM = ".pt2"

AUTO = "auto"
