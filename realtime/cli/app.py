"""The commands: `rtmag demo`, `camera`, `stream`, `cameras`, `file`, `train`, `export` and others.

They read the options and call the other packages. Heavy libraries are imported inside the
functions, so that `--help` is fast.
"""

import json
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer

from rtmag.realtime.cli import live, options, settings
from rtmag.realtime.cli.bench import bench
from rtmag.realtime.cli.console import notice, print_path, print_result
from rtmag.realtime.cli.measure import measure
from rtmag.realtime.cli.settings import ConfigurableCommand
from rtmag.realtime.controls import ViewKind
from rtmag.realtime.environment import rtmag_version
from rtmag.realtime.errors import SourceUnavailable
from rtmag.realtime.filters import format_band
from rtmag.realtime.log import visible
from rtmag.realtime.media.image_size import MAX_PIXELS
from rtmag.realtime.presets import PRESETS

_WELCOME = """\
rtmag magnifies motion that is too small to see.
  rtmag demo          magnify a built-in scene: needs no camera and no display
  rtmag camera        magnify your camera live; press h in the window for the keys
  rtmag stream URL    magnify a network camera live: rtsp, rtmp, http, tcp or udp
  rtmag file VIDEO    magnify a video file, with its sound, to a new file next to it
  rtmag measure VIDEO measure frequency and amplitude of the motion, also of a camera
  rtmag doctor        check what works on this machine, and how to install the rest
  rtmag --help        list all commands; rtmag COMMAND --help lists their options"""

_ANY_ARGUMENTS = {"allow_extra_args": True, "ignore_unknown_options": True}

_PASS_THROUGH = {**_ANY_ARGUMENTS, "help_option_names": []}

app = typer.Typer(
    add_completion=True,
    pretty_exceptions_enable=False,
    help="Magnify motion that is too small to see, live.",
)

config = typer.Typer(
    no_args_is_help=True, help="Show the options set in rtmag.toml and in RTMAG_* variables."
)

app.add_typer(config, name="config")


@app.callback(invoke_without_command=True)
def welcome(
    context: typer.Context,
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.")
    ] = False,
    debug: Annotated[
        bool,
        typer.Option("--debug", help="Print the traceback of an error. Allowed anywhere."),
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", "-v", help="Print the log on standard error. Allowed anywhere."),
    ] = False,
    log_json: Annotated[
        bool,
        typer.Option(
            "--log-json",
            help="Print notices, errors and the log on standard error as lines of JSON. Allowed "
            "anywhere.",
        ),
    ] = False,
) -> None:
    """Magnify motion that is too small to see, live."""
    # `main.execute` handles --debug, --verbose and --log-json; they are declared for --help.
    if show_version:
        print_result(f"rtmag {rtmag_version()}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print_result(_WELCOME)


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """The length and the output of the demo."""

    panel: ClassVar = "Demo"
    frames: Annotated[
        int,
        typer.Option(
            "--frames", min=1, max=options.MAX_COUNT, help="Number of frames, at 30 frames/s."
        ),
    ] = 240
    alpha: Annotated[float, typer.Option("--alpha", "-a", help=options.ALPHA_HELP)] = 20.0
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            help="Output folder, or the beginning of the output files' names.",
            show_default="rtmag-demo",
        ),
    ] = None
    window: Annotated[
        bool, typer.Option("--window", help="Show the video in a window while it is made.")
    ] = False
    overwrite: options.Overwrite = False


@app.command()
@options.grouped
def demo(demo: DemoOptions, model: options.ModelOptions) -> None:
    """Magnify the built-in scene and measure the gain. Needs no camera, display or network."""
    alpha = options.MotionOptions(alpha=demo.alpha).controls().alpha
    from rtmag.realtime.cli.progress import progress_of
    from rtmag.realtime.run.demo import Demo

    outcome = Demo(
        frames=demo.frames,
        alpha=alpha,
        out=demo.out,
        window=demo.window,
        overwrite=demo.overwrite,
        engine=model.spec(),
        progress=progress_of("auto"),
    ).run()
    for line in outcome.lines:
        print_result(visible(line))
    if outcome.report.ending == "interrupt":
        raise typer.Exit(130)


