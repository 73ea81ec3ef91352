"""Options of the command line, in groups: a group is a dataclass and a panel of `--help`.

An option is declared once, as a field of its group. `grouped` turns the groups in a command's
signature into Typer parameters. Groups of several commands and options of several groups are here;
the other groups are next to their commands. `make_controls` combines the options about motion into
the initial `Controls` of a run.
"""

import inspect
import re
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Literal,
    TypeVar,
    get_args,
    get_type_hints,
)

from typer import Option

from rtmag.realtime.cli.console import notice
from rtmag.realtime.controls import Controls, Layout, alpha_notes, checked_alpha
from rtmag.realtime.engines.runtimes import RUNTIMES, EngineName
from rtmag.realtime.engines.spec import AUTO, MOTION_SCALES, ONNX, PROGRAM, scale_name
from rtmag.realtime.errors import OptionError
from rtmag.realtime.filters import (
    FILTERS,
    Filter,
    Mode,
    Static,
    Temporal,
    Unit,
    band_unit,
    parse_band,
)
from rtmag.realtime.presets import LIVE, LIVE_NAME, PRESETS, PresetName

if TYPE_CHECKING:
    from rtmag.realtime.engines.spec import EngineSpec

Scale = Literal["1", "1/2", "1/4"]

LiveScale = Literal["auto", "1", "1/2", "1/4"]

MatrixName = Literal["bt601", "bt709", "bt2020"]

ProgressKind = Literal["auto", "none", "json"]

T = TypeVar("T")

MAX_COUNT = 2**31 - 1
"""Upper end of options that count something. Numbers without an upper end could be infinite, NaN,
or have thousands of digits."""

MAX_RATE = 1e6
"""Upper end of frame rates, in frames/s."""


HARMLESS = "harmless"
"""Mark in the annotation of an option that rtmag.toml in the current folder may set: no value of it
runs code, opens a file or admits anyone. Without this mark, an option is refused there."""


def harmless_options(command: Callable[..., Any]) -> set[str]:
    """The names of a command's parameters that have the mark `HARMLESS`."""
    parameters = inspect.signature(command, eval_str=True).parameters
    return {name for name, each in parameters.items() if HARMLESS in get_args(each.annotation)[1:]}


def grouped(command: Callable[..., Any]) -> Callable[..., Any]:
    """Replace each parameter whose type is a dataclass by the fields of the dataclass.

    The fields become keyword parameters. `panel`, an attribute of the dataclass, is the title of
    their panel in `--help`. The command receives the dataclass again.
    """
    signature = inspect.signature(command, eval_str=True)
    groups: dict[str, Any] = {}
    parameters: list[inspect.Parameter] = []
    for name, parameter in signature.parameters.items():
        if is_dataclass(parameter.annotation):
            groups[name] = parameter.annotation
            parameters += _parameters(parameter.annotation)
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    @wraps(command)
    def flat(**values: Any) -> Any:
        for name, group in groups.items():
            values[name] = group(**{each.name: values.pop(each.name) for each in fields(group)})
        return command(**values)

    flat.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return flat


def _parameters(group: Any) -> Iterator[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    for field in fields(group):
        kind, option, *marks = get_args(hints[field.name])
        option = copy(option)
        option.rich_help_panel = group.panel
        yield inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=Annotated[(kind, option, *marks)],
        )


def without(group: Any, *names: str) -> dict[str, Any]:
    """Return the options of a group by name, without the named ones."""
    return {name: value for name, value in asdict(group).items() if name not in names}


AUTO_BAND = "auto"
"""Band of the first frequency that is found."""


def checked_band(value: str | None) -> str | None:
    """Check a band or `auto` and return it unchanged; raises OptionError, see `parse_band`."""
    if value not in (None, AUTO_BAND):
        parse_band(value or "")
    return value


def checked_size(value: str | None) -> str | None:
    """Check a size or `auto` and return it unchanged.

    Raises:
        OptionError: see `parse_size`.
    """
    if value != AUTO:
        parse_size(value)
    return value


DEFAULT_ALPHA = 20.0

ALPHA_HELP = (
    "Magnification factor: motion appears this many times larger. 1 changes nothing; 0 freezes; "
    "a negative factor reverses motion. At most 1000."
)

