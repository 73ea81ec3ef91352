"""What counts as motion: the temporal filters, each a few numbers for one recurrence.

The network's shape representation s(t) is linear in the image, so it can be filtered exactly. Every
mode is the same cascade of second-order sections per element of s, direct form II transposed:

    y = b0 s + z1 ;  z1' = b1 s - a1 y + z2 ;  z2' = b2 s - a2 y        (the next section takes y)

    mode                        b            a             y
    Static()                    1, -1, 0     1, -1, 0      s - s(first frame)
    Dynamic()                   1, -1, 0     1,  0, 0      s - s(previous frame)
    Static(drift=f)             1, -1, 0     1, r-1, 0     s - slow average; r = 1 - exp(-2 pi f dt)
    Temporal(fl, fh, order)     Butterworth band-pass, fl to fh in hertz

The first section of each blocks a constant (b0 + b1 + b2 = 0), so a reset sets its memory to
z1 = -b0 s, z2 = b2 s and y is 0 at once; further sections start from 0.

The memory of all elements is one array, (1, 2 S C, h, w): z1 and z2 of the first section, then of
the second, C channels each.
"""

import cmath
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtmag.realtime.errors import OptionError

Sections = NDArray[np.float32]
"""(S, 5): b0, b1, b2, a1, a2 of each second-order section; a0 = 1."""

State = NDArray[np.float32]
"""(1, 2 S C, h, w): z1 and z2 of every section, for every element of shape."""

THROUGH = np.array([[1, 0, 0, 0, 0]], np.float32)
"""A section that changes nothing, and remembers nothing: its memory stays 0."""


def _positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise OptionError(f"{name} must be a positive number of hertz, got {name} = {value}")


@dataclass(frozen=True, slots=True)
class Static:
    """Motion away from a reference: the first frame, or a slowly following average.

    Raises:
        OptionError: `drift` is not a positive finite number.
    """

    drift: float | None = None
    """Hertz below which motion is forgotten, so that slow changes do not pile up; None: never."""

    def __post_init__(self) -> None:
        if self.drift is not None:
            _positive("drift", self.drift)

    def check(self, fps: float) -> None:
        """Any frame rate will do."""

    def sections(self, fps: float) -> Sections:
        """Coefficients at this frame rate (1/s), (1, 5)."""
        keep = math.exp(-2 * math.pi * self.drift / fps) if self.drift else 1.0
        return np.array([[1, -1, 0, -keep, 0]], np.float32)

    def __str__(self) -> str:
        return f"static, drift {self.drift:g} Hz" if self.drift else "static"


@dataclass(frozen=True, slots=True)
class Dynamic:
    """Motion since the previous frame: velocity."""

    def check(self, fps: float) -> None:
        """Any frame rate will do."""

    def sections(self, fps: float) -> Sections:
        """Coefficients, the same at any frame rate, (1, 5)."""
        return np.array([[1, -1, 0, 0, 0]], np.float32)

    def __str__(self) -> str:
        return "dynamic"


