"""Motion scales: sizes of the picture that the network sees, over that of the picture shown."""

from rtmag.realtime.errors import ModelIncompatible

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
