"""The options of the commands, in groups: each group is a dataclass and a panel of `--help`.

An option is declared once, as a field of its group. `grouped` turns the groups in a command's
signature into Typer parameters. An option that is in several groups has a name of its own here.
"""

import inspect
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, get_args, get_type_hints

from typer import Argument, Context, Option

from rtmag.realtime.cli.controls import make_controls
from rtmag.realtime.controls import Controls, Layout, LiveViewKind, ViewKind
from rtmag.realtime.engines.spec import MOTION_SCALES, EngineName, scale_name
from rtmag.realtime.errors import OptionError
from rtmag.realtime.filters import Mode, parse_band
from rtmag.realtime.media.image_size import MAX_PIXELS
from rtmag.realtime.presets import PresetName

if TYPE_CHECKING:
    from rtmag.realtime.engines.loading import EngineSpec
    from rtmag.realtime.sources.source import SourceOptions

AUTO = "auto"

Scale = Literal["1", "1/2", "1/4"]

LiveScale = Literal["auto", "1", "1/2", "1/4"]

ProgressKind = Literal["auto", "none", "json"]

StatsKind = Literal["json"]


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
        kind, option = get_args(hints[field.name])
        option = copy(option)
        option.rich_help_panel = group.panel
        yield inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=Annotated[kind, option],
        )


def _without(group: Any, *names: str) -> dict[str, Any]:
    return {name: value for name, value in asdict(group).items() if name not in names}


def _checked_band(value: str | None) -> str | None:
    if value is not None:
        parse_band(value)
    return value


def _checked_size(value: str | None) -> str | None:
    if value != AUTO:
        parse_size(value)
    return value


def _checked_token(context: Context, value: str | None) -> str | None:
    source = context.get_parameter_source("token")
    if source is not None and source.name == "COMMANDLINE":
        raise OptionError(
            "a token on the command line is visible to all users of this machine (ps); "
            "set RTMAG_TOKEN, or token in rtmag.toml"
        )
    return value


_ALPHA_HELP = "Magnification factor: motion appears this many times larger. 1 changes nothing."

LayoutOption = Annotated[
    Layout,
    Option(
        "--layout",
        help="magnified: the result alone. side: original and result side by side. split: left "
        "half original, right half result. difference: result minus original. original: the "
        "input alone.",
    ),
]

Overwrite = Annotated[bool, Option("--overwrite", help="Replace output files that exist.")]

MaxPixels = Annotated[
    int,
    Option("--max-pixels", min=1, help="Refuse pictures with more pixels than this number."),
]

EngineOption = Annotated[
    EngineName,
    Option(
        "--engine",
        help="Inference engine. onnx and openvino run on CPUs, cuda on NVIDIA GPUs, torch and "
        "tensorrt run .pt2 models. auto: the best engine that works on this machine.",
    ),
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
            help=_ALPHA_HELP,
            show_default="20, or the value of the preset",
        ),
    ] = None
    preset: Annotated[
        PresetName | None,
        Option(
            "--preset",
            help="Set mode, band, alpha and order for a typical subject. `rtmag presets` shows "
            "the values.",
        ),
    ] = None
    mode: Annotated[
        Mode | None,
        Option(
            "--mode",
            help="static: magnify motion relative to the first frame. dynamic: relative to the "
            "previous frame. temporal: only motion within a frequency band.",
            show_default="temporal if a band is given, else static",
        ),
    ] = None
    band: Annotated[
        str | None,
        Option(
            "--band",
            metavar="LOWER-UPPER",
            callback=_checked_band,
            help="Frequency band in Hz, bpm or rpm, for example 0.8-1.2Hz, 48-72bpm or "
            "1200-1800rpm.",
        ),
    ] = None
    fl: Annotated[
        float | None, Option("--fl", metavar="HZ", help="Lower edge of the band in Hz.")
    ] = None
    fh: Annotated[
        float | None, Option("--fh", metavar="HZ", help="Upper edge of the band in Hz.")
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
    ] = None
    drift: Annotated[
        float | None,
        Option(
            "--drift",
            metavar="HZ",
            help="Mode static: let the reference follow slow changes of the picture, at this rate "
            "in Hz.",
            show_default="the reference stays the first frame",
        ),
    ] = None

    def controls(self, layout: Layout = "magnified") -> Controls:
        """The initial controls of a run; raises OptionError as `make_controls`."""
        return make_controls(layout=layout, **asdict(self))


