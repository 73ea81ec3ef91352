"""Controls: the values that keys, web pages and programs may change while a view runs."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, Literal, NamedTuple, get_args

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

Layout = Literal["magnified", "side", "split", "difference", "map", "original"]
"""`magnified`: the magnified picture alone; `side`: the original left of the magnified picture;
`split`: one picture, original left of a border and magnified right of it; `difference`: magnified
minus original; `map`: the original with the amplitude of the motion in colours; `original`: the
original alone."""

LAYOUTS: tuple[Layout, ...] = get_args(Layout)

ViewKind = Literal["window", "none"]

LiveViewKind = Literal["window", "web", "none"]

HIGHEST_ALPHA = 1000.0
"""Largest magnification, in both directions. Above it, the smallest noise fills the picture."""

_DIRECT_FIELDS = (
    "alpha", "layout", "wipe", "original", "motion_scale", "paused", "recording", "unit", "preset",
    "mm_per_px", "finding",
)  # fmt: skip
"""Fields that `change` sets directly."""

_LOWEST_HZ = 0.01
"""Lowest lower edge that keys and pages can set, in Hz: a period of 100 seconds."""

_HIGHEST_HZ = 1e5
"""Highest upper edge while the frame rate is not known, in Hz."""

MIN_REGION_SIDE = 16
"""Smallest width and height of a region in pixels; in a smaller one no motion can be measured."""

SPEEDS = (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0)
"""Speeds of playback that keys select; a page may set any speed between the first and the last."""

COLOURS = ("#ffb000", "#2ec4ff", "#ff5fa2", "#7ddc5b", "#c79bff", "#ff7a3d", "#40e0c0", "#e8e337")
"""Colours of measured regions by their position in the list, as #rrggbb."""


class NamedRegion(NamedTuple):
    """A part of the picture whose motion is measured."""

    name: str
    box: tuple[int, int, int, int]
    """x, y, width, height in pixels."""


@dataclass(slots=True)
class Playback:
    """Playback of a file. All times are in seconds after its first frame."""

    duration: float
    """End of the last frame."""
    position: float = 0.0
    """Time of the last frame that was read; set by the source."""
    target: float | None = None
    """Position to jump to; set by `seek`. The source sets it to None once the frame is read."""
    steps: int = 0
    """Number of single frames to read while paused; set by `step`, reduced by the source."""
    speed: float = 1.0
    """Seconds of the file per second, from the first to the last of `SPEEDS`."""
    start: float | None = None
    """Time at which the played part begins; None: the first frame."""
    end: float | None = None
    """Time at which the played part ends; None: the end of the file."""
    complete: bool = False
    """True to show every frame, as slowly as that takes; False to keep the pace."""
    fps: float | None = None
    """Usual number of frames per second of the file; None: unknown."""
    loop: bool = True
    """True to begin again at the end of the played part; False to pause there."""

    def seek(self, position: float) -> None:
        """Jump to the frame that is shown at this time, which may be outside the played part."""
        self.target = min(max(position, 0.0), self.duration)
        self.steps = 0

    def skip(self, seconds: float) -> None:
        """Jump forward, or back if negative, from the position that was requested last."""
        self.seek((self.position if self.target is None else self.target) + seconds)

    def step(self, frames: int) -> None:
        """Show the next frame, or the one before if `frames` is negative, while paused."""
        self.steps = frames

    def set_speed(self, speed: float) -> None:
        """Change the speed, within the range of `SPEEDS`."""
        self.speed = min(max(speed, SPEEDS[0]), SPEEDS[-1])

    def set_start(self, start: float | None) -> None:
        """Change the beginning of the played part; an end that is not later is removed."""
        self.start = None if start is None or start <= 0 else min(start, self.duration)
        if self.start is not None and self.end is not None and self.end <= self.start:
            self.end = None

    def set_end(self, end: float | None) -> None:
        """Change the end of the played part; a beginning that is not earlier is removed."""
        self.end = None if end is None or end >= self.duration else max(end, 0.0)
        if self.start is not None and self.end is not None and self.end <= self.start:
            self.start = None

    def settings(self) -> dict[str, Any]:
        """Values for the web page, by the names that `change` takes."""
        return {name: getattr(self, name) for name in ("speed", "start", "end", "loop")}

    def change(self, values: Mapping[str, Any]) -> None:
        """Set those of the values that are in `PLAYBACK_FIELDS`; they were validated before."""
        setters: dict[str, Callable[[Any], None]] = {
            "speed": self.set_speed, "start": self.set_start, "end": self.set_end,
            "position": self.seek, "step": self.step,
        }  # fmt: skip
        for name, value in values.items():
            if name in setters:
                setters[name](value)
        self.loop = values.get("loop", self.loop)


