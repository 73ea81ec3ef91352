"""Options of the training script, and checks that need no other module."""

import math
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from rtmag.realtime.cli.options import MAX_COUNT
from rtmag.realtime.errors import OptionError
from rtmag.train.network.config import CONFIGS

_LENGTH, _SAMPLES, _LEARNING, _MACHINE, _VALIDATION = (
    "Length of the run", "Training samples", "Learning", "Machine", "Checkpoints and validation",
)  # fmt: skip

Out = Annotated[Path, Argument(help="Folder for everything the run writes; created if missing.")]

Model = Annotated[
    str | None,
    Option(
        help=f"Network to train: {', '.join(CONFIGS)}. "
        "Default: standard; with --resume, the network of the run.",
        rich_help_panel=_LEARNING,
    ),
]

Minutes = Annotated[
    float | None,
    Option(
        min=0,
        max=MAX_COUNT,
        help="Stop after this many minutes of training. Rendering the first scenes is not counted.",
        rich_help_panel=_LENGTH,
    ),
]

Steps = Annotated[
    int | None,
    Option(
        min=1, max=MAX_COUNT, help="Stop after this many training steps.", rich_help_panel=_LENGTH
    ),
]

Resume = Annotated[
    bool,
    Option(
        "--resume",
        help="Continue the run in OUT. --minutes and --steps count from its first start.",
        rich_help_panel=_LENGTH,
    ),
]

Init = Annotated[
    Path | None,
    Option(
        help="Run folder whose weights to start from; its network is the same or a smaller one.",
        rich_help_panel=_LEARNING,
    ),
]

Batch = Annotated[
    int | None,
    Option(
        min=1,
        max=MAX_COUNT,
        help="Samples per step and process. Default: 16; oh2018: 4.",
        rich_help_panel=_LEARNING,
    ),
]

Crop = Annotated[
    int,
    Option(
        min=32,
        max=4096,
        help="Width and height of a sample in pixels, a multiple of 16.",
        rich_help_panel=_LEARNING,
    ),
]

Lr = Annotated[
    float | None,
    Option(
        min=0,
        max=10,
        help="Learning rate of Adam. Default: 1e-3 with warm-up and cosine decay; "
        "oh2018: constant 1e-4.",
        rich_help_panel=_LEARNING,
    ),
]

Images = Annotated[
    Path | None,
    Option(
        help="Folder of photographs to make scenes of, with its subfolders; COCO and VOC work too. "
        "Default: ten photographs of scikit-image.",
        rich_help_panel=_SAMPLES,
    ),
]

Data = Annotated[
    Path | None,
    Option(
        help="Folder of the data set of Oh et al. 2018, to use in place of rendered scenes.",
        rich_help_panel=_SAMPLES,
    ),
]

Limit = Annotated[
    int | None,
    Option(
        min=1, max=MAX_COUNT, help="Use only the first samples of --data.", rich_help_panel=_SAMPLES
    ),
]

Pool = Annotated[
    Path | None,
    Option(
        help="Folder for rendered scenes; runs may share it one after the other. "
        "Default: OUT/pool.",
        rich_help_panel=_SAMPLES,
    ),
]

Capacity = Annotated[
    int,
    Option(
        min=8,
        max=MAX_COUNT,
        help="Scenes that the pool holds; new ones replace the oldest.",
        rich_help_panel=_SAMPLES,
    ),
]

Reuse = Annotated[
    float,
    Option(
        min=1,
        max=MAX_COUNT,
        help="Average number of uses of a rendered scene. 1: no pool, every sample is a new scene.",
        rich_help_panel=_SAMPLES,
    ),
]

Seed = Annotated[
    int,
    Option(
        min=0,
        max=MAX_COUNT,
        help="Seed of weights, scenes and their order.",
        rich_help_panel=_LEARNING,
    ),
]

Device = Annotated[
    str,
    Option(
        help="auto, cpu, cuda, cuda:1 ... auto is CUDA where available.", rich_help_panel=_MACHINE
    ),
]

Precision = Annotated[
    str,
    Option(
        help="auto, fp32 or bf16. auto is bf16 where the hardware supports it; motion is always "
        "estimated in fp32.",
        rich_help_panel=_MACHINE,
    ),
]

Compile = Annotated[
    bool,
    Option(
        "--compile",
        help="Compile the network: faster steps after about a minute; needs a C++ compiler.",
        rich_help_panel=_MACHINE,
    ),
]

Every = Annotated[
    float,
    Option(min=0, max=MAX_COUNT, help="Seconds between checkpoints.", rich_help_panel=_VALIDATION),
]

Validate = Annotated[
    list[Path] | None,
    Option(
        help="Video to magnify at intervals with the weights so far, into OUT/validation; "
        "may be repeated.",
        rich_help_panel=_VALIDATION,
    ),
]

ValidateEvery = Annotated[
    float,
    Option(min=0, max=MAX_COUNT, help="Minutes between validations.", rich_help_panel=_VALIDATION),
]


def check(
    model: str | None, minutes: float | None, steps: int | None, crop: int, lr: float | None,
    out: Path, resume: bool, init: Path | None,
) -> None:  # fmt: skip
    """Refuse impossible options before any work.

    Raises:
        OptionError: an option is out of range, options exclude each other, or `out` holds a run
            that is not to be resumed.
    """
    if model is not None and model not in CONFIGS:
        raise OptionError(f"model must be one of {', '.join(CONFIGS)}, got {model!r}")
    if minutes is None and steps is None:
        raise OptionError("the run needs an end: give --minutes or --steps")
    if minutes is not None and not (math.isfinite(minutes) and minutes > 0):
        raise OptionError(f"minutes must be a positive number, got {minutes}")
    if lr is not None and not (math.isfinite(lr) and lr > 0):
        raise OptionError(f"lr must be a positive number, got {lr}")
    if crop % 16 or crop < 32:
        raise OptionError(f"crop must be a multiple of 16 and at least 32, got {crop}")
    if resume and init is not None:
        raise OptionError("--resume continues with the run's own weights: leave out --init")
    if not resume and any((out / f"{n}.safetensors").exists() for n in ("resume", "model")):
        raise OptionError(
            f"{str(out)!r} holds a run already: continue it with --resume, or name another folder"
        )


def check_clips(clips: list[Path]) -> None:
    """Refuse validation clips that are missing, or whose results would overwrite each other.

    Raises:
        OptionError: a file is missing, or two files have the same name before the suffix.
    """
    for clip in clips:
        if not clip.is_file():
            raise OptionError(f"cannot validate with {str(clip)!r}: no such file")
    if len({clip.stem for clip in clips}) < len(clips):
        raise OptionError("cannot validate: two clips have the same name before the suffix")