LayoutOption = Annotated[
    Layout,
    Option(
        "--layout",
        help="magnified: the result alone. side: original and result side by side. split: left "
        "half original, right half result. difference: result minus original. map: the input, "
        "with the amplitude of its motion in colours. original: the input alone.",
    ),
    HARMLESS,
]

Overwrite = Annotated[bool, Option("--overwrite", help="Replace output files that exist.")]

MaxPixels = Annotated[
    int,
    Option(
        "--max-pixels",
        min=1,
        max=MAX_COUNT,
        help="Refuse pictures with more pixels than this number.",
    ),
]

CertificatesOption = Annotated[
    Path | None,
    Option(
        "--ca",
        metavar="FILE",
        help="PEM file of certificates: verify an encrypted stream with them.",
        show_default="certificates are not verified",
    ),
]


def _engines(suffix: str) -> str:
    """List the engines that run one type of model file, with their devices."""
    return ", ".join(f"{each.name} ({each.device})" for each in RUNTIMES if each.opens(suffix))


EngineOption = Annotated[
    EngineName,
    Option(
        "--engine",
        help=f"Inference engine. For {ONNX} models: {_engines(ONNX)}. For {PROGRAM} models: "
        f"{_engines(PROGRAM)}. auto: the best engine that works on this machine.",
    ),
    HARMLESS,
]

Unsafe = Annotated[
    bool,
    Option("--unsafe", help="Allow .pt2 models. Such a file can run any code when it is opened."),
]

BenchEngines = Annotated[
    list[str] | None,  # Typer does not support lists of literals
    Option(
        "--engine",
        help="Inference engine, as for `rtmag camera`. Can be given several times.",
        show_default="auto",
    ),
]

BenchStreams = Annotated[
    str,
    Option(
        "--streams",
        metavar="N,...",
        help="Numbers of video streams to process in each step, for example 1,2,4.",
    ),
]


