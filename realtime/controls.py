"""What the keys do to a running view. HELP lists them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from rtmag.realtime.filters import MODES, Dynamic, Filter, Mode, Static, Temporal

Layout = Literal["magnified", "side", "split", "difference", "original"]
"""The magnified picture alone, beside the original, sharing the picture with it, or less it; or the
original alone."""

LAYOUTS: tuple[Layout, ...] = get_args(Layout)

HELP = (
    ("space", "pause"),
    ("+ -", "more, less alpha"),
    ("m", "mode"),
    ("[ ]", "band down, up"),
    ("s", "side by side, split, difference, original"),
    ("c", "compare with the original"),
    ("r", "record"),
    ("f", "full screen"),
    ("i", "information"),
    ("h", "help"),
    ("q", "quit"),
)
"""Key and meaning, in the order of the help picture."""

_NAMED_KEYS = {0xFF1B: 27, 0xFFAB: ord("+"), 0xFFAD: ord("-")}
"""Escape and the keypad's signs, as X11 numbers them."""

_PLAIN = (
    "alpha", "mode", "drift", "layout", "wipe", "original", "motion_scale", "paused", "recording",
)  # fmt: skip
"""Fields that a page may set as they are."""

HIGHEST_ALPHA = 1000.0

_STEP = 1.25

_NYQUIST_SHARE = 0.98

_LEAST_REGION = 16  # px: less shows no motion


@dataclass(slots=True)
class Controls:
    """Everything that may be changed while the picture runs."""

    alpha: float = 20.0
    mode: Mode = "static"
    fl: float = 0.5
    """Lower edge of the band in Hz, for the temporal mode."""
    fh: float = 3.0
    """Upper edge of the band in Hz."""
    order: int | None = None
    """Of the band's filter; None goes by the band: see `steepness`."""
    drift: float | None = None
    """Static mode: the rate in Hz at which the reference follows the picture."""
    fps: float | None = None
    """Measured frame rate, where known; it bounds the band."""
    layout: Layout = "magnified"
    wipe: float = 0.5
    """Where 'split' parts the picture, from 0, the left edge, to 1."""
    region: tuple[int, int, int, int] | None = None
    """Magnify only here: x, y, width, height in pixels; None is the whole picture."""
    whole: bool = False
    """The model was made for one size: there can be no region."""
    motion_scale: float | None = None
    """Size of the picture in which motion is looked for; None where it cannot be changed."""
    paused: bool = False
    original: bool = False
    """Show the original for comparison."""
    recording: bool = False
    fullscreen: bool = False
    info: bool = True
    help: bool = False
    quit: bool = False

    def filter(self) -> Filter:
        """The filter these controls ask for."""
        if self.mode == "dynamic":
            return Dynamic()
        if self.mode == "temporal":
            return Temporal(self.fl, self.fh, self.steepness)
        return Static(self.drift)

    @property
    def steepness(self) -> int:
        """The order asked for, else 2 for a band narrower than an octave and 1 for a wider one.

        A narrow band is there for one line among others, and lets a strong neighbour through where
        its edges are gentle: 36-38 Hz of order 1 at alpha 20 shows what shakes at 20 Hz 1.3 times
        larger. A wide one is there for how something moves, which steep edges bend.
        """
        return self.order or (2 if self.fh < 2 * self.fl else 1)

    @property
    def shown(self) -> Layout:
        """The layout, or the original while somebody compares."""
        return "original" if self.original else self.layout

    def press(self, code: int) -> str | None:
        """Apply a key; returns what to tell the person watching, None for a key without meaning."""
        # The upper bits are modifiers; keys without a letter, but for these three, are no letters.
        key = code & 0xFFFF if code >= 0 else 0
        if ord("A") <= key <= ord("Z"):
            key += ord("a") - ord("A")  # caps lock must not take the keys away
        command = _COMMANDS.get(_NAMED_KEYS.get(key, key))
        return command(self) if command else None

    def shift_band(self, factor: float) -> str:
        """Move both edges of the band by a factor, as far as the frame rate allows."""
        return self.set_band(self.fl * factor, self.fh * factor)

    def set_band(self, fl: float, fh: float) -> str:
        """Take a band; one that the frame rate does not allow is moved down as a whole."""
        if self.fps is not None:
            factor = min(1.0, _NYQUIST_SHARE * self.fps / 2 / fh)
            fl, fh = fl * factor, fh * factor
        self.fl, self.fh = fl, fh
        self.mode = "temporal"
        return f"band {self.fl:.3g}-{self.fh:.3g} Hz"

    def set_region(self, region: tuple[int, int, int, int] | None) -> None:
        """Magnify only there; a region too small to show motion is none."""
        fits = region is not None and min(region[2:]) >= _LEAST_REGION and not self.whole
        self.region = region if fits else None

    def settings(self) -> dict[str, Any]:
        """What `change` changes, for a page to show."""
        values = {name: getattr(self, name) for name in (*_PLAIN, "fl", "fh", "region")}
        return values | {"order": self.steepness}

    def change(self, values: Mapping[str, Any]) -> None:
        """Take values of fields that were checked before; `band` is (fl, fh)."""
        for name, value in values.items():
            if name == "band":
                self.set_band(*value)
            elif name == "region":
                self.set_region(value)
            elif name != "motion_scale" or self.motion_scale is not None:
                setattr(self, name, value)

    def scale_alpha(self, factor: float) -> str:
        """Multiply alpha, within bounds; alpha 0 starts again from a tenth."""
        self.alpha = min(max(self.alpha, 0.1) * factor, HIGHEST_ALPHA)
        return f"alpha {self.alpha:.3g}"

    def next_mode(self) -> str:
        """Go on to the next mode."""
        self.mode = MODES[(MODES.index(self.mode) + 1) % len(MODES)]
        return str(self.filter())

    def next_layout(self) -> str:
        """Go on to the next layout."""
        self.layout = LAYOUTS[(LAYOUTS.index(self.layout) + 1) % len(LAYOUTS)]
        return {"magnified": "magnified alone", "side": "side by side"}.get(
            self.layout, self.layout
        )

    def toggle(self, name: str) -> str:
        """Turn a switch over."""
        turned = not getattr(self, name)
        setattr(self, name, turned)
        return f"{name}: {'on' if turned else 'off'}"

    def leave(self) -> str:
        """End the run."""
        self.quit = True
        return "quit"


def _switch(name: str) -> Callable[[Controls], str]:
    return lambda controls: controls.toggle(name)


_COMMANDS: dict[int, Callable[[Controls], str]] = {
    ord(" "): _switch("paused"),
    ord("+"): lambda controls: controls.scale_alpha(_STEP),
    ord("="): lambda controls: controls.scale_alpha(_STEP),
    ord("-"): lambda controls: controls.scale_alpha(1 / _STEP),
    ord("_"): lambda controls: controls.scale_alpha(1 / _STEP),
    ord("["): lambda controls: controls.shift_band(1 / _STEP),
    ord("]"): lambda controls: controls.shift_band(_STEP),
    ord("s"): Controls.next_layout,
    ord("m"): Controls.next_mode,
    ord("c"): _switch("original"),
    ord("r"): _switch("recording"),
    ord("f"): _switch("fullscreen"),
    ord("i"): _switch("info"),
    ord("h"): _switch("help"),
    ord("q"): Controls.leave,
    27: Controls.leave,
}

ViewKind = Literal["window", "none"]

LiveViewKind = Literal["window", "web", "none"]