@dataclass(frozen=True, kw_only=True)
class LiveModelOptions:
    """The model of a live command, which can be chosen by its speed."""

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
        from rtmag.realtime.engines.loading import EngineSpec

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
    ] = "1"


@dataclass(frozen=True, kw_only=True)
class CameraOptions:
    """Settings to request from a camera."""

    panel: ClassVar = "Camera"
    size: Annotated[
        str | None,
        Option(
            "--size",
            metavar="WxH|auto",
            callback=_checked_size,
            help="Picture size to request from the camera, in pixels. auto: keep the size of the "
            "camera and adapt only the motion scale.",
        ),
    ] = None
    fps: Annotated[
        float | None,
        Option("--fps", min=0.1, help="Frame rate to request from the camera, in frames/s."),
    ] = None
    pixel_format: Annotated[
        str | None,
        Option(
            "--pixel-format",
            metavar="CODE",
            help="Pixel format to request from the camera, for example MJPG or YUYV.",
            show_default="MJPG",
        ),
    ] = None
    lock_exposure: Annotated[
        bool,
        Option(
            "--lock-exposure",
            help="Turn off automatic exposure and white balance, which cause flicker.",
        ),
    ] = False

    def source_options(self, scale: str) -> "SourceOptions":
        """The request to the source; raises OptionError as `parse_live_size`."""
        from rtmag.realtime.sources.source import SourceOptions

        return SourceOptions(
            size=parse_live_size(self.size, scale),
            fps=self.fps,
            pixel_format=self.pixel_format,
            lock_exposure=self.lock_exposure,
        )


@dataclass(frozen=True, kw_only=True)
class StreamOptions:
    """The connection to a stream, and the format of raw pictures on standard input."""

    panel: ClassVar = "Stream"
    timeout: Annotated[
        float,
        Option(
            "--timeout",
            min=0.5,
            help="Open the stream again after this many seconds without a picture.",
        ),
    ] = 5.0
    ca: Annotated[
        Path | None,
        Option(
            "--ca",
            metavar="FILE",
            help="PEM file of certificates: verify an encrypted stream with them.",
            show_default="certificates are not verified",
        ),
    ] = None
    wait: Annotated[bool, Option("--wait", help="Wait for a stream that is not available yet.")] = (
        False
    )
    size: Annotated[
        str | None,
        Option(
            "--size",
            metavar="WxH|auto",
            callback=_checked_size,
            help="Standard input contains raw pictures of this size, in pixels. auto: keep the "
            "size of the source and adapt only the motion scale.",
        ),
    ] = None
    fps: Annotated[
        float | None,
        Option(
            "--fps",
            min=0.1,
            help="Frame rate of raw pictures, or of the screen capture, in frames/s.",
        ),
    ] = None
    pixel_format: Annotated[
        Literal["bgr24", "rgb24"],
        Option("--pixel-format", help="Pixel format of raw pictures."),
    ] = "bgr24"
    max_pixels: MaxPixels = MAX_PIXELS

    def source_options(self, scale: str, note: Callable[[str], None]) -> "SourceOptions":
        """The request to the source; `note` is called while it waits for the stream."""
        from rtmag.realtime.sources.source import SourceOptions

        return SourceOptions(
            size=parse_live_size(self.size, scale),
            fps=self.fps,
            pixel_format=self.pixel_format,
            timeout=self.timeout,
            ca=self.ca,
            max_pixels=self.max_pixels,
            wait=note if self.wait else None,
        )