@dataclass(frozen=True, kw_only=True)
class MotionOptions:
    """The motion to magnify, and the factor."""

    panel: ClassVar = "Motion"
    alpha: Annotated[
        float | None,
        Option(
            "--alpha",
            "-a",
            help=ALPHA_HELP,
            show_default="20; the value of the preset; or 10 for a live source without mode, band "
            "and preset",
        ),
        HARMLESS,
    ] = None
    preset: Annotated[
        PresetName | None,
        Option(
            "--preset",
            help="Set mode, band, alpha and order for a typical subject; the band is cut to what "
            "the frame rate can hold. `rtmag presets` shows the values.",
        ),
        HARMLESS,
    ] = None
    mode: Annotated[
        Mode | None,
        Option(
            "--mode",
            help="static: magnify motion relative to the first frame. dynamic: relative to the "
            "previous frame. temporal: only motion within a frequency band.",
            show_default="temporal if a band is given or the source is live, else static",
        ),
        HARMLESS,
    ] = None
    band: Annotated[
        str | None,
        Option(
            "--band",
            metavar="LOWER-UPPER",
            callback=checked_band,
            help="Frequency band in Hz, bpm or rpm, for example 0.8-1.2Hz, 48-72bpm or "
            "1200-1800rpm. auto: around the first frequency at which something moves: the clip is "
            "looked at first, a live source for 12 seconds.",
            show_default="that of the preset; 0.4-3Hz for live sources",
        ),
        HARMLESS,
    ] = None
    fl: Annotated[
        float | None, Option("--fl", metavar="HZ", help="Lower edge of the band in Hz."), HARMLESS
    ] = None
    fh: Annotated[
        float | None, Option("--fh", metavar="HZ", help="Upper edge of the band in Hz."), HARMLESS
    ] = None
    order: Annotated[
        int | None,
        Option(
            "--order",
            min=1,
            max=2,
            help="Order of the band-pass filter. 2 has steeper edges than 1.",
            show_default="2 if the band is narrower than an octave, else 1; or the value of the "
            "preset",
        ),
        HARMLESS,
    ] = None
    drift: Annotated[
        float | None,
        Option(
            "--drift",
            metavar="HZ",
            help="Mode static: the reference follows changes of the picture that are slower than "
            "this frequency in Hz.",
            show_default="the reference stays the first frame",
        ),
        HARMLESS,
    ] = None
    capture_fps: Annotated[
        float | None,
        Option(
            "--capture-fps",
            min=0.001,
            max=MAX_RATE,
            help="Slow motion: frame rate in frames/s at which the scene was filmed, if it is "
            "played at a lower rate. Bands are frequencies of the scene.",
        ),
        HARMLESS,
    ] = None

    roi: Annotated[
        list[str] | None,
        Option(
            "--roi",
            metavar="[NAME=]X,Y,W,H",
            help="Magnify only this region, in pixels: left edge, upper edge, width and height. In "
            "a live run, regions with a NAME are measured instead, and there may be several.",
            show_default="the whole picture",
        ),
        HARMLESS,
    ] = None

    def controls(self, layout: Layout = "magnified", *, live: bool = False) -> Controls:
        """The initial controls of a run, after notices about an unusual alpha.

        Raises:
            OptionError: see `make_controls` and `place_regions`.
        """
        from rtmag.realtime.cli.regions import place_regions

        for note in alpha_notes(_first(self.alpha, DEFAULT_ALPHA)):
            notice(note)
        controls = make_controls(layout=layout, live=live, **without(self, "capture_fps", "roi"))
        place_regions(controls, self.roi or [], live=live)
        return controls


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
    live: bool = False,
) -> Controls:
    """Combine the options about motion. None: not given; an option has priority over the preset.

    A live source without a filter or a preset has those of `LIVE`.

    Raises:
        OptionError: two options contradict each other, or a value is invalid.
    """
    if band is not None and (fl is not None or fh is not None):
        raise OptionError(f"--band {band} sets both edges: leave out --fl and --fh")
    auto = band == AUTO_BAND
    if auto:
        if mode not in (None, "temporal") or drift is not None:
            raise OptionError("--band auto needs --mode temporal: leave out --mode and --drift")
        band = mode = None  # the default, if nothing is found
    if band is not None:
        fl, fh = parse_band(band)
    unit: Unit = "Hz" if band is None else band_unit(band)
    by_hand = fl is not None or fh is not None
    name: str | None = preset
    default = None if preset is None else PRESETS[preset]
    if live and preset is None and drift is None and not by_hand and mode in (None, "temporal"):
        name, default = LIVE_NAME, LIVE
    if default is not None:
        mode = mode or default.filter.mode
        alpha, order = _first(alpha, default.alpha), _first(order, default.filter.order)
        if mode == default.filter.mode:
            fl, fh = _first(fl, default.filter.fl), _first(fh, default.filter.fh)
            unit = default.unit if band is None else unit
        else:
            by_hand = True
    filter = _make_filter(mode, fl, fh, order, drift)
    return Controls(
        alpha=checked_alpha(_first(alpha, DEFAULT_ALPHA)),
        filter=filter,
        preset=None if by_hand else name,
        unit=unit,
        order=order,
        layout=layout,
        finding=auto and live,
        auto_band=auto,
    )


def _first(value: T | None, default: T) -> T:
    return default if value is None else value


def _make_filter(
    mode: Mode | None, fl: float | None, fh: float | None, order: int | None, drift: float | None
) -> Filter:
    """Make the filter of a mode; None: 'temporal' if there is a band, else 'static'."""
    banded = fl is not None or fh is not None
    mode = mode or ("temporal" if banded else "static")
    if banded and mode != "temporal":
        raise OptionError(
            f"a band needs --mode temporal, got --mode {mode}: leave out the band or --mode"
        )
    if drift is not None and mode != "static":
        raise OptionError(
            f"--drift needs --mode static, got --mode {mode}: leave out --drift or --mode"
        )
    if mode == "temporal":
        if fl is None or fh is None:
            raise OptionError(
                "the temporal mode needs a band: give --band, or both --fl and --fh in Hz"
            )
        return Temporal.of_band(fl, fh, order)
    return Static(drift) if mode == "static" else FILTERS[mode]


