"""What the options for magnification mean together."""

import math
from typing import TypeVar

from rtmag.realtime.controls import Controls, Layout
from rtmag.realtime.errors import OptionError
from rtmag.realtime.filters import Mode, parse_band
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
    """The controls that options ask for; what is given wins over what the preset says.

    Raises:
        OptionError: they contradict each other, or a value is not one.
    """
    if band is not None:
        if fl is not None or fh is not None:
            raise OptionError(f"--band {band} is both edges: leave out --fl and --fh")
        fl, fh = parse_band(band)
    if preset is not None:
        chosen = PRESETS[preset]
        mode = mode or chosen.mode
        alpha, order = _given(alpha, chosen.alpha), _given(order, chosen.order)
        if mode == "temporal":
            fl, fh = _given(fl, chosen.band[0]), _given(fh, chosen.band[1])
    return _checked(
        Controls(alpha=_given(alpha, 20.0), order=order, drift=drift, layout=layout),
        mode,
        fl,
        fh,
    )


def _given(value: T | None, otherwise: T) -> T:
    return otherwise if value is None else value


def _checked(controls: Controls, mode: Mode | None, fl: float | None, fh: float | None) -> Controls:
    """The same controls, with mode and band, if all that fits together."""
    if not math.isfinite(controls.alpha):
        raise OptionError(f"alpha must be a finite number, got alpha = {controls.alpha}")
    banded = fl is not None or fh is not None
    controls.mode = mode = mode or ("temporal" if banded else "static")
    if banded and mode != "temporal":
        raise OptionError(f"--fl and --fh make a band for --mode temporal, got --mode {mode}")
    if controls.drift is not None and mode != "static":
        raise OptionError(f"--drift moves the reference of --mode static, got --mode {mode}")
    if mode == "temporal":
        if fl is None or fh is None:
            raise OptionError(
                "the temporal mode needs a band: give --band, or both --fl and --fh in Hz"
            )
        controls.fl, controls.fh = fl, fh
    controls.filter()  # which checks its numbers
    return controls
