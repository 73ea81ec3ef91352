"""The commands: `rtmag demo`, `camera`, `stream`, `cameras`, `file`, `train`, `export` and others.

They only read options and hand over; heavy libraries are imported inside them, so that help is
quick.
"""

import json
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from rtmag.realtime.cli import bench as timing
from rtmag.realtime.cli import console as log
from rtmag.realtime.cli import live as watching
from rtmag.realtime.cli import options, settings
from rtmag.realtime.cli.console import note, tell
from rtmag.realtime.cli.controls import make_controls
from rtmag.realtime.cli.settings import Configured
from rtmag.realtime.environment import rtmag_version
from rtmag.realtime.errors import SourceUnavailable
from rtmag.realtime.filters import format_band
from rtmag.realtime.media.image_size import MAX_PIXELS
from rtmag.realtime.presets import PRESETS

if TYPE_CHECKING:
    from pathlib import Path

    from rtmag.realtime.run.report import Progress

_WELCOME = """\
rtmag shows motion too small to see.
  rtmag demo          a built-in scene, magnified: needs no camera and no display
  rtmag camera        your camera, live; press h in its window for the keys
  rtmag stream URL    a network camera: rtsp, rtmp, http, tcp or udp
  rtmag file VIDEO    a video file, with its sound, to a new file beside it
  rtmag doctor        what works on this machine, and what to do about the rest
  rtmag --help        all commands; rtmag COMMAND --help for their options"""

app = typer.Typer(
    add_completion=True,
    pretty_exceptions_enable=False,
    help="Magnify motion too small to see, live.",
)

config = typer.Typer(no_args_is_help=True, help="Options from rtmag.toml and RTMAG_* variables.")

app.add_typer(config, name="config")

_ANY_ARGUMENTS = {"allow_extra_args": True, "ignore_unknown_options": True}

_PASS_THROUGH = {**_ANY_ARGUMENTS, "help_option_names": []}


