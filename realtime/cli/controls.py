"""Options of the command line about motion, combined into `Controls`."""

import math
from typing import TypeVar

from rtmag.realtime.controls import Controls, Layout
from rtmag.realtime.errors import OptionError
from rtmag.realtime.filters import FILTERS, Filter, Mode, Static, Temporal, parse_band
from rtmag.realtime.presets import PRESETS, PresetName

T = TypeVar("T")


def make_controls(
    *,
    alpha: float | None = None,
    mode: Mode | None = None,
    fl: float | None = None,
    fh: float | None = None,
    order: int | None = None,
    drift: float | None = None,
    layout: Layout = "magnified",
    band: str | None = None,
    preset: PresetName | None = None,
) -> Controls:
    """The controls for these options; None: not given. A given option wins over the preset.

    Raises:
        OptionError: two options contradict each other, or a value is invalid.
    """
    if band is not None:
        if fl is not None or fh is not None:
            raise OptionError(f"--band {band} sets both edges: leave out --fl and --fh")
        fl, fh = parse_band(band)
    if preset is not None:
        default = PRESETS[preset]
        mode = mode or default.filter.mode
        alpha, order = _first(alpha, default.alpha), _first(order, default.filter.order)
        if mode == default.filter.mode:
            fl, fh = _first(fl, default.filter.fl), _first(fh, default.filter.fh)
    alpha = _first(alpha, 20.0)
    if not math.isfinite(alpha):
        raise OptionError(f"alpha must be a finite number, got alpha = {alpha}")
    filter = _make_filter(mode, fl, fh, order, drift)
    return Controls(alpha=alpha, filter=filter, order=order, layout=layout)


def _first(value: T | None, default: T) -> T:
    return default if value is None else value


def _make_filter(
    mode: Mode | None, fl: float | None, fh: float | None, order: int | None, drift: float | None
) -> Filter:
    """The filter of a mode; None: 'temporal' if there is a band, else 'static'."""
    banded = fl is not None or fh is not None
    mode = mode or ("temporal" if banded else "static")
    if banded and mode != "temporal":
        raise OptionError(f"--fl and --fh make a band for --mode temporal, got --mode {mode}")
    if drift is not None and mode != "static":
        raise OptionError(f"--drift moves the reference of --mode static, got --mode {mode}")
    if mode == "temporal":
        if fl is None or fh is None:
            raise OptionError(
                "the temporal mode needs a band: give --band, or both --fl and --fh in Hz"
            )
        return Temporal.of_band(fl, fh, order)
    return Static(drift) if mode == "static" else FILTERS[mode]
