"""The training script's options, and what cannot be asked of it."""

import math
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from rtmag.realtime.errors import OptionError
from rtmag.train.network.config import CONFIGS

Out = Annotated[Path, Argument(help="Folder of the run; made if missing.")]

Model = Annotated[str, Option(help=f"One of {', '.join(CONFIGS)}.")]

Minutes = Annotated[float | None, Option(help="Stop after this long.")]

Steps = Annotated[int | None, Option(min=1, help="Stop after so many steps.")]

Resume = Annotated[bool, Option("--resume", help="Go on where OUT stopped.")]

Init = Annotated[
    Path | None, Option(help="Start from this run's weights, of the same network or a smaller one.")
]

Batch = Annotated[int | None, Option(min=1, help="Samples per step and process.")]

Crop = Annotated[int, Option(help="Side of a sample in pixels, a multiple of 16.")]

Lr = Annotated[float | None, Option(help="Adam's step: 1e-3 and a cosine; oh2018 1e-4.")]

Images = Annotated[Path | None, Option(help="Photographs for the scenes (a folder, COCO, VOC).")]

Data = Annotated[Path | None, Option(help="The published data set, in place of synthesis.")]

Limit = Annotated[int | None, Option(min=1, help="Use only so many samples of --data.")]

Pool = Annotated[Path | None, Option(help="Folder of rendered scenes.", show_default="OUT/pool")]

Capacity = Annotated[int, Option(min=8, help="Scenes the pool holds.")]

Reuse = Annotated[float, Option(min=1, help="Uses of a rendered scene; 1: every batch anew.")]

Seed = Annotated[int, Option(min=0, help="Seed of weights, scenes and order.")]

Device = Annotated[str, Option(help="auto, cpu, cuda, cuda:1 ...")]

Precision = Annotated[str, Option(help="auto, fp32 or bf16.")]

Compile = Annotated[
    bool, Option("--compile", help="Faster steps after a minute of compiling; needs C++.")
]

Every = Annotated[float, Option(min=0, help="Seconds between checkpoints.")]

Validate = Annotated[
    list[Path] | None, Option(help="Real clip to magnify at intervals; repeatable.")
]

ValidateEvery = Annotated[float, Option(min=0, help="Minutes between validations.")]


def check(
    model: str, minutes: float | None, steps: int | None, crop: int, lr: float | None,
    out: Path, resume: bool, init: Path | None,
) -> None:  # fmt: skip
    """Refuse what cannot be carried out, before any work."""
    if model not in CONFIGS:
        raise OptionError(f"model must be one of {', '.join(CONFIGS)}, got {model!r}")
    if minutes is None and steps is None:
        raise OptionError("need --minutes or --steps, to know when to stop")
    if minutes is not None and not (math.isfinite(minutes) and minutes > 0):
        raise OptionError(f"minutes must be a positive number, got {minutes}")
    if lr is not None and not (math.isfinite(lr) and lr > 0):
        raise OptionError(f"lr must be a positive number, got {lr}")
    if crop % 16 or crop < 32:
        raise OptionError(f"crop must be a multiple of 16 and at least 32, got {crop}")
    if resume and init is not None:
        raise OptionError("--resume goes on with the run's own weights: leave out --init")
    if not resume and any((out / f"{n}.safetensors").exists() for n in ("resume", "model")):
        raise OptionError(f"{str(out)!r} holds a run already; --resume continues it")


def check_clips(clips: list[Path]) -> None:
    """Refuse clips that are missing, or whose results would overwrite each other."""
    for clip in clips:
        if not clip.is_file():
            raise OptionError(f"cannot validate with {str(clip)!r}: no such file")
    if len({clip.stem for clip in clips}) < len(clips):
        raise OptionError("cannot validate: clips need names that differ before the suffix")