@dataclass(frozen=True, kw_only=True)
class ViewOptions:
    """The view of a live command."""

    panel: ClassVar = "View"
    view: Annotated[
        LiveViewKind,
        Option("--view", help="Show the video in a window, in web browsers, or not at all."),
    ] = "window"
    layout: LayoutOption = "magnified"
    host: Annotated[
        str,
        Option(
            "--host",
            help="Web view: address to listen on. Browsers need a token: the value of RTMAG_TOKEN, "
            "or a random one.",
        ),
    ] = "127.0.0.1"
    port: Annotated[
        int | None,
        Option(
            "--port",
            min=0,
            max=65535,
            help="Web view: port to listen on.",
            show_default="8089, or the next free port",
        ),
    ] = None
    token: Annotated[str | None, Option("--token", hidden=True, callback=_checked_token)] = None
    """Token of the page; None: a random one. Only from rtmag.toml and RTMAG_TOKEN."""
    max_viewers: Annotated[
        int,
        Option(
            "--max-viewers",
            min=1,
            max=1000,
            help="Web view: maximum number of browsers at the same time.",
        ),
    ] = 16

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of `Live`; the layout is one of the controls."""
        return _without(self, "layout")


@dataclass(frozen=True, kw_only=True)
class LiveOutputOptions:
    """The outputs of a live command, besides its view."""

    panel: ClassVar = "Output"
    record: Annotated[
        Path | None,
        Option("--record", metavar="FILE", help="Record the result to this video file."),
    ] = None
    overwrite: Overwrite = False
    out: Annotated[
        Literal["-"] | None,
        Option("--out", "-o", help="-: also write the frames to standard output, as Y4M."),
    ] = None
    virtual_camera: Annotated[
        str | None,
        Option(
            "--virtual-camera",
            metavar="DEVICE|first",
            help="Also show the result as a camera that other programs can open: a device such as "
            "/dev/video2, or the first that is available.",
        ),
    ] = None
    frames: Annotated[
        int | None, Option("--frames", min=1, help="Stop after this many frames.")
    ] = None
    stats: Annotated[
        StatsKind | None,
        Option(
            "--stats",
            help="Print statistics as JSON on standard output: a line per second, and a summary "
            "at the end.",
        ),
    ] = None

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of `Live`; the command itself prints the statistics."""
        return {**_without(self, "frames", "stats"), "limit": self.frames}