@dataclass(frozen=True, slots=True)
class Temporal:
    """Motion between two frequencies, by a causal Butterworth band-pass.

    Its gain is 1 at sqrt(fl fh), about 0.7 at fl and fh, and 0 at rest.

    Raises:
        OptionError: not 0 < fl < fh, or an order other than 1 or 2.
    """

    fl: float
    """Lower edge, Hz."""
    fh: float
    """Upper edge, Hz; below half the frame rate."""
    order: int = 1
    """1: gentle edges, one section; 2: steeper, two sections and more delay."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.fl) and math.isfinite(self.fh) and 0 < self.fl < self.fh):
            raise OptionError(f"need 0 < fl < fh in hertz, got fl = {self.fl}, fh = {self.fh}")
        if self.order not in (1, 2):
            raise OptionError(f"order must be 1 or 2, got order = {self.order}")

    def check(self, fps: float) -> None:
        """Refuse a band that this frame rate cannot show.

        Raises:
            OptionError: `fh` is not below half of `fps`.
        """
        if not self.fh < fps / 2:
            raise OptionError(
                f"need 0 < fl < fh < fps/2, got fl = {self.fl:g}, fh = {self.fh:g}, "
                f"measured fps = {fps:.2f}; for slow-motion files give --capture-fps"
            )

    def sections(self, fps: float) -> Sections:
        """Coefficients at this frame rate (1/s), (order, 5).

        The bilinear transform of s b / (s^2 - 2 Re(p) s + |p|^2) per pole p of the analogue filter,
        with edges bent by tan so that they lie right. Each section has a zero at 0 Hz and one at
        half the frame rate, so every one blocks a constant. Closed, because scipy.signal, which
        the tests compare with, takes more than a second to load.
        """
        self.check(fps)
        low, high = (math.tan(math.pi * f / fps) for f in (self.fl, self.fh))
        width, middle = high - low, low * high
        rows = sorted((_section(p, width) for p in _poles(self.order, width, middle)), key=_decay)
        out = np.array(rows)
        out[:, :3] *= abs(np.prod(out[:, 0])) ** (1 / self.order) / out[:, :1]  # equal gains
        return out.astype(np.float32)

    def __str__(self) -> str:
        return f"temporal {self.fl:g}-{self.fh:g} Hz"


def _poles(order: int, width: float, middle: float) -> list[tuple[float, float]]:
    """Sum and product of each pair of poles, from those of the low-pass, e^(j 3/4 pi) of order 2.

    A pole q of it becomes the roots p of p^2 - q width p + middle, whose conjugates come from the
    conjugate of q: of order 1 they are a pair themselves.
    """
    if order == 1:
        return [(-width, middle)]
    q = cmath.exp(0.75j * math.pi) * width
    root = cmath.sqrt(q * q - 4 * middle)
    return [(2 * p.real, abs(p) ** 2) for p in ((q + root) / 2, (q - root) / 2)]


def _section(pair: tuple[float, float], width: float) -> tuple[float, float, float, float, float]:
    total, product = pair
    scale = 1 - total + product
    b = width / scale
    return b, 0.0, -b, 2 * (product - 1) / scale, (1 + total + product) / scale


def _decay(section: tuple[float, float, float, float, float]) -> float:
    """The slowest decay last, as is usual."""
    return section[4]


Filter = Static | Dynamic | Temporal


def turned(sections: Sections) -> Sections:
    """The filter whose result is the opposite."""
    out = sections.copy()
    out[0, :3] *= -1
    return out


def lengthened(sections: Sections, count: int) -> Sections:
    """The same filter in `count` sections."""
    return np.concatenate([sections, *[THROUGH] * (count - len(sections))]).astype(np.float32)


def rebase(state: State, old: Sections, new: Sections) -> State:
    """Carry the memory of a constant picture over to other coefficients, as many sections.

    Behind a constant s the first section holds z1 = -b0 s, z2 = b2 s. Under new coefficients those
    are other numbers; kept as they are, the whole picture would look like motion.
    """
    if old[0, 0] == new[0, 0]:
        return state
    out = np.array(state)
    out[:, : state.shape[1] // len(new)] *= new[0, 0] / old[0, 0]
    return out


def coast(before: State, after: State, sections: Sections, frames: int) -> State:
    """The memory of a band-pass after `frames` more frames like the last: for dropped frames.

    The last frame's shape follows from the memory before and after it, since
    z2' = b2 s - a2 (b0 s + z1). After a reset, `before` is `after` itself.
    """
    count = len(sections)
    b0, _, b2, _, a2 = sections[0]
    before, after = np.asarray(before), np.asarray(after)  # they may lie on another device
    z1, z2 = before.reshape(2 * count, -1)[0], after.reshape(2 * count, -1)[1]
    shape = (z2 + a2 * z1) / (b2 - a2 * b0)
    power = np.linalg.matrix_power(_transition(sections), frames)[1:].astype(np.float32)
    memory = power @ np.concatenate([shape[None], after.reshape(2 * count, -1)])
    return np.asarray(memory.reshape(after.shape), np.float32)


def _transition(sections: Sections) -> NDArray[np.float64]:
    """One frame of the cascade as a matrix on (s, z1, z2, ...); s stays what it is."""
    units = np.eye(1 + 2 * len(sections))
    rows, x = [units[0]], units[0]
    for (b0, b1, b2, a1, a2), z1, z2 in zip(sections, units[1::2], units[2::2], strict=True):
        y = b0 * x + z1
        rows += [b1 * x - a1 * y + z2, b2 * x - a2 * y]
        x = y
    return np.stack(rows)
