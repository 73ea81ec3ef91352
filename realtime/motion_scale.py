"""Motion scales: sizes of the picture that the network sees, over that of the picture shown."""

MOTION_SCALES = {1.0: 1, 0.5: 2, 0.25: 4}
"""How many times smaller the picture is that the network sees."""


def scale_name(scale: float) -> str:
    """A motion scale as options spell it: 1, 1/2 or 1/4."""
    shrink = MOTION_SCALES[scale]
    return "1" if shrink == 1 else f"1/{shrink}"
