"""The live commands: `rtmag camera` and `rtmag stream`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import typer
from typer import Argument, Context, Option

from rtmag.realtime.cli import options
from rtmag.realtime.cli.console import notice, print_link, print_result
from rtmag.realtime.controls import SPEEDS, LiveViewKind
from rtmag.realtime.errors import OptionError, RtmagError
from rtmag.realtime.media.image_size import MAX_PIXELS

if TYPE_CHECKING:
    from rtmag.realtime.run.live import LiveOptions
    from rtmag.realtime.run.report import Report, Stats
    from rtmag.realtime.sources.source import SourceOptions


def _checked_token(context: Context, value: str | None) -> str | None:
    """Refuse a token from the command line; return any other unchanged."""
    source = context.get_parameter_source("token")
    if source is not None and source.name == "COMMANDLINE":
        raise OptionError(
            "a token on the command line is visible to all users of this machine (ps); "
            "set RTMAG_TOKEN, or token in your own rtmag.toml"
        )
    return value


@dataclass(frozen=True, kw_only=True)
class CameraOptions:
    """Settings to request from a camera."""

    panel: ClassVar = "Camera"
    size: Annotated[
        str | None,
        Option(
            "--size",
            metavar="WxH|auto",
            callback=options.checked_size,
            help="Picture size to request from the camera, in pixels. auto: keep the size of the "
            "camera and adapt only the motion scale.",
        ),
        options.HARMLESS,
    ] = None
    fps: Annotated[
        float | None,
        Option(
            "--fps",
            min=0.1,
            max=options.MAX_RATE,
            help="Frame rate to request from the camera, in frames/s.",
        ),
        options.HARMLESS,
    ] = None
    pixel_format: Annotated[
        str | None,
        Option(
            "--pixel-format",
            metavar="CODE",
            help="Pixel format to request from the camera, for example MJPG or YUYV.",
            show_default="MJPG",
        ),
        options.HARMLESS,
    ] = None
    lock_exposure: Annotated[
        bool,
        Option(
            "--lock-exposure",
            help="Turn off automatic exposure and white balance, which cause flicker.",
        ),
        options.HARMLESS,
    ] = False

    def source_options(self, scale: str) -> "SourceOptions":
        """The options of the source; raises OptionError, see `options.parse_live_size`."""
        from rtmag.realtime.sources.source import SourceOptions

        return SourceOptions(
            size=options.parse_live_size(self.size, scale),
            fps=self.fps,
            pixel_format=self.pixel_format,
            lock_exposure=self.lock_exposure,
        )


@dataclass(frozen=True, kw_only=True)
class PlaybackOptions:
    """The playback of a file that is shown like a camera."""

    panel: ClassVar = "File"
    start: Annotated[
        float | None,
        Option(
            "--start",
            metavar="SECONDS",
            min=0,
            max=options.MAX_COUNT,
            help="Play a file from this time on, in seconds after its first frame.",
            show_default="its beginning",
        ),
        options.HARMLESS,
    ] = None
    end: Annotated[
        float | None,
        Option(
            "--end",
            metavar="SECONDS",
            min=0,
            max=options.MAX_COUNT,
            help="Play a file up to this time, in seconds after its first frame.",
            show_default="its end",
        ),
        options.HARMLESS,
    ] = None
    speed: Annotated[
        float,
        Option(
            "--speed",
            min=SPEEDS[0],
            max=SPEEDS[-1],
            help="Play a file at this speed: 0.25 is four times slower. Bands stay in hertz.",
        ),
        options.HARMLESS,
    ] = 1.0
    once: Annotated[
        bool,
        Option("--once", help="Pause at the end of a file; without it, the file begins again."),
        options.HARMLESS,
    ] = False

    def settings(self) -> dict[str, Any]:
        """The initial settings, as `Playback.change` takes them.

        Raises:
            OptionError: the end is not after the start.
        """
        if self.end is not None and self.end <= (self.start or 0.0):
            raise OptionError(f"--end {self.end:g} must be after --start {self.start or 0.0:g}")
        part = {"start": self.start, "end": self.end}
        return part | {"speed": self.speed, "loop": not self.once}


@dataclass(frozen=True, kw_only=True)
class StreamOptions:
    """The connection to a stream, and the format of raw pictures on standard input."""

    panel: ClassVar = "Stream"
    timeout: Annotated[
        float,
        Option(
            "--timeout",
            min=0.5,
            max=86_400,
            help="Open the stream again after this many seconds without a picture.",
        ),
        options.HARMLESS,
    ] = 5.0
    ca: options.CertificatesOption = None
    wait: Annotated[
        bool,
        Option("--wait", help="Wait for a stream that is not available yet."),
        options.HARMLESS,
    ] = False
    size: Annotated[
        str | None,
        Option(
            "--size",
            metavar="WxH|auto",
            callback=options.checked_size,
            help="Standard input contains raw pictures of this size, in pixels. auto: keep the "
            "size of the source and adapt only the motion scale.",
        ),
        options.HARMLESS,
    ] = None
    fps: Annotated[
        float | None,
        Option(
            "--fps",
            min=0.1,
            max=options.MAX_RATE,
            help="Frame rate of raw pictures or of the screen capture, or largest rate of requests "
            "to an address that gives one picture each time, in frames/s.",
        ),
        options.HARMLESS,
    ] = None
    pixel_format: Annotated[
        Literal["bgr24", "rgb24"],
        Option("--pixel-format", help="Pixel format of raw pictures."),
        options.HARMLESS,
    ] = "bgr24"
    matrix: Annotated[
        options.MatrixName,
        Option(
            "--matrix",
            help="Colour matrix of Y4M on standard input, which Y4M cannot state. Video in HD "
            "often has bt709.",
        ),
        options.HARMLESS,
    ] = "bt601"
    max_pixels: options.MaxPixels = MAX_PIXELS

    def source_options(self, scale: str, note: Callable[[str], None]) -> "SourceOptions":
        """The options of the source; `note` prints messages while it waits for the stream."""
        from rtmag.realtime.sources.source import SourceOptions

        return SourceOptions(
            size=options.parse_live_size(self.size, scale),
            fps=self.fps,
            pixel_format=self.pixel_format,
            matrix=self.matrix,
            timeout=self.timeout,
            ca=self.ca,
            max_pixels=self.max_pixels,
            note=note,
            wait=note if self.wait else None,
        )


@dataclass(frozen=True, kw_only=True)
class ViewOptions:
    """The view of a live command."""

    panel: ClassVar = "View"
    view: Annotated[
        LiveViewKind,
        Option("--view", help="Show the video in a window, in web browsers, or not at all."),
        options.HARMLESS,
    ] = "window"
    layout: options.LayoutOption = "magnified"
    host: Annotated[
        str,
        Option(
            "--host",
            help="Web view: address to listen on. For access from other machines, browsers need a "
            "token: the value of RTMAG_TOKEN, or a random one.",
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
    """Token of the page; None: a random one. Only from the user's rtmag.toml and RTMAG_TOKEN."""
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
        """The keyword arguments of `LiveOptions`; the layout is one of the controls."""
        return options.without(self, "layout")