app.command(cls=ConfigurableCommand)(live.camera)

app.command(cls=ConfigurableCommand)(live.stream)


@app.command()
def cameras() -> None:
    """List the cameras, by index and name."""
    from rtmag.realtime.sources.camera import NO_CAMERA, list_cameras

    found = list_cameras()
    if not found:
        raise SourceUnavailable(NO_CAMERA)
    for each in found:
        print_result(visible(str(each)))


@dataclass(frozen=True, kw_only=True)
class InputOptions:
    """The treatment of input files."""

    panel: ClassVar = "Input"
    fps: Annotated[
        float | None,
        typer.Option(
            "--fps",
            min=0.001,
            max=options.MAX_RATE,
            help="Frame rate in frames/s of pictures in a folder, and of files without timestamps, "
            "such as raw .h264.",
            show_default="30, or the rate in the header of the file",
        ),
        options.HARMLESS,
    ] = None
    matrix: Annotated[
        options.MatrixName | None,
        typer.Option(
            "--matrix",
            help="Colour matrix of files that do not state it, such as Y4M. Video in HD often has "
            "bt709.",
            show_default="bt601",
        ),
        options.HARMLESS,
    ] = None
    deinterlace: Annotated[
        bool,
        typer.Option(
            "--deinterlace/--no-deinterlace",
            help="Deinterlace frames that are marked as interlaced.",
        ),
        options.HARMLESS,
    ] = True
    max_pixels: options.MaxPixels = MAX_PIXELS
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Exit with code 1 if damage in a file caused a loss of frames."
        ),
        options.HARMLESS,
    ] = False


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """The output of `rtmag file`."""

    panel: ClassVar = "Output"
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR|FILE|-",
            help="Output folder; for a single input also an output file, or - for Y4M on standard "
            "output.",
            show_default="the folder of each input",
        ),
    ] = None
    layout: options.LayoutOption = "magnified"
    audio: Annotated[
        bool, typer.Option("--audio/--no-audio", help="Copy the sound."), options.HARMLESS
    ] = True
    overwrite: options.Overwrite = False
    skip_existing: Annotated[
        bool,
        typer.Option("--skip-existing", help="Skip inputs whose output exists."),
        options.HARMLESS,
    ] = False
    view: Annotated[
        ViewKind,
        typer.Option("--view", help="Show the video in a window, or not at all."),
        options.HARMLESS,
    ] = "none"
    progress: Annotated[
        options.ProgressKind,
        typer.Option(
            "--progress",
            help="auto: a bar on a terminal, else lines of text, on standard error. json: lines of "
            "JSON on standard output. none: nothing.",
        ),
        options.HARMLESS,
    ] = "auto"

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of `FileBatch`: all options that it has a field for."""
        return options.without(self, "output", "layout", "progress")


Paths = Annotated[
    list[str],
    typer.Argument(
        metavar="IN... [OUT]",
        help="Video files, folders of videos or of pictures, TIFF stacks, or patterns such as "
        "'*.mp4' and f%03d.png. The second of two names is the output if there is no such file "
        "yet.",
    ),
]

Like = Annotated[
    Path | None,
    typer.Option(
        "--like",
        metavar="OUTPUT",
        rich_help_panel="Output",
        help="Use the settings of this earlier output of rtmag. Options given here have priority.",
    ),
]


@app.command(cls=ConfigurableCommand)
@options.grouped
def file(
    context: typer.Context,
    paths: Paths,
    motion: options.MotionOptions,
    input: InputOptions,
    output: OutputOptions,
    model: options.ModelOptions,
    like: Like = None,
    model_sha256: options.HiddenOption = None,
) -> None:
    """Magnify every frame of video files; keep time stamps and sound. Existing files are kept."""
    if like is not None:
        file(context=context, **_merged_parameters(context, like))
        return
    controls = motion.controls(output.layout)
    from rtmag.realtime.cli.progress import progress_of
    from rtmag.realtime.run.files import FileBatch
    from rtmag.realtime.run.jobs import plan

    piped = output.output == "-" and output.progress == "auto"
    code = FileBatch(
        controls=controls,
        capture_fps=motion.capture_fps,
        model_sha256=model_sha256,
        engine=model.spec(),
        progress=progress_of("none" if piped else output.progress),
        notice=notice,
        done=print_path,
        **asdict(input),
        **output.arguments(),
    ).run(plan(paths, output.output, controls.alpha, notice))
    raise typer.Exit(code)


def _merged_parameters(context: typer.Context, like: Path) -> dict[str, Any]:
    """Merge the settings of an earlier output into the parameters of a command.

    Options of the command line have priority over these settings; they override rtmag.toml.
    """
    from rtmag.realtime.run.provenance import merge_options, read_settings

    earlier = read_settings(like)
    explicit = {
        name: value
        for name, value in context.params.items()
        if (source := context.get_parameter_source(name)) and source.name == "COMMANDLINE"
    }
    sha256 = None if "model" in explicit else earlier.get("model_sha256")
    rest = context.params | {"band": None, "preset": None}  # not repeated: from rtmag.toml
    return rest | merge_options(earlier, explicit) | {"like": None, "model_sha256": sha256}


app.command(cls=ConfigurableCommand)(measure)


@app.command(context_settings=_PASS_THROUGH)
def train(context: typer.Context) -> None:
    r"""Train a model. Needs the extra: pip install 'rtmag\[train]'."""
    import_module("rtmag.train.__main__").main(context.args)


@app.command(context_settings=_PASS_THROUGH)
def export(context: typer.Context) -> None:
    r"""Export a trained model to ONNX. Needs the extra: pip install 'rtmag\[export]'."""
    import_module("rtmag.export.cli").main(context.args)


app.command()(bench)


@app.command()
def doctor(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, for programs and bug reports.")
    ] = False,
) -> None:
    """Check what works on this machine, and print how to install or repair the rest."""
    from rtmag.realtime.cli.doctor import as_data, as_text, examine, healthy

    findings = examine()
    print_result(json.dumps(as_data(findings), indent=2) if as_json else as_text(findings))
    if not healthy(findings):
        raise typer.Exit(1)


@app.command()
def presets() -> None:
    """List the presets: mode, band, alpha, order and purpose of each."""
    for name, preset in PRESETS.items():
        filter, band = preset.filter, format_band(*preset.filter.band, preset.unit)
        print_result(
            f"{name:9} --mode {filter.mode} --band {band} --alpha {preset.alpha:g} "
            f"--order {filter.order}"
        )
        print_result(f"          {preset.why}")


@config.command("show", context_settings=_ANY_ARGUMENTS)
def config_show(
    context: typer.Context,
    command: Annotated[
        str | None,
        typer.Argument(
            metavar="[COMMAND] [ITS OPTIONS]",
            help="camera, stream, file or measure, and any of its options.",
            show_default="all four commands",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Show the value of each option, and where it is set."""
    shown = settings.show(context, [command] if command else [], context.args)
    if as_json:
        plain = {
            name: {key: {"value": each.value, "from": each.origin} for key, each in found.items()}
            for name, found in shown.items()
        }
        print_result(json.dumps(plain, indent=2))
        return
    for name, found in shown.items():
        print_result(f"[{name}]")
        for key, each in found.items():
            value = "-" if each.value is None else visible(str(each.value))
            print_result(f"{key.replace('_', '-'):14} {value:14} {each.origin}")