@dataclass(frozen=True, kw_only=True)
class LiveModelOptions:
    """The model of a live command. `auto` chooses model and motion scale by their speed."""

    panel: ClassVar = "Model"
    model: Annotated[
        str | None,
        Option(
            "--model",
            metavar="NAME|FILE|auto",
            help="fast, standard, none (no magnification), or an exported model file: .onnx, or "
            ".pt2 with --unsafe. auto: the most accurate model that keeps up with the source.",
        ),
    ] = AUTO
    engine: EngineOption = "auto"
    motion_scale: Annotated[
        LiveScale,
        Option(
            "--motion-scale",
            help="Estimate motion in a picture of this relative size. A smaller one is faster "
            "and coarser. auto: the largest that keeps up with the source.",
        ),
        HARMLESS,
    ] = "auto"
    unsafe: Unsafe = False
    compiled: Annotated[
        bool,
        Option(
            "--compile",
            help="Compile a .pt2 model of fixed size before the first frame. This takes half a "
            "minute or more.",
        ),
    ] = False

    def spec(self) -> "EngineSpec":
        """The engine to load."""
        from rtmag.realtime.engines.spec import EngineSpec

        return EngineSpec(
            model=self.model,
            engine=self.engine,
            motion_scale=scale_of(self.motion_scale),
            unsafe=self.unsafe,
            compiled=self.compiled,
        )


@dataclass(frozen=True, kw_only=True)
class ModelOptions(LiveModelOptions):
    """The model of a command that has no time limit per frame."""

    model: Annotated[
        str | None,
        Option(
            "--model",
            metavar="NAME|FILE",
            help="fast, standard, none (no magnification), or an exported model file: .onnx, or "
            ".pt2 with --unsafe.",
            show_default="fast",
        ),
    ] = None
    motion_scale: Annotated[
        Scale,
        Option(
            "--motion-scale",
            help="Estimate motion in a picture of this relative size. A smaller one is faster "
            "and coarser.",
        ),
        HARMLESS,
    ] = "1"


_COUNT = re.compile("0*[1-9][0-9]{0,5}")
"""A positive integer of at most six digits; int() refuses numbers of thousands of digits."""

HiddenOption = Annotated[str | None, Option(hidden=True)]


def check_new(path: Path | None, *, overwrite: bool) -> None:
    """Check that a file can be created.

    Raises:
        OptionError: the file exists and `overwrite` is False, or its folder does not exist.
    """
    if path is None:
        return
    if path.exists() and not overwrite:
        raise OptionError(f"cannot write {str(path)!r}: it exists; use --overwrite")
    if not path.absolute().parent.is_dir():
        raise OptionError(f"cannot write {str(path)!r}: its folder does not exist; create it first")


def scale_of(text: str) -> float | None:
    """Convert a motion scale such as '1/2' to a number; None for `auto`."""
    return {AUTO: None, **{scale_name(scale): scale for scale in MOTION_SCALES}}[text]


def parse_size(text: str | None) -> tuple[int, int] | None:
    """Parse a size such as '640x480' to (width, height) in pixels; None if `text` is None.

    Raises:
        OptionError: `text` has another form.
    """
    if text is None:
        return None
    width, cross, height = text.lower().partition("x")
    if not (cross and _COUNT.fullmatch(width) and _COUNT.fullmatch(height)):
        raise OptionError(f"a size is WIDTHxHEIGHT, such as 640x480, got {text!r}")
    return int(width), int(height)


def parse_live_size(text: str | None, scale: str = AUTO) -> tuple[int, int] | None:
    """Parse the size to request from a live source; None for `auto`: the source chooses.

    Raises:
        OptionError: `text` is neither a size nor `auto`, or it is `auto` and the motion scale is
            fixed.
    """
    if text != AUTO:
        return parse_size(text)
    if scale != AUTO:
        raise OptionError(
            f"--size auto needs --motion-scale auto, got {scale}: leave out one of the two options"
        )
    return None


def parse_streams(text: str) -> list[int]:
    """Parse numbers of streams such as '1,2,4'.

    Raises:
        OptionError: one of them is not an integer of at least 1.
    """
    counts = text.split(",")
    if not all(_COUNT.fullmatch(count.strip()) for count in counts):
        raise OptionError(f"--streams needs numbers of at least 1, such as 1,2,4, got {text!r}")
    return [int(count) for count in counts]
