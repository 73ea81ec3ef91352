"""Controls: the values that keys, web pages and programs may change while a view runs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from rtmag.realtime.errors import OptionError
from rtmag.realtime.filters import (
    FILTERS,
    LOWEST_SHARE,
    MODES,
    NYQUIST_SHARE,
    Band,
    Filter,
    Mode,
    Static,
    Temporal,
    Unit,
)

Layout = Literal["magnified", "side", "split", "difference", "original"]
"""`magnified`: the magnified picture alone; `side`: the original left of the magnified picture;
`split`: one picture, original left of a border and magnified right of it; `difference`: magnified
minus original; `original`: the original alone."""

LAYOUTS: tuple[Layout, ...] = get_args(Layout)

ViewKind = Literal["window", "none"]

LiveViewKind = Literal["window", "web", "none"]

HIGHEST_ALPHA = 1000.0
"""Largest magnification, in both directions. Above it, the smallest noise fills the picture."""

_DIRECT_FIELDS = (
    "alpha", "layout", "wipe", "original", "motion_scale", "paused", "recording", "unit", "preset",
)  # fmt: skip
"""Fields that `change` sets directly."""

_LOWEST_HZ = 0.01
"""Lowest lower edge that keys and pages can set, in Hz: a period of 100 seconds."""

_HIGHEST_HZ = 1e5
"""Highest upper edge while the frame rate is not known, in Hz."""

_MIN_REGION_SIDE = 16
"""Smallest width and height of a region in pixels; in a smaller one no motion can be measured."""


@dataclass(slots=True)
class Controls:
    """The values that may change while a view runs."""

    alpha: float = 20.0
    filter: Filter = field(default_factory=Static)
    """Selects the motion to magnify. Replace it by another value to change mode or parameters."""
    preset: str | None = None
    """Name of the preset that the filter is from; None: the filter was set by hand. The band of a
    preset is cut if the frame rate is too low for it; a band set by hand is refused."""
    unit: Unit = "Hz"
    """Unit in which bands and frequencies are shown."""
    order: int | None = None
    """Order of every new band; None: chosen by its width, see `Temporal.of_band`."""
    fps: float | None = None
    """Measured frame rate in 1/s, which limits bands; None: not known yet."""
    layout: Layout = "magnified"
    wipe: float = 0.5
    """Layout 'split': position of the border, from 0, the left edge, to 1, the right one."""
    region: tuple[int, int, int, int] | None = None
    """Magnify only this part: x, y, width, height in pixels; None: the whole picture."""
    fixed_size: bool = False
    """True if the model works at one size only, so that a region is not possible."""
    motion_scale: float | None = None
    """Size at which motion is estimated, relative to the picture: 1, 1/2 or 1/4; None: cannot be
    changed."""
    paused: bool = False
    original: bool = False
    """True to show the original for comparison."""
    recording: bool = False
    """True to write a recording."""
    fullscreen: bool = False
    info: bool = True
    """True to show frame rate, latency, alpha and mode over the picture."""
    help: bool = False
    """True to show the keys over the picture."""
    quit: bool = False
    """True to end the run."""
    _filters: dict[Mode, Filter] = field(
        default_factory=lambda: dict(FILTERS), init=False, repr=False, compare=False
    )
    """Last filter of each other mode. The entry of the present mode is not used: see `filter`."""

    @property
    def band(self) -> Band:
        """Band of the temporal mode in Hz; in other modes, the last band used."""
        parameters = self._parameters()
        return parameters["fl"], parameters["fh"]

    @property
    def shown(self) -> Layout:
        """Layout to show: the original during a comparison."""
        return "original" if self.original else self.layout

    def set_mode(self, mode: Mode) -> None:
        """Change the mode; the parameters are those that were last used in this mode."""
        if mode != self.filter.mode:
            self._filters[self.filter.mode] = self.filter
            self.filter = self._filters[mode]
            self.preset = None

    def next_mode(self) -> None:
        """Change to the next mode; the first mode follows the last one."""
        self.set_mode(MODES[(MODES.index(self.filter.mode) + 1) % len(MODES)])

    def set_band(self, fl: float, fh: float) -> None:
        """Use a band in Hz; both edges are scaled if it is too high or low for the frame rate."""
        highest = NYQUIST_SHARE * self.fps / 2 if self.fps is not None else _HIGHEST_HZ
        lowest = max(_LOWEST_HZ, self.fps * LOWEST_SHARE if self.fps is not None else 0.0)
        lowest = min(lowest, highest / 2)
        factor = max(min(1.0, highest / fh), lowest / fl if fl < lowest else 0.0)
        fl, fh = fl * factor, min(fh * factor, highest)
        self.set_mode("temporal")
        self.preset = None
        self.filter = Temporal.of_band(fl, fh, self.order)

    def set_filter(self, filter: Filter) -> None:
        """Use a filter as it is, such as that of a preset."""
        self.set_mode(filter.mode)
        self.filter = filter

    def set_order(self, order: int | None) -> None:
        """Use this order for the present band and all later ones; None: chosen by the width."""
        self.order = order
        self._replace_filter(Temporal.of_band(*self.band, order))

    def set_region(self, region: tuple[int, int, int, int] | None) -> None:
        """Magnify only this region; the whole picture if it is too small, or the size is fixed."""
        fits = region is not None and min(region[2:]) >= _MIN_REGION_SIDE and not self.fixed_size
        self.region = region if fits else None

    def scale_alpha(self, factor: float) -> None:
        """Multiply alpha, at most up to `HIGHEST_ALPHA`; a size below 0.1 is first set to 0.1."""
        size = min(max(abs(self.alpha), 0.1) * factor, HIGHEST_ALPHA)
        self.alpha = -size if self.alpha < 0 else size

    def next_layout(self) -> None:
        """Use the next layout; the first one follows the last one."""
        self.layout = LAYOUTS[(LAYOUTS.index(self.layout) + 1) % len(LAYOUTS)]

    def settings(self) -> dict[str, Any]:
        """Values for the web page, including the mode and the parameters of all filters."""
        values = {name: getattr(self, name) for name in (*_DIRECT_FIELDS, "region")}
        return {**values, "mode": self.filter.mode, **self._parameters()}

    def change(self, values: Mapping[str, Any]) -> None:
        """Set values that were validated before.

        Args:
            values: by the names in `settings`, or `band`: (fl, fh) in Hz, or `filter`: a Filter.
        """
        for name, value in values.items():
            match name:
                case "mode":
                    self.set_mode(value)
                case "band":
                    self.set_band(*value)
                case "filter":
                    self.set_filter(value)
                case "region":
                    self.set_region(value)
                case "order":
                    self.set_order(value)
                case "motion_scale" if self.motion_scale is None:
                    pass
                case _ if name in _DIRECT_FIELDS:
                    setattr(self, name, value)
                case _:
                    self._set_parameter(name, value)

    def _set_parameter(self, name: str, value: object) -> None:
        """Set a parameter of each filter that has it, whether in use or not."""
        for each in self._all_filters():
            if name in each.parameters():
                self._replace_filter(replace(each, **{name: value}))

    def _replace_filter(self, filter: Filter) -> None:
        """Replace the filter of the same mode, whether in use or not."""
        if filter.mode == self.filter.mode:
            self.filter = filter
        else:
            self._filters[filter.mode] = filter

    def _all_filters(self) -> list[Filter]:
        """The filter of each mode; the present one is last."""
        others = [each for each in self._filters.values() if each.mode != self.filter.mode]
        return [*others, self.filter]

    def _parameters(self) -> dict[str, Any]:
        """Parameters of all filters by name; those of the present filter have priority."""
        return {
            name: value for each in self._all_filters() for name, value in each.parameters().items()
        }


def checked_alpha(alpha: float) -> float:
    """Return alpha; a value beyond `HIGHEST_ALPHA`, in either direction, is reduced to it.

    Raises:
        OptionError: alpha is not finite.
    """
    if not math.isfinite(alpha):
        raise OptionError(f"alpha must be a finite number, got alpha = {alpha}")
    return max(-HIGHEST_ALPHA, min(float(alpha), HIGHEST_ALPHA))


def alpha_notes(alpha: float) -> list[str]:
    """Messages about the requested alpha that its user may not expect; empty for usual values."""
    used = checked_alpha(alpha)
    notes = []
    if used != alpha:
        notes.append(f"alpha {alpha:.3g} is more than the models support: alpha is {used:g}")
    if used < 0:
        notes.append(f"alpha {used:g} is negative: motion is shown reversed, {-used:g} times")
    return notes