@dataclass(frozen=True, kw_only=True)
class InputOptions:
    """The treatment of input files."""

    panel: ClassVar = "Input"
    capture_fps: Annotated[
        float | None,
        Option(
            "--capture-fps",
            min=0.001,
            help="Slow motion: frame rate of the recording in frames/s, if it differs from the "
            "rate of the file.",
        ),
    ] = None
    max_pixels: MaxPixels = MAX_PIXELS
    strict: Annotated[
        bool,
        Option("--strict", help="Exit with code 1 if damage in a file caused a loss of frames."),
    ] = False


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """The output of `rtmag file`."""

    panel: ClassVar = "Output"
    output: Annotated[
        str | None,
        Option(
            "--output",
            "-o",
            metavar="DIR|FILE|-",
            help="Output folder; for a single input also an output file, or - for Y4M on standard "
            "output.",
            show_default="the folder of each input",
        ),
    ] = None
    layout: LayoutOption = "magnified"
    audio: Annotated[bool, Option("--audio/--no-audio", help="Copy the sound.")] = True
    overwrite: Overwrite = False
    skip_existing: Annotated[
        bool, Option("--skip-existing", help="Skip inputs whose output exists.")
    ] = False
    view: Annotated[
        ViewKind, Option("--view", help="Show the video in a window, or not at all.")
    ] = "none"
    progress: Annotated[
        ProgressKind,
        Option(
            "--progress",
            help="auto: a bar on a terminal, else lines of text, on standard error. json: lines of "
            "JSON on standard output. none: nothing.",
        ),
    ] = "auto"

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of `Batch`; `plan` and `open_progress` get the rest."""
        return _without(self, "output", "layout", "progress")


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """The length and the output of the demo."""

    panel: ClassVar = "Demo"
    frames: Annotated[int, Option("--frames", min=1, help="Number of frames, at 30 frames/s.")] = (
        240
    )
    alpha: Annotated[float, Option("--alpha", "-a", help=_ALPHA_HELP)] = 20.0
    out: Annotated[
        str | None,
        Option(
            "--out",
            help="Output folder, or the beginning of the output files' names.",
            show_default="rtmag-demo",
        ),
    ] = None
    window: Annotated[
        bool, Option("--window", help="Show the video in a window while it is made.")
    ] = False
    overwrite: Overwrite = False


@dataclass(frozen=True, kw_only=True)
class BenchModelOptions:
    """The models and engines to time."""

    panel: ClassVar = "Models and engines"
    models: Annotated[
        list[str] | None,
        Option(
            "--model",
            metavar="NAME|FILE",
            help="Model to time. Can be given several times.",
            show_default="all built-in models",
        ),
    ] = None
    engines: BenchEngines = None
    precisions: Annotated[
        list[str] | None,
        Option(
            "--precision",
            metavar="auto|fp32",
            help="fp32: compute in float32 only. auto: OpenVINO may use bfloat16. Can be given "
            "several times.",
            show_default="auto",
        ),
    ] = None
    oh2018: Annotated[
        bool,
        Option(
            "--oh2018",
            help="Compare all speeds with the untrained network of Oh et al. (2018) instead of "
            "the last model. Needs the extra: pip install 'rtmag\\[export]'.",
        ),
    ] = False
    unsafe: Unsafe = False
    compiled: Annotated[
        bool, Option("--compile", help="Time .pt2 models also after torch.compile.")
    ] = False


@dataclass(frozen=True, kw_only=True)
class MeasurementOptions:
    """The conditions of a benchmark."""

    panel: ClassVar = "Measurement"
    sizes: Annotated[
        list[str] | None,
        Option(
            "--size",
            metavar="WxH",
            help="Picture size in pixels. Can be given several times.",
            show_default="640x480",
        ),
    ] = None
    streams: BenchStreams = "1"
    threads: Annotated[
        int | None,
        Option(
            "--threads",
            min=1,
            help="Number of CPU threads.",
            show_default="one per usable CPU core",
        ),
    ] = None
    rounds: Annotated[
        int, Option("--rounds", min=1, help="Number of timed steps per model and size.")
    ] = 30
    quick: Annotated[
        bool,
        Option("--quick", help="Quick check that everything runs: 160x120 pixels, 3 timed steps."),
    ] = False


@dataclass(frozen=True, kw_only=True)
class BenchResultOptions:
    """The result of a benchmark."""

    panel: ClassVar = "Result"
    out: Annotated[
        Path | None,
        Option("--out", "-o", metavar="FILE", help="Also write the result to this JSON file."),
    ] = None
    overwrite: Overwrite = False
    compare: Annotated[
        tuple[Path, Path] | None,
        Option(
            "--compare",
            metavar="A B",
            help="Measure nothing: compare two result files, and print how many times faster B is.",
        ),
    ] = None


CameraSpec = Annotated[
    str,
    Argument(
        metavar="[INDEX|NAME]",
        help="Index or name of a camera, as listed by `rtmag cameras`. test: the built-in scene.",
    ),
]

Address = Annotated[
    str,
    Argument(
        metavar="URL|-|screen",
        envvar="RTMAG_URL",
        help="URL of a stream (rtsp, rtmp, http, https, tcp or udp). -: standard input. screen: "
        "the whole screen. screen:X,Y,W,H: a part of the screen, in pixels.",
    ),
]

Paths = Annotated[
    list[str],
    Argument(
        metavar="IN... [OUT]",
        help="Video files or folders of images. If there are two, the second can be the output.",
    ),
]

Like = Annotated[
    Path | None,
    Option(
        "--like",
        metavar="OUTPUT",
        rich_help_panel="Output",
        help="Use the settings of this earlier output of rtmag. Options given here have priority.",
    ),
]

Hidden = Annotated[str | None, Option(hidden=True)]


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
        raise OptionError(f"cannot write {str(path)!r}: no such folder")


def scale_of(text: str) -> float | None:
    """The number of a motion scale; None for `auto`."""
    return {AUTO: None, **{scale_name(scale): scale for scale in MOTION_SCALES}}[text]


def parse_size(text: str | None) -> tuple[int, int] | None:
    """(width, height) in pixels from '640x480'; None if `text` is None.

    Raises:
        OptionError: `text` has another form.
    """
    if text is None:
        return None
    width, cross, height = text.lower().partition("x")
    if not (cross and width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise OptionError(f"a size is WIDTHxHEIGHT, such as 640x480, got {text!r}")
    return int(width), int(height)


def parse_live_size(text: str | None, scale: str = AUTO) -> tuple[int, int] | None:
    """The size to request from a live source; None for `auto`, which adapts the motion scale only.

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
    """The numbers in '1,2,4'.

    Raises:
        OptionError: one of them is not an integer of at least 1.
    """
    counts = text.split(",")
    if not all(count.strip().isdecimal() and int(count) for count in counts):
        raise OptionError(f"--streams takes numbers of at least 1, such as 1,2,4, got {text!r}")
    return [int(count) for count in counts]
