"""Filters: the choice of the motion to magnify, by mode and frequency.

    mode                        b            a             output for the shape s
    Static()                    1, -1, 0     1, -1, 0      s - s(first frame)
    Dynamic()                   1, -1, 0     1,  0, 0      s - s(previous frame)
    Static(drift=f)             1, -1, 0     1, r-1, 0     s - slow average; r = 1 - exp(-2 pi f dt)
    Temporal(fl, fh, order)     Butterworth band-pass, fl to fh in hertz

b and a are the coefficients of a second-order section, see sections.py. A new mode needs a class
here and entries in `Mode` and `FILTERS`. This module does not import NumPy before coefficients are
computed, because `rtmag --help` reads the names of the modes.
"""

import cmath
import math
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

from rtmag.realtime.errors import OptionError

if TYPE_CHECKING:
    from rtmag.realtime.sections import Sections

Mode = Literal["static", "dynamic", "temporal"]

MODES: tuple[Mode, ...] = get_args(Mode)

Band = tuple[float, float]
"""Lower and upper edge, Hz."""

Unit = Literal["Hz", "bpm", "rpm"]

UNITS: tuple[Unit, ...] = get_args(Unit)

Coefficients = tuple[float, float, float, float, float]
"""b0, b1, b2, a1, a2 of one second-order section; a0 = 1."""

NYQUIST_SHARE = 0.98
"""Highest upper edge of a band that is cut or moved, as a share of half the frame rate."""

LOWEST_SHARE = 1 / 5000
"""Lowest middle of a band, sqrt(fl fh), as a share of the frame rate. Below it, rounding to float32
changes the filter by several per cent; at a sixth of it, a filter of order 2 diverges."""

_NARROWEST = 1.1
"""Smallest ratio of the edges of a band that is cut."""
_LONGEST_TURN = 1.3
"""Half the phase in rad by which the middle of a band may advance in one step: 0.41 of a period."""

_STIFFEST = 4.0
"""Largest pre-warped upper edge of a band for a long step; above it, noise would ring."""

_SHORTEST_STEP = 0.01
"""Shortest step relative to the usual one; for shorter ones the coefficients lose precision."""

_PER_HERTZ = {"hz": 1.0, "bpm": 60.0, "rpm": 60.0}

_NUMBER = r"(\d+(?:\.\d*)?|\.\d+)"