@app.callback(invoke_without_command=True)
def welcome(
    context: typer.Context,
    show_version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Anywhere: show where an error came from.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Anywhere: tell more, on stderr.")
    ] = False,
    log_json: Annotated[
        bool, typer.Option("--log-json", help="Anywhere: notes, errors and log as lines of JSON.")
    ] = False,
) -> None:
    """Magnify motion too small to see, live."""
    if show_version:
        tell(f"rtmag {rtmag_version()}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        tell(_WELCOME)


@app.command()
def demo(
    frames: options.DemoFrames = 240,
    alpha: options.Alpha = 20.0,
    out: options.DemoOut = None,
    window: options.DemoWindow = False,
    overwrite: options.Overwrite = False,
    model: options.Model = None,
    engine: options.EngineOption = "auto",
    motion_scale: options.MotionScale = "1",
    unsafe: options.Unsafe = False,
    compiled: options.Compile = False,
) -> None:
    """Magnify the built-in scene and measure the gain. Needs no camera, display or network."""
    make_controls(alpha=alpha)
    from rtmag.realtime.run.demo import Demo

    outcome = Demo(
        frames=frames,
        alpha=alpha,
        out=out,
        window=window,
        overwrite=overwrite,
        engine=options.engine_spec(model, engine, motion_scale, unsafe, compiled),
        progress=_progress("auto"),
    ).run()
    for line in outcome.lines:
        tell(line)
    if outcome.report.ending == "interrupt":
        raise typer.Exit(130)


app.command(cls=Configured)(watching.camera)

app.command(cls=Configured)(watching.stream)


@app.command()
def cameras() -> None:
    """List the cameras: index and name."""
    from rtmag.realtime.sources.camera import NO_CAMERA, list_cameras

    found = list_cameras()
    if not found:
        raise SourceUnavailable(NO_CAMERA)
    for each in found:
        tell(each)


@app.command(cls=Configured)
def file(
    context: typer.Context,
    paths: options.Paths,
    output: options.Output = None,
    alpha: options.AlphaOption = None,
    preset: options.PresetOption = None,
    mode: options.ModeOption = None,
    band: options.Band = None,
    fl: options.Fl = None,
    fh: options.Fh = None,
    order: options.Order = None,
    drift: options.Drift = None,
    capture_fps: options.CaptureFps = None,
    layout: options.LayoutOption = "magnified",
    audio: options.Audio = True,
    overwrite: options.Overwrite = False,
    skip_existing: options.SkipExisting = False,
    model: options.Model = None,
    engine: options.EngineOption = "auto",
    motion_scale: options.MotionScale = "1",
    unsafe: options.Unsafe = False,
    compiled: options.Compile = False,
    view: options.View = "none",
    progress: options.ProgressOption = "auto",
    like: options.Like = None,
    strict: options.Strict = False,
    max_pixels: options.MaxPixels = MAX_PIXELS,
    model_sha256: options.Hidden = None,
) -> None:
    """Magnify videos: every frame, with time stamps and sound. Never overwrites unasked."""
    if like is not None:
        return file(context, **_repeated(context, like))
    controls = make_controls(
        alpha=alpha,
        preset=preset,
        mode=mode,
        band=band,
        fl=fl,
        fh=fh,
        order=order,
        drift=drift,
        layout=layout,
    )
    from rtmag.realtime.run.files import Batch, plan

    code = Batch(
        controls=controls,
        capture_fps=capture_fps,
        audio=audio,
        overwrite=overwrite,
        skip_existing=skip_existing,
        strict=strict,
        max_pixels=max_pixels,
        model_sha256=model_sha256,
        engine=options.engine_spec(model, engine, motion_scale, unsafe, compiled),
        view=view,
        progress=_progress(progress if output != "-" or progress != "auto" else "none"),
        note=note,
        done=tell,
    ).run(plan(paths, output, controls.alpha))
    raise typer.Exit(code)


def _repeated(context: typer.Context, like: "Path") -> dict[str, Any]:
    """The options of a command, under those that an earlier output was made with."""
    from rtmag.realtime.run.provenance import read_note, repeated

    settings = read_note(like)
    given = {
        name: value
        for name, value in context.params.items()
        if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"
    }
    sha256 = None if "model" in given else settings.get("model_sha256")
    rest = context.params | {"band": None, "preset": None}  # settings from files tell of other runs
    return rest | repeated(settings, given) | {"like": None, "model_sha256": sha256}


def _progress(kind: options.ProgressKind) -> "Progress":
    from rtmag.realtime.cli.progress import Output, open_progress

    if kind == "auto" and log.is_json():
        kind = "none"
    return open_progress(kind, Console(stderr=True), Output())


@app.command(context_settings=_PASS_THROUGH)
def train(context: typer.Context) -> None:
    """Train a model; needs the extra "train"."""
    import_module("rtmag.train.cli").main(context.args)


@app.command(context_settings=_PASS_THROUGH)
def export(context: typer.Context) -> None:
    """Export a trained model to ONNX; needs the extra "export"."""
    import_module("rtmag.export.cli").main(context.args)


app.command()(timing.bench)


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="For programs and bug reports.")] = False,
) -> None:
    """Tell what works on this machine, and what to do about the rest."""
    from rtmag.realtime.cli.doctor import as_data, as_text, examine, healthy

    findings = examine()
    tell(json.dumps(as_data(findings), indent=2) if as_json else as_text(findings))
    if not healthy(findings):
        raise typer.Exit(1)


@app.command()
def presets() -> None:
    """List what --preset may be: mode, band, alpha and order that go together, and why."""
    for name, preset in PRESETS.items():
        band = format_band(*preset.band, preset.unit)
        typer.echo(
            f"{name:9} --mode {preset.mode} --band {band} --alpha {preset.alpha:g} "
            f"--order {preset.order}"
        )
        typer.echo(f"          {preset.why}")


@config.command("show", context_settings=_ANY_ARGUMENTS)
def config_show(
    context: typer.Context,
    command: Annotated[str | None, typer.Argument(metavar="[COMMAND] [ITS OPTIONS]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show each option's value and where it comes from."""
    shown = settings.show([command] if command else [], context.args)
    if as_json:
        plain = {
            name: {key: {"value": each.value, "from": each.origin} for key, each in found.items()}
            for name, found in shown.items()
        }
        typer.echo(json.dumps(plain, indent=2))
        return
    for name, found in shown.items():
        typer.echo(f"[{name}]")
        for key, each in found.items():
            typer.echo(f"{key:14} {'-' if each.value is None else each.value!s:14} {each.origin}")


settings._apps.append(app)