@dataclass(frozen=True, kw_only=True)
class LiveOutputOptions:
    """The outputs of a live command, in addition to its view."""

    panel: ClassVar = "Output"
    record: Annotated[
        Path | None,
        Option("--record", metavar="FILE", help="Record the result to this video file."),
    ] = None
    overwrite: options.Overwrite = False
    out: Annotated[
        Literal["-"] | None,
        Option(
            "--out",
            "-o",
            help="-: also write the frames to standard output, as Y4M. For a file, use --record.",
        ),
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
        int | None,
        Option("--frames", min=1, max=options.MAX_COUNT, help="Stop after this many frames."),
    ] = None
    stats: Annotated[
        Literal["json"] | None,
        Option(
            "--stats",
            help="Print statistics as JSON on standard output: a line per second, and a summary "
            "at the end.",
        ),
    ] = None

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of `LiveOptions`; the command itself prints the statistics."""
        return {**options.without(self, "frames", "stats"), "limit": self.frames}


CameraSpec = Annotated[
    str,
    Argument(
        metavar="[INDEX|NAME|FILE]",
        help="Index or name of a camera, as listed by `rtmag cameras`; or a video file, a folder "
        "of pictures or a TIFF stack, which is played in a loop. test: the built-in scene.",
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


@options.grouped
def camera(
    motion: options.MotionOptions,
    camera: CameraOptions,
    playback: PlaybackOptions,
    view: ViewOptions,
    output: LiveOutputOptions,
    model: options.LiveModelOptions,
    spec: CameraSpec = "0",
) -> None:
    """Magnify a camera live, or play a file. Keys, mouse or the web page change the settings."""
    source = camera.source_options(model.motion_scale)
    _run(spec, motion, source, view, output, model, playback.settings())


@options.grouped
def stream(
    motion: options.MotionOptions,
    stream: StreamOptions,
    view: ViewOptions,
    output: LiveOutputOptions,
    model: options.LiveModelOptions,
    address: Address,
) -> None:
    """Magnify a network stream, standard input or the screen live. Lost streams are reopened."""
    _run(address, motion, stream.source_options(model.motion_scale, notice), view, output, model)


def _run(
    spec: str,
    motion: options.MotionOptions,
    source: "SourceOptions",
    view: ViewOptions,
    output: LiveOutputOptions,
    model: options.LiveModelOptions,
    playback: dict[str, Any] | None = None,
) -> None:
    """Magnify a source live and print the report.

    Raises:
        typer.Exit: the run was interrupted (code 130) or had errors (code 1).
    """
    controls = motion.controls(view.layout, live=True)
    from rtmag.realtime.run.live import LiveOptions, run_live
    from rtmag.realtime.run.report import Stats

    stats = Stats(print_result) if output.stats is not None else None
    live = LiveOptions(
        notice=notice,
        print_link=print_link,
        controls=controls,
        playback=playback or {},
        capture_fps=motion.capture_fps,
        source=source,
        engine=model.spec(),
        **view.arguments(),
        **output.arguments(),
        stats=stats,
    )
    if stats is not None and live.out is not None:
        raise OptionError("--stats json and --out - both use standard output: leave out one")
    report = run_live(spec, live) if stats is None else _run_with_stats(spec, live, stats)
    if stats is None:
        (print_result if live.out is None else notice)(report)
    for error in report.errors:
        notice(f"error: {error}")
    if report.ending == "interrupt":
        raise typer.Exit(130)
    if report.errors:
        raise typer.Exit(1)


def _run_with_stats(spec: str, live: "LiveOptions", stats: "Stats") -> "Report":
    """Run with statistics as JSON on standard output."""
    from rtmag.realtime.run.live import run_live

    try:
        report = run_live(spec, live)
    except RtmagError:
        stats.fail()
        raise
    stats.end(report)
    return report
