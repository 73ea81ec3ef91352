"""Thumbnails: pictures of 64 x 48 cells, in which whole scenes are compared.

Two questions are answered apart, because light and structure change independently:

    exposure   factor of the light, the median over the cells; a person in the picture has no part
    found      share of the picture that is found again nearby; light and hand-held shake do not
               lower it, because each block is normalised and searched for within four cells
"""

from functools import cache, cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.frame import Image
from rtmag.realtime.opencv import cv2

Cells = NDArray[np.float32]

_SAMPLED = (192, 144)
"""(width, height) to which larger pictures are sampled first: the cost is that of 640 x 480."""

_SIZE = (64, 48)

_COARSE = (16, 12)
"""(width, height) of the cells that light is compared in."""

_BLOCKS = (4, 3)
"""Blocks across and down that structure is compared in."""

_REACH = 4
"""Cells in each direction within which a block is searched for: 40 px in a picture 640 px wide."""

_FOUND = 0.7
"""Correlation from which a block counts as found. Continuous clips, shake of 20 px at 2 Hz and
noise of 25 grey levels kept at least two thirds of the blocks above it; 95 % of 756 pairs of
different scenes kept at most one third."""

_TEXTURED = 2.5
"""Standard deviation in grey levels from which a block has a structure to compare."""

_UNIFORM = 1.7
"""Standard deviation below which every block of a uniform picture is: noise alone that is near
`_TEXTURED` must not make a picture look uniform now and then."""

_LEAST_CHANGED = 4
"""Blocks of 12 that have to change before the scene as a whole counts as another one."""

_SAME = 0.9
"""Correlation of two whole thumbnails from which blocks need not be compared."""

_DARK, _SATURATED = 16.0, 250.0
"""Grey levels below and above which a cell shows no change of light."""

_OFFSET = 8.0
"""Grey levels added before ratios are taken, so that noise in the dark is no change of light."""


class Thumbnail:
    """Cells of one picture.

    Args:
        grey: (48, 64) smoothed grey levels.
        colour: (12, 16, 3) BGR.
    """

    def __init__(self, grey: Cells, colour: Cells) -> None:
        self.grey, self.colour = grey, colour

    @classmethod
    def of(cls, image: Image) -> "Thumbnail":
        """Make the thumbnail of a picture (H, W, 3)."""
        if image.shape[1] > _SAMPLED[0] and image.shape[0] > _SAMPLED[1]:
            image = np.asarray(cv2.resize(image, _SAMPLED, interpolation=cv2.INTER_LINEAR))
        cells = cv2.resize(image, _SIZE, interpolation=cv2.INTER_AREA)
        # Without the smoothing, a shift by half a cell would change fine textures completely.
        grey = cv2.GaussianBlur(
            cv2.cvtColor(cells, cv2.COLOR_BGR2GRAY).astype(np.float32), (3, 3), 0
        )
        coarse = cv2.resize(cells, _COARSE, interpolation=cv2.INTER_AREA)
        return cls(np.asarray(grey), np.asarray(coarse, np.float32))

    def mixed(self, other: "Thumbnail", share: float) -> "Thumbnail":
        """Return a thumbnail between this one (share 0) and another one (share 1)."""
        if share == 0:
            return self
        if share == 1:
            return other
        return Thumbnail(
            self.grey + np.float32(share) * (other.grey - self.grey),
            self.colour + np.float32(share) * (other.colour - self.colour),
        )

    @cached_property
    def contrasts(self) -> list[float]:
        """Standard deviation of each block in grey levels."""
        return [float(cv2.meanStdDev(self.grey[block])[1][0, 0]) for block in _inner()]

    @property
    def uniform(self) -> bool:
        """True if no block has a structure, and noise is far from looking like one."""
        return max(self.contrasts) < _UNIFORM

    @cached_property
    def _unit(self) -> NDArray[np.float32]:
        """Grey levels as a vector of mean 0 and length 1."""
        centred = (self.grey - self.grey.mean()).ravel()
        return np.asarray(centred / max(float(np.linalg.norm(centred)), 1e-6), np.float32)

    def correlation(self, other: "Thumbnail") -> float:
        """Return the correlation of the grey levels, -1 to 1."""
        return float(self._unit @ other._unit)

    def found(self, other: "Thumbnail") -> float:
        """Return the share of the structure of both thumbnails that is found in both, 0 to 1.

        A block without structure in both is left out. The share is 1 if too few blocks differ for
        a change of the whole scene, such as between two uniform pictures.
        """
        if self.correlation(other) > _SAME:
            return 1.0
        compared = found = 0
        blocks = zip(_inner(), _outer(), self.contrasts, other.contrasts, strict=True)
        for inner, outer, mine, theirs in blocks:
            if max(mine, theirs) >= _TEXTURED:
                compared += 1
                found += (
                    min(mine, theirs) >= _TEXTURED and _best(self, other, inner, outer) > _FOUND
                )
        return 1.0 if compared - found < _LEAST_CHANGED else found / compared

    def exposure(self, other: "Thumbnail") -> Cells:
        """Return the logarithm of the factor of the light from this picture to another, (3,)."""
        brighter = np.maximum(self._brightness, other._brightness)
        lit = (brighter >= _DARK) & (brighter < _SATURATED)
        ratios = other._light - self._light
        if lit.any():
            ratios = ratios[:, lit]
        return np.asarray(np.sort(ratios, axis=1)[:, ratios.shape[1] // 2])  # the median

    def cell_light(self) -> Cells:
        """Return the logarithm of the light of each cell, (12, 16), from all its colours."""
        return np.asarray(self._light.mean(axis=0)).reshape(_COARSE[::-1])

    @cached_property
    def _light(self) -> Cells:
        """Logarithm of the light of each cell, (3, 192)."""
        return np.asarray(np.log(self.colour.reshape(-1, 3).T + np.float32(_OFFSET)))

    @cached_property
    def _brightness(self) -> Cells:
        """Grey level of the brightest channel of each cell, (192,)."""
        return np.asarray(self.colour.max(axis=2)).ravel()


def _best(a: Thumbnail, b: Thumbnail, inner: Any, outer: Any) -> float:
    """Return the largest correlation of a block of `a` with the places around it in `b`."""
    scores = cv2.matchTemplate(b.grey[outer], a.grey[inner], cv2.TM_CCOEFF_NORMED)
    return float(scores.max())


@cache
def _inner() -> list[tuple[slice, slice]]:
    """Return the rows and columns of each block."""
    width, height = _SIZE
    xs = np.linspace(_REACH, width - _REACH, _BLOCKS[0] + 1).astype(int).tolist()
    ys = np.linspace(_REACH, height - _REACH, _BLOCKS[1] + 1).astype(int).tolist()
    rows, columns = (list(map(slice, at, at[1:])) for at in (ys, xs))
    return list(product(rows, columns))


@cache
def _outer() -> list[tuple[slice, slice]]:
    """Return the rows and columns within which each block is searched for."""
    return [
        (slice(y.start - _REACH, y.stop + _REACH), slice(x.start - _REACH, x.stop + _REACH))
        for y, x in _inner()
    ]
