"""Pictures for the quality benchmark that training never sees.

Photographs are those that train.data.textures sets apart (HELD_OUT), and matplotlib's portrait of
Grace Hopper (public domain). Three more are drawn by code that training does not use: cracked
earth, a brick wall, and tree rings. A test checks that benchmark and training share no pictures.
"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from rtmag.train.data.textures import HELD_OUT, bundled_photographs, read_picture

Picture = NDArray[np.uint8]
SIDE = 512  # px of every picture


def hopper() -> Picture:
    """Rear Admiral Grace Hopper, from matplotlib's sample data."""
    import matplotlib

    return read_picture(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg")


def earth() -> Picture:
    """Cracked earth: the distance between the nearest two of many points."""
    rng = np.random.default_rng(11)
    y, x = np.mgrid[:SIDE, :SIDE]
    away, owner = cKDTree(rng.uniform(0, SIDE, (170, 2))).query(np.stack([x, y], -1), k=2)
    shade = rng.uniform(0.5, 1.0, 170)[owner[..., 0]]
    crack = np.clip((away[..., 1] - away[..., 0]) / 5, 0, 1)
    grain = cv2.GaussianBlur(rng.standard_normal((SIDE, SIDE)).astype(np.float32), (0, 0), 1.0)
    light = np.clip(shade * crack + 0.12 * grain, 0, 1)[..., None]
    return np.asarray(light * np.array([110, 160, 205]) + 15, np.uint8)


def bricks() -> Picture:
    """A brick wall with bricks of different colours and rough mortar."""
    rng = np.random.default_rng(12)
    image = np.full((SIDE, SIDE, 3), (168, 176, 180), np.float32)
    height, width, joint = 34, 88, 6
    for row in range(SIDE // height + 1):
        for column in range(-1, SIDE // width + 1):
            x = column * width + (row % 2) * width // 2
            colour = np.array([60, 80, 150]) * rng.uniform(0.6, 1.3)
            corner = (x + width - joint, row * height + height - joint)
            cv2.rectangle(image, (x, row * height), corner, colour.tolist(), -1, cv2.LINE_AA)
    for blur, depth in ((0.8, 22.0), (4.0, 60.0)):
        noise = cv2.GaussianBlur(rng.standard_normal((SIDE, SIDE, 1)), (0, 0), blur)
        image += depth * noise[..., None]
    return np.asarray(image.clip(0, 255), np.uint8)


def rings() -> Picture:
    """A sawn trunk: uneven rings around an off-centre point, and a few cracks."""
    rng = np.random.default_rng(13)
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    angle = np.arctan2(y - 210, x - 300)
    radius = np.hypot(y - 210, x - 300) * (1 + 0.05 * np.cos(3 * angle) + 0.03 * np.sin(5 * angle))
    walk = np.cumsum(rng.uniform(0.15, 0.75, SIDE))
    phase = np.interp(radius, np.arange(SIDE), walk)
    light = 0.62 + 0.3 * np.cos(phase) * (0.6 + 0.4 * np.cos(phase / 7))
    light -= 0.5 * (np.abs(np.sin(angle * 2.5 + 0.02 * radius)) < 0.012)
    grain = cv2.GaussianBlur(rng.standard_normal((SIDE, SIDE)).astype(np.float32), (0, 0), 0.9)
    light = np.clip(light + 0.05 * grain, 0, 1)[..., None]
    return np.asarray(light * np.array([95, 150, 205]) + 20, np.uint8)


PROCEDURAL = (earth, bricks, rings)


def pictures() -> dict[str, Picture]:
    """Every picture, (512, 512, 3) BGR, by name."""
    photographs = dict(
        zip((n.partition(".")[0] for n in HELD_OUT), bundled_photographs(HELD_OUT), strict=True)
    )
    photographs["hopper"] = hopper()
    return {name: _square(p) for name, p in photographs.items()} | {
        draw.__name__: draw() for draw in PROCEDURAL
    }


def _square(picture: Picture) -> Picture:
    """Cut out the middle square and resize it to SIDE px."""
    height, width = picture.shape[:2]
    side = min(height, width)
    y, x = (height - side) // 2, (width - side) // 2
    cut = picture[y : y + side, x : x + side]
    method = cv2.INTER_AREA if side > SIDE else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(cut, (SIDE, SIDE), interpolation=method), np.uint8)
