"""The options that commands share: how they are declared, and how texts among them are read."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from typer import Argument, Context, Option

from rtmag.realtime.controls import Layout
from rtmag.realtime.engines.spec import MOTION_SCALES, EngineName, scale_name
from rtmag.realtime.errors import OptionError
from rtmag.realtime.filters import Mode
from rtmag.realtime.presets import PresetName

if TYPE_CHECKING:
    from rtmag.realtime.engines.loading import EngineSpec
from rtmag.realtime.controls import LiveViewKind, ViewKind

AUTO = "auto"

Scale = Literal["1", "1/2", "1/4"]

ProgressKind = Literal["auto", "none", "json"]

StatsKind = Literal["json"]

Alpha = Annotated[
    float, Option("--alpha", "-a", help="How many times larger motion is shown; 1 changes nothing.")
]

AlphaOption = Annotated[
    float | None,
    Option(
        "--alpha",
        "-a",
        help="How many times larger motion is shown; 1 changes nothing.",
        show_default="20, or the preset's",
    ),
]

PresetOption = Annotated[
    PresetName | None,
    Option("--preset", help="Mode, band, alpha and order for what you look at: rtmag presets."),
]

Band = Annotated[
    str | None,
    Option("--band", metavar="LOWER-UPPER", help="0.8-1.2Hz, 48-72bpm, 1200-1800rpm."),
]

ModeOption = Annotated[
    Mode | None,
    Option(
        "--mode",
        help="Measure motion from the first frame (static), from the last one (dynamic) or within "
        "a band of frequencies (temporal).",
        show_default="temporal with a band, else static",
    ),
]

Fl = Annotated[float | None, Option("--fl", metavar="HZ", help="Lower edge of the band.")]

Fh = Annotated[float | None, Option("--fh", metavar="HZ", help="Upper edge of the band.")]

Order = Annotated[
    int | None,
    Option(
        "--order",
        min=1,
        max=2,
        help="Steepness of the band's edges.",
        show_default="2 if narrower than an octave, else 1; or the preset's",
    ),
]

Drift = Annotated[
    float | None,
    Option("--drift", metavar="HZ", help="Static: the reference follows the picture at this rate."),
]

LayoutOption = Annotated[
    Layout,
    Option(
        "--layout",
        help="The magnified picture alone, beside the original, half each, less the original; "
        "or the original alone.",
    ),
]

Model = Annotated[
    str | None,
    Option(
        "--model",
        metavar="NAME|FILE",
        help="fast, standard, none, or an exported file: .onnx, or .pt2 with --unsafe.",
        show_default="fast",
    ),
]

EngineOption = Annotated[
    EngineName,
    Option(
        "--engine",
        help="What runs the model: onnx or openvino on CPUs, cuda on NVIDIA GPUs; torch and "
        "tensorrt run .pt2 files.",
    ),
]

BenchEngines = Annotated[
    list[str] | None,  # typer knows no lists of names
    Option("--engine", help="As of `rtmag camera`; repeatable.", show_default="auto"),
]

LiveModel = Annotated[
    str | None,
    Option(
        "--model",
        metavar="NAME|FILE|auto",
        help="As for file; auto: the most faithful that keeps up with the camera.",
    ),
]

LiveScale = Annotated[
    Literal["auto", "1", "1/2", "1/4"],
    Option("--motion-scale", help="As for file; auto: the largest that keeps up."),
]

MotionScale = Annotated[
    Scale,
    Option("--motion-scale", help="Look for motion in a picture of this size: faster, coarser."),
]

Like = Annotated[
    Path | None,
    Option("--like", metavar="OUTPUT", help="Repeat the settings of an earlier output."),
]

MaxPixels = Annotated[
    int,
    Option("--max-pixels", min=1, help="Refuse videos and pictures of more pixels than this."),
]

Strict = Annotated[bool, Option("--strict", help="Exit with 1 where damage in a file cost frames.")]

Hidden = Annotated[str | None, Option(hidden=True)]

LiveOut = Annotated[
    Literal["-"] | None,
    Option("--out", "-o", help="-: also pass the frames on, as Y4M on stdout."),
]

VirtualCamera = Annotated[
    str | None,
    Option(
        "--virtual-camera",
        metavar="DEVICE|first",
        help="Also show it as a camera that other programs can open.",
    ),
]

Unsafe = Annotated[
    bool, Option("--unsafe", help="Allow .pt2 models, which may run any code once opened.")
]

Compile = Annotated[
    bool,
    Option("--compile", help="Compile a .pt2 model of one size first: half a minute or more."),
]

BenchCompile = Annotated[bool, Option("--compile", help="Time .pt2 models compiled as well.")]

Overwrite = Annotated[bool, Option("--overwrite", help="Replace an output that exists.")]

View = Annotated[ViewKind, Option("--view", help="Show it in a window, or not at all.")]

LiveView = Annotated[
    LiveViewKind, Option("--view", help="Show it in a window, in browsers, or not at all.")
]

Host = Annotated[
    str,
    Option("--host", help="View web: where to listen; others need the token (RTMAG_TOKEN)."),
]

Port = Annotated[
    int | None,
    Option("--port", min=0, max=65535, help="View web.", show_default="8089, or the next free one"),
]


def _kept_secret(context: Context, value: str | None) -> str | None:
    source = context.get_parameter_source("token")
    if source is not None and source.name == "COMMANDLINE":
        raise OptionError(
            "a token among the options is shown to all users of this machine by ps; "
            "set RTMAG_TOKEN, or token in rtmag.toml"
        )
    return value


Token = Annotated[str | None, Option("--token", hidden=True, callback=_kept_secret)]
"""Of the page, in place of one by chance. For rtmag.toml and RTMAG_TOKEN only."""

MaxViewers = Annotated[int, Option("--max-viewers", min=1, max=1000, help="View web.")]

ProgressOption = Annotated[
    ProgressKind, Option("--progress", help="auto: a bar on a terminal, lines elsewhere.")
]

DemoFrames = Annotated[int, Option("--frames", min=1, help="How many frames, 30 a second.")]

DemoOut = Annotated[
    str | None,
    Option("--out", help="A folder, or how the outputs begin.", show_default="rtmag-demo"),
]

DemoWindow = Annotated[bool, Option("--window", help="Show it while it is made.")]

Camera = Annotated[
    str, Argument(metavar="[INDEX|NAME]", help="See rtmag cameras; 'test' is the built-in scene.")
]

Size = Annotated[
    str | None,
    Option(
        "--size",
        metavar="WxH|auto",
        help="Ask the camera for this size; auto: keep its own, and let the motion scale follow.",
    ),
]

Fps = Annotated[float | None, Option("--fps", min=0.1, help="Ask the camera for this rate.")]

PixelFormat = Annotated[
    str | None,
    Option("--pixel-format", metavar="CODE", help="Ask for MJPG, YUYV ...", show_default="MJPG"),
]

LockExposure = Annotated[
    bool, Option("--lock-exposure", help="No automatic exposure and white balance: they flicker.")
]

Address = Annotated[
    str,
    Argument(
        metavar="URL|-|screen",
        envvar="RTMAG_URL",
        help="rtsp, rtmp, http(s), tcp, udp; - is standard input; screen:x,y,w,h a part of it.",
    ),
]

Timeout = Annotated[
    float, Option("--timeout", min=0.5, help="Seconds without a picture until it is opened again.")
]

Ca = Annotated[
    Path | None,
    Option("--ca", metavar="FILE", help="Certificates (PEM) that an encrypted stream must have."),
]

Wait = Annotated[bool, Option("--wait", help="Wait for a stream that is not there yet.")]

PipeSize = Annotated[
    str | None,
    Option(
        "--size",
        metavar="WxH|auto",
        help="Standard input is raw pictures of this size; auto: as of `rtmag camera`.",
    ),
]

PipeFps = Annotated[
    float | None, Option("--fps", min=0.1, help="Rate of raw pictures, or of the screen.")
]

PipeFormat = Annotated[Literal["bgr24", "rgb24"], Option("--pixel-format", help="Of raw pictures.")]

Record = Annotated[Path | None, Option("--record", metavar="FILE", help="Record what is made.")]

BenchModels = Annotated[
    list[str] | None,
    Option("--model", metavar="NAME|FILE", help="Repeatable.", show_default="all built in"),
]

BenchSizes = Annotated[
    list[str] | None,
    Option("--size", metavar="WxH", help="Repeatable.", show_default="640x480"),
]

Threads = Annotated[int | None, Option("--threads", min=1, help="Of the CPU.")]

BenchStreams = Annotated[
    str, Option("--streams", metavar="N,...", help="How many are stepped, such as 1,2,4.")
]

BenchPrecisions = Annotated[
    list[str] | None,
    Option(
        "--precision",
        metavar="auto|fp32",
        help="fp32 forbids OpenVINO bfloat16; repeatable.",
        show_default="auto",
    ),
]

BenchBaseline = Annotated[
    bool,
    Option(
        "--oh2018",
        help="Compare with the network of Oh et al., untrained, in place of the last model; needs "
        "rtmag[export].",
    ),
]

Rounds = Annotated[int, Option("--rounds", min=1, help="Steps timed of each.")]

Quick = Annotated[bool, Option("--quick", help="A small picture and few steps: does it run?")]

BenchOut = Annotated[Path | None, Option("--out", "-o", metavar="FILE", help="Also write it here.")]

Compare = Annotated[
    tuple[Path, Path] | None,
    Option("--compare", metavar="A B", help="Two results: how many times faster B is."),
]

StatsOption = Annotated[
    StatsKind | None,
    Option("--stats", help="Figures on stdout, a line a second and a summary."),
]

Limit = Annotated[int | None, Option("--frames", min=1, help="Stop after so many.")]

Paths = Annotated[
    list[str],
    Argument(
        metavar="IN... [OUT]",
        help="Videos or folders of images; of two, the second may be the output.",
    ),
]

Output = Annotated[
    str | None,
    Option("--output", "-o", metavar="DIR", help="Where to.", show_default="beside each input"),
]

CaptureFps = Annotated[
    float | None,
    Option("--capture-fps", min=0.001, help="Slow motion: the rate at which it was filmed."),
]

Audio = Annotated[bool, Option("--audio/--no-audio", help="Keep the sound.")]

SkipExisting = Annotated[bool, Option("--skip-existing", help="Pass over finished files.")]


def check_new(path: Path | None, *, overwrite: bool) -> None:
    """Refuse to destroy a file, or to write where there is no folder.

    Raises:
        OptionError: as said.
    """
    if path is None:
        return
    if path.exists() and not overwrite:
        raise OptionError(f"cannot write {str(path)!r}: it exists; use --overwrite")
    if not path.absolute().parent.is_dir():
        raise OptionError(f"cannot write {str(path)!r}: no such folder")


def scale_of(text: str) -> float | None:
    """The number of a motion scale; None for `auto`."""
    return {"auto": None, **{scale_name(scale): scale for scale in MOTION_SCALES}}[text]


def parse_size(text: str | None) -> tuple[int, int] | None:
    """(width, height) from '640x480'."""
    if text is None:
        return None
    width, cross, height = text.lower().partition("x")
    if not (cross and width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise OptionError(f"a size is WIDTHxHEIGHT, such as 640x480, got {text!r}")
    return int(width), int(height)


def parse_live_size(text: str | None, scale: str = AUTO) -> tuple[int, int] | None:
    """What is asked of a live source: nothing for `auto`, by which only the motion scale gives way.

    Raises:
        OptionError: neither a size nor auto, or a motion scale that cannot give way.
    """
    if text != AUTO:
        return parse_size(text)
    if scale != AUTO:
        raise OptionError(
            f"--size auto wants a motion scale that follows the machine, got {scale}: leave out "
            "one of both"
        )
    return None


def parse_streams(text: str) -> list[int]:
    """Numbers of streams, as 1,2,4."""
    counts = text.split(",")
    if not all(count.strip().isdecimal() and int(count) for count in counts):
        raise OptionError(f"--streams takes numbers of at least 1, such as 1,2,4, got {text!r}")
    return [int(count) for count in counts]


def engine_spec(
    model: str | None, engine: EngineName, scale: str, unsafe: bool, compiled: bool
) -> "EngineSpec":
    """Which engine is wanted."""
    from rtmag.realtime.engines.loading import EngineSpec

    motion_scale = scale_of(scale)
    return EngineSpec(
        model=model, engine=engine, motion_scale=motion_scale, unsafe=unsafe, compiled=compiled
    )