PLAYBACK_FIELDS = frozenset({"speed", "start", "end", "loop", "position", "step"})
"""Names that `Playback.change` takes: its settings, a `position` in seconds, a `step` in frames."""


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
    regions: tuple[NamedRegion, ...] = ()
    """Parts whose motion is measured. Number k has colour number k of `COLOURS`."""
    mm_per_px: float | None = None
    """Millimetres of the scene per pixel, for measured motion; None: unknown."""
    finding: bool = False
    """True to search for what moves; the run sets it to False when the search has ended."""
    auto_band: bool = False
    """True to use the band of the first line that the first search finds."""
    fixed_size: bool = False
    """True if the model works at one size only, so that a region is not possible."""
    motion_scale: float | None = None
    """Size at which motion is estimated, relative to the picture: 1, 1/2 or 1/4; None: cannot be
    changed."""
    paused: bool = False
    playback: Playback | None = None
    """Playback of a file that is shown like a live source; None: the source cannot be played."""
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
        fits = region is not None and min(region[2:]) >= MIN_REGION_SIDE and not self.fixed_size
        self.region = region if fits else None

    def set_regions(self, regions: Iterable[NamedRegion]) -> None:
        """Measure these regions; those that are too small, and more than `COLOURS`, are left out.

        A region without a name, or with that of an earlier one, gets the lowest free number.
        """
        fitting = [each for each in regions if min(each.box[2:]) >= MIN_REGION_SIDE]
        fitting = fitting[: len(COLOURS)]
        free = (str(n) for n in count(1) if str(n) not in {each.name for each in fitting})
        taken, named = {""}, []
        for each in fitting:
            named.append(each._replace(name=next(free)) if each.name in taken else each)
            taken.add(each.name)
        self.regions = tuple(named)

    def check_regions(self, size: tuple[int, int]) -> None:
        """Check that all regions are in pictures of (width, height) pixels, at least in part.

        Raises:
            OptionError: fewer than `MIN_REGION_SIDE` columns or rows of a region are in them.
        """
        magnified = [] if self.region is None else [self.region]
        for x, y, w, h in (*magnified, *(each.box for each in self.regions)):
            if (
                min(x + w, size[0]) - x < MIN_REGION_SIDE
                or min(y + h, size[1]) - y < MIN_REGION_SIDE
            ):
                raise OptionError(
                    f"the region {x},{y},{w},{h} is outside the picture of {size[0]}x{size[1]}: "
                    f"at least {MIN_REGION_SIDE}x{MIN_REGION_SIDE} pixels must be inside"
                )

    def scale_alpha(self, factor: float) -> None:
        """Multiply alpha, at most up to `HIGHEST_ALPHA`; a size below 0.1 is first set to 0.1."""
        size = min(max(abs(self.alpha), 0.1) * factor, HIGHEST_ALPHA)
        self.alpha = -size if self.alpha < 0 else size

    def next_layout(self) -> None:
        """Use the next layout; the first one follows the last one."""
        self.layout = LAYOUTS[(LAYOUTS.index(self.layout) + 1) % len(LAYOUTS)]

    def settings(self) -> dict[str, Any]:
        """Values for the web page, including the mode and the parameters of all filters.

        While a file is played, `speed`, `start`, `end` and `loop` are included.
        """
        values = {name: getattr(self, name) for name in (*_DIRECT_FIELDS, "region")}
        values["regions"] = [region._asdict() for region in self.regions]
        values |= {} if self.playback is None else self.playback.settings()
        return {**values, "mode": self.filter.mode, **self._parameters()}

    def change(self, values: Mapping[str, Any]) -> None:
        """Set values that were validated before.

        Args:
            values: by the names in `settings`, or `band`: (fl, fh) in Hz, or `filter`: a Filter;
                `regions` is a sequence of `NamedRegion`. Those in `PLAYBACK_FIELDS`, among them
                `position` in seconds and `step` in frames, are ignored unless a file is played.
        """
        if self.playback is not None:
            self.playback.change(values)
        setters: dict[str, Callable[[Any], None]] = {
            "mode": self.set_mode, "band": lambda band: self.set_band(*band),
            "filter": self.set_filter, "order": self.set_order,
            "region": self.set_region, "regions": self.set_regions,
        }  # fmt: skip
        for name, value in values.items():
            if name in setters:
                setters[name](value)
            elif name in _DIRECT_FIELDS:
                if name != "motion_scale" or self.motion_scale is not None:
                    setattr(self, name, value)
            elif name not in PLAYBACK_FIELDS:
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