_BAND = re.compile(rf"\s*{_NUMBER}\s*[-\u2013]\s*{_NUMBER}\s*([a-z]*)\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Filter(ABC):
    """A filter over time, whose output is the motion to magnify. An immutable value."""

    mode: ClassVar[Mode]

    needs_rate: ClassVar[bool] = False
    """True if the filter depends on the frame rate: it then starts only when the rate is known, and
    its steps follow the times of the frames."""

    per_frame: ClassVar[bool] = False
    """True if the filter takes the difference between neighbouring frames: a frame that is equal to
    the last one, as in video of 30 frames per second stored as 60, then repeats its difference."""

    @abstractmethod
    def coefficients(self, fps: float) -> list[Coefficients]:
        """Coefficients of each section at this frame rate (1/s)."""

    @abstractmethod
    def follow(self, fps: float) -> float:
        """Share, 0 to 1, by which the reference becomes the present frame at each frame.

        Args:
            fps: frame rate in 1/s.
        """

    def sections(self, fps: float) -> "Sections":
        """Coefficients at this frame rate (1/s) as an array for an engine, (S, 5) float32.

        Raises:
            OptionError: as `check` does.
        """
        import numpy as np

        self.check(fps)
        return np.array(self.coefficients(fps), np.float32)

    def steps(self, fps: float, seconds: float) -> list[list[Coefficients]]:
        """Coefficients of the steps to a frame that comes `seconds` after the last one.

        Those of the frame are last. Each other entry stands for a step in which the last frame is
        held. Only filters that need the rate depend on `seconds`.
        """
        return [self.coefficients(fps)]

    def check(self, fps: float) -> None:
        """Check that the frame rate (1/s) can hold the band, if there is one.

        Raises:
            OptionError: the band is too high or too low for the frame rate.
        """
        if self.band is None:
            return
        fl, fh = self.band
        if not self.fits(fps):
            raise OptionError(
                f"the band {fl:.3g}-{fh:.3g} Hz needs more than {2 * fh:.4g} frames/s, and there "
                f"are {fps:.4g}: use a faster camera, a lower band, or a smaller --size on a "
                "slow machine; for slow motion, give --capture-fps, the rate of filming"
            )
        lowest = fps * LOWEST_SHARE
        if math.sqrt(fl * fh) < lowest:
            raise OptionError(
                f"the band {fl:.3g}-{fh:.3g} Hz is too low for {fps:.4g} frames/s: choose a band "
                f"above {lowest:.2g} Hz, or a lower frame rate"
            )

    def fitted(self, fps: float) -> "Filter":
        """This filter, or one whose band is cut to what the frame rate (1/s) can hold.

        Raises:
            OptionError: nothing of the band would remain.
        """
        return self

    def text(self, unit: Unit = "Hz") -> str:
        """Mode and parameters for display; a band is in this unit."""
        return str(self)

    @abstractmethod
    def described(self, unit: Unit = "Hz") -> str:
        """The motion that the filter selects, in words that follow 'motion'."""

    def fits(self, fps: float) -> bool:
        """True if the band, if there is one, is below half the frame rate (1/s)."""
        return self.band is None or self.band[1] < fps / 2

    def parameters(self) -> dict[str, float | None]:
        """Parameters of the filter, such as fl and fh, by name."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @property
    def band(self) -> Band | None:
        """Edges of the pass band in Hz; None if the filter has none."""
        return None

    @property
    def state_key(self) -> tuple[object, ...]:
        """Key that is equal for two filters if each can continue with the state of the other."""
        return (self,)


@dataclass(frozen=True, slots=True)
class Static(Filter):
    """Motion relative to a reference: the first frame, or a slow average of the frames so far.

    Raises:
        OptionError: `drift` is not a positive finite number.
    """

    mode: ClassVar[Mode] = "static"

    drift: float | None = None
    """Cut-off frequency of the slow average in Hz; slower changes of the picture are not magnified.
    None: the reference is always the first frame."""

    def __post_init__(self) -> None:
        if self.drift is not None and not (math.isfinite(self.drift) and self.drift > 0):
            raise OptionError(f"drift must be a positive number of hertz, got drift = {self.drift}")

    def coefficients(self, fps: float) -> list[Coefficients]:
        """One section; its pole is 1 without drift."""
        return [(1, -1, 0, self.follow(fps) - 1, 0)]

    def follow(self, fps: float) -> float:
        """0 without drift: the reference is the first frame."""
        return 1 - math.exp(-2 * math.pi * self.drift / fps) if self.drift else 0.0

    def described(self, unit: Unit = "Hz") -> str:
        """The motion that the filter selects."""
        return f"faster than {self.drift:g} Hz" if self.drift else "since the first frame"

    def __str__(self) -> str:
        return f"static, drift {self.drift:g} Hz" if self.drift else "static"


@dataclass(frozen=True, slots=True)
class Dynamic(Filter):
    """Motion since the previous frame: velocity."""

    mode: ClassVar[Mode] = "dynamic"
    per_frame: ClassVar[bool] = True

    def coefficients(self, fps: float) -> list[Coefficients]:
        """One section, the same at every frame rate."""
        return [(1, -1, 0, 0, 0)]

    def described(self, unit: Unit = "Hz") -> str:
        """The motion that the filter selects."""
        return "since the previous frame"

    def follow(self, fps: float) -> float:
        """1: the reference is the previous frame."""
        return 1.0

    def __str__(self) -> str:
        return "dynamic"


@dataclass(frozen=True, slots=True)
class Temporal(Filter):
    """Motion between two frequencies, by a causal Butterworth band-pass.

    The gain is 1 at sqrt(fl fh), about 0.7 at fl and fh, and 0 at 0 Hz.

    Raises:
        OptionError: not 0 < fl < fh, or an order other than 1 or 2.
    """

    mode: ClassVar[Mode] = "temporal"
    needs_rate: ClassVar[bool] = True

    fl: float
    """Lower edge, Hz."""
    fh: float
    """Upper edge, Hz; below half the frame rate."""
    order: int = 1
    """1: gentle edges, one section; 2: steeper edges, two sections and more delay."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.fl) and math.isfinite(self.fh) and 0 < self.fl < self.fh):
            raise OptionError(
                f"the edges of a band need 0 < fl < fh in hertz, got fl = {self.fl}, fh = {self.fh}"
            )
        if self.order not in (1, 2):
            raise OptionError(f"order must be 1 or 2, got order = {self.order}")

    @classmethod
    def of_band(cls, fl: float, fh: float, order: int | None = None) -> "Temporal":
        """Make the filter of a band in Hz.

        A narrow band selects one frequency among others. The gentle edges of order 1 let strong
        motion at a neighbouring frequency pass: with 36-38 Hz, order 1 and alpha 20, motion at
        20 Hz is shown 1.3 times larger. A wide band shows the waveform of a motion, which the steep
        edges of order 2 distort.

        Args:
            fl: lower edge, Hz.
            fh: upper edge, Hz.
            order: 1 or 2; None: 2 if the band is narrower than an octave, else 1.
        """
        return cls(fl, fh, order or (2 if fh < 2 * fl else 1))

    @classmethod
    def parse(cls, text: str, order: int | None = None) -> "Temporal":
        """Make the filter of a band given as text, see `parse_band`; `order` as in `of_band`.

        >>> Temporal.parse("48-72bpm")
        Temporal(fl=0.8, fh=1.2, order=2)
        """
        return cls.of_band(*parse_band(text), order)

    @property
    def band(self) -> Band:
        """Edges of the pass band, Hz."""
        return self.fl, self.fh

    @property
    def state_key(self) -> tuple[object, ...]:
        """Equal for bands of the same order."""
        return self.mode, self.order

    def coefficients(self, fps: float) -> list[Coefficients]:
        """Return one section per order, sorted so that the slowest decay is last.

        Each section is the bilinear transform of s b / (s^2 - 2 Re(p) s + |p|^2), where p is a pole
        of the analogue filter. The edges of that filter are pre-warped with tan. Each section has a
        zero at 0 Hz and one at half the frame rate, so each blocks a constant. The tests compare
        the result with scipy.signal, which is not used here because its import takes more than a
        second.
        """
        low, high = (math.tan(math.pi * f / fps) for f in (self.fl, self.fh))
        width, middle = high - low, low * high
        rows = sorted(
            (_section(pair, width) for pair in _poles(self.order, width, middle)),
            key=lambda row: row[4],
        )
        gain = abs(math.prod(row[0] for row in rows)) ** (1 / self.order)  # equal in all sections
        return [(gain, 0.0, -gain, a1, a2) for *_, a1, a2 in rows]

    def fitted(self, fps: float) -> "Temporal":
        """This filter, or one whose upper edge is cut to what the frame rate (1/s) can hold.

        Raises:
            OptionError: the lower edge is too high as well.
        """
        highest = NYQUIST_SHARE * fps / 2
        if self.fh < fps / 2 or self.fl * _NARROWEST > highest:
            self.check(fps)
            return self
        return replace(self, fh=highest)

    def text(self, unit: Unit = "Hz") -> str:
        """Mode and band for display."""
        return f"temporal {self._band_text(unit)}"

    def described(self, unit: Unit = "Hz") -> str:
        """The motion that the filter selects."""
        return f"of {self._band_text(unit)}"

    def _band_text(self, unit: Unit) -> str:
        scale = _PER_HERTZ[unit.lower()]
        return f"{self.fl * scale:.3g}-{self.fh * scale:.3g} {unit}"

    def steps(self, fps: float, seconds: float) -> list[list[Coefficients]]:
        """Integrate the analogue filter over the true interval by the trapezoidal rule.

        The rule is exact at one frequency w if its step is tan(w seconds / 2), whatever the steps
        before and after. Here w is the middle of the band. As tan diverges at half a period, the
        last frame is first held for as many usual intervals as a long step needs.
        """
        rows = self.coefficients(fps)
        low, high = (math.tan(math.pi * f / fps) for f in (self.fl, self.fh))
        turn = math.atan(math.sqrt(low * high))  # of the middle of the band, per usual interval
        longest = max(min(_LONGEST_TURN, math.atan(_STIFFEST / high * math.tan(turn))) / turn, 1.5)
        held = max(math.ceil(seconds * fps - longest), 0)
        last = min(turn * (seconds * fps - held), max(_LONGEST_TURN, turn))
        factor = max(math.tan(last) / math.tan(turn), _SHORTEST_STEP)
        return [rows] * held + [[_stretched(row, factor) for row in rows]]

    def follow(self, fps: float) -> float:
        """Share of the slow average that the lower edge takes out."""
        return 1 - math.exp(-2 * math.pi * self.fl / fps)

    def __str__(self) -> str:
        return self.text()


def _poles(order: int, width: float, middle: float) -> list[tuple[float, float]]:
    """Return the sum and the product of each conjugate pair of poles of the analogue band-pass.

    Each pole q of the low-pass prototype becomes the two roots p of p^2 - q width p + middle.
    Order 1: q = -1, and the two roots are one pair. Order 2: q = e^(j 3/4 pi), and each root is in
    another pair; the conjugate of q gives the conjugates of the roots.

    Args:
        order: 1 or 2.
        width: difference of the pre-warped edges.
        middle: product of the pre-warped edges.
    """
    if order == 1:
        return [(-width, middle)]
    q = cmath.exp(0.75j * math.pi) * width
    root = cmath.sqrt(q * q - 4 * middle)
    return [(2 * p.real, abs(p) ** 2) for p in ((q + root) / 2, (q - root) / 2)]


def _section(pair: tuple[float, float], width: float) -> Coefficients:
    """Return the section of a pair of analogue poles, given by their sum and product."""
    total, product = pair
    scale = 1 - total + product
    b = width / scale
    return b, 0.0, -b, 2 * (product - 1) / scale, (1 + total + product) / scale


def _stretched(row: Coefficients, factor: float) -> Coefficients:
    """Return the section of the same analogue filter for a step that is longer by this factor."""
    b0, _, _, a1, a2 = row
    unit = 1 - a1 + a2
    damping = 2 * (1 - a2) / unit * factor
    product = (1 + a1 + a2) / unit * factor**2
    scale = 1 + damping + product
    b = 4 * b0 / unit * factor / scale
    return b, 0.0, -b, 2 * (product - 1) / scale, (1 - damping + product) / scale


FILTERS: dict[Mode, Filter] = {
    "static": Static(),
    "dynamic": Dynamic(),
    "temporal": Temporal(0.4, 3.0),
}
"""Default filter of each mode."""


def parse_band(text: str) -> Band:
    """Edges in Hz of '0.8-1.2Hz', '0.8-1.2' (hertz), '48-72bpm' or '1200-1800rpm'.

    Spaces, upper case and an en dash are allowed.

    Raises:
        OptionError: the text is not a band, its unit is unknown, or not 0 < lower < upper.
    """
    match = _BAND.fullmatch(text)
    if match is None or (match[3] or "hz").lower() not in _PER_HERTZ:
        raise OptionError(
            f"a band is LOWER-UPPER with Hz, bpm or rpm, such as 0.8-1.2Hz or 48-72bpm, "
            f"got {text!r}"
        )
    scale = _PER_HERTZ[(match[3] or "hz").lower()]
    fl, fh = float(match[1]) / scale, float(match[2]) / scale
    if not 0 < fl < fh < float("inf"):
        raise OptionError(f"the edges of a band must be 0 < LOWER < UPPER, got {text!r}")
    return fl, fh


def band_unit(text: str) -> Unit:
    """The unit of a band given as text for `parse_band`."""
    return next((unit for unit in UNITS if text.strip().lower().endswith(unit.lower())), "Hz")


def format_band(fl: float, fh: float, unit: Unit = "Hz") -> str:
    """Format a band in Hz as text for `parse_band`, with six significant digits."""
    scale = _PER_HERTZ[unit.lower()]
    return f"{fl * scale:.6g}-{fh * scale:.6g}{unit}"


def as_filter(value: Filter | str | None) -> Filter:
    """Convert a value to a filter.

    Args:
        value: a filter; "static" or "dynamic"; a band such as "0.8-1.2Hz" or "48-72bpm", see
            `parse_band`; or None for `Static()`.

    Raises:
        OptionError: the value is none of these.

    >>> as_filter("0.4-3Hz")
    Temporal(fl=0.4, fh=3.0, order=1)
    """
    if value is None:
        return Static()
    if isinstance(value, Filter):  # users without a type checker may pass anything
        return value
    if isinstance(value, str):
        mode = next((each for each in FILTERS.values() if each.mode == value.strip().lower()), None)
        if mode is not None and mode.band is None:
            return mode
        if _BAND.fullmatch(value):
            return Temporal.parse(value)
    raise OptionError(
        "a filter is a Filter, 'static', 'dynamic' or a band such as '0.8-1.2Hz' or '48-72bpm', "
        f"got {value!r}"
    )
