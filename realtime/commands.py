"""The commands: `rtmag demo`, `camera`, `cameras`, `file`, `train`, `export`, `bench`, `doctor`.

They only read options and hand over; heavy libraries are imported inside them, so that help is
quick.
"""

import json
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from rtmag.realtime import options
from rtmag.realtime.errors import MissingExtra, RtmagError, SourceUnavailable
from rtmag.realtime.installed import rtmag_version

if TYPE_CHECKING:
    from rtmag.realtime.engine import EngineSpec
    from rtmag.realtime.progress import Progress

_WELCOME = """\
rtmag shows motion too small to see.
  rtmag demo          a built-in scene, magnified: needs no camera and no display
  rtmag camera        your camera, live; press h in its window for the keys
  rtmag file VIDEO    a video file, with its sound, to a new file beside it
  rtmag doctor        what works on this machine, and what to do about the rest
  rtmag --help        all commands; rtmag COMMAND --help for their options"""

app = typer.Typer(
    add_completion=True,
    pretty_exceptions_enable=False,
    help="Magnify motion too small to see, live.",
)
_passed_on = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def _out(words: object) -> None:
    print(words, flush=True)


def _note(words: object) -> None:
    print(words, file=sys.stderr, flush=True)


@app.callback(invoke_without_command=True)
def welcome(
    context: typer.Context,
    show_version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Anywhere: show where an error came from.")
    ] = False,
) -> None:
    """Magnify motion too small to see, live."""
    if show_version:
        _out(f"rtmag {rtmag_version()}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        _out(_WELCOME)


@app.command()
def demo(
    frames: options.DemoFrames = 240,
    alpha: options.Alpha = 20.0,
    out: options.DemoOut = None,
    window: options.DemoWindow = False,
    overwrite: options.Overwrite = False,
    model: options.Model = None,
    provider: options.Provider = "auto",
    motion_scale: options.MotionScale = "1",
) -> None:
    """Magnify the built-in scene and measure the gain. Needs no camera, display or network."""
    options.make_controls(alpha=alpha, mode=None, fl=None, fh=None)
    from rtmag.realtime.demo import Demo

    outcome = Demo(
        frames=frames,
        alpha=alpha,
        out=out,
        window=window,
        overwrite=overwrite,
        engine=_engine(model, provider, motion_scale),
        progress=_progress("auto"),
    ).run()
    for line in outcome.lines:
        _out(line)
    if outcome.report.ending == "interrupt":
        raise typer.Exit(130)


@app.command()
def camera(
    spec: options.Camera = "0",
    alpha: options.Alpha = 20.0,
    mode: options.ModeOption = None,
    fl: options.Fl = None,
    fh: options.Fh = None,
    order: options.Order = 1,
    drift: options.Drift = None,
    size: options.Size = None,
    fps: options.Fps = None,
    record: options.Record = None,
    view: options.LiveView = "window",
    host: options.Host = "127.0.0.1",
    port: options.Port = None,
    max_viewers: options.MaxViewers = 16,
    layout: options.LayoutOption = "magnified",
    frames: options.Limit = None,
    overwrite: options.Overwrite = False,
    model: options.LiveModel = "auto",
    provider: options.Provider = "auto",
    motion_scale: options.LiveScale = "auto",
) -> None:
    """Magnify a camera live. Keys change everything, and so does the page of --view web."""
    controls = options.make_controls(
        alpha=alpha, mode=mode, fl=fl, fh=fh, order=order, drift=drift, layout=layout
    )
    wanted = options.parse_size(size)
    from rtmag.realtime.live import Live

    report = Live(
        controls=controls,
        note=_note,
        size=wanted,
        fps=fps,
        record=record,
        overwrite=overwrite,
        view=view,
        host=host,
        port=port,
        max_viewers=max_viewers,
        engine=_engine(model, provider, motion_scale),
        limit=frames,
    ).run(spec)
    _out(report)
    for error in report.errors:
        _note(f"error: {error}")
    if report.ending == "interrupt":
        raise typer.Exit(130)
    if report.errors:
        raise typer.Exit(1)


@app.command()
def cameras() -> None:
    """List the cameras: index and name."""
    from rtmag.realtime.camera import NO_CAMERA, list_cameras

    found = list_cameras()
    if not found:
        raise SourceUnavailable(NO_CAMERA)
    for each in found:
        _out(each)


@app.command()
def file(
    paths: options.Paths,
    output: options.Output = None,
    alpha: options.Alpha = 20.0,
    mode: options.ModeOption = None,
    fl: options.Fl = None,
    fh: options.Fh = None,
    order: options.Order = 1,
    drift: options.Drift = None,
    capture_fps: options.CaptureFps = None,
    layout: options.LayoutOption = "magnified",
    audio: options.Audio = True,
    overwrite: options.Overwrite = False,
    skip_existing: options.SkipExisting = False,
    model: options.Model = None,
    provider: options.Provider = "auto",
    motion_scale: options.MotionScale = "1",
    view: options.View = "none",
    progress: options.ProgressOption = "auto",
) -> None:
    """Magnify videos: every frame, with time stamps and sound. Never overwrites unasked."""
    controls = options.make_controls(
        alpha=alpha, mode=mode, fl=fl, fh=fh, order=order, drift=drift, layout=layout
    )
    from rtmag.realtime.batch import Batch, plan

    code = Batch(
        controls=controls,
        capture_fps=capture_fps,
        audio=audio,
        overwrite=overwrite,
        skip_existing=skip_existing,
        engine=_engine(model, provider, motion_scale),
        view=view,
        progress=_progress(progress),
        note=_note,
        done=_out,
    ).run(plan(paths, output, alpha))
    raise typer.Exit(code)


def _engine(model: str | None, provider: str, scale: str) -> "EngineSpec":
    from rtmag.realtime.engine import EngineSpec

    return EngineSpec(model=model, provider=provider, motion_scale=options.scale_of(scale))


def _progress(kind: options.ProgressKind) -> "Progress":
    from rtmag.realtime.progress import open_progress

    return open_progress(kind, Console(stderr=True), Console())


@app.command(context_settings=_passed_on)
def train(context: typer.Context) -> None:
    """Train a model; needs the extra "train"."""
    _pass_on("train", context.args)


@app.command(context_settings=_passed_on)
def export(context: typer.Context) -> None:
    """Export a trained model to ONNX; needs the extra "export"."""
    _pass_on("export", context.args)


def _pass_on(package: str, args: list[str]) -> None:
    """Hand the arguments to a package whose libraries may not be installed."""
    try:
        command = import_module(f"rtmag.{package}.cli")
    except ImportError as error:
        if isinstance(error, RtmagError) or (error.name or "").startswith("rtmag"):
            raise
        raise MissingExtra(
            f"rtmag {package} needs {error.name}: pip install 'rtmag[{package}]'"
        ) from error
    command.main(args)


@app.command()
def bench(
    models: options.BenchModels = None,
    sizes: options.BenchSizes = None,
    provider: options.Provider = "auto",
    threads: options.Threads = None,
    rounds: options.Rounds = 30,
    quick: options.Quick = False,
    out: options.BenchOut = None,
    overwrite: options.Overwrite = False,
    compare: options.Compare = None,
) -> None:
    """Time models on this machine; the last line is JSON. Compare two such results."""
    from rtmag.realtime import comparison

    if compare is not None:
        _out("\n".join(comparison.compare(*compare)))
        return
    options.check_new(out, overwrite=overwrite)
    extents = [options.parse_size(each) or (640, 480) for each in sizes or ["640x480"]]
    from rtmag.realtime import bench as timing
    from rtmag.realtime.models import model_names

    document = timing.bench(
        models or model_names(),
        timing.QUICK if quick else extents,
        provider=provider,
        threads=threads,
        rounds=3 if quick else rounds,
    )
    _out("\n".join(comparison.report(document)))
    if out is not None:
        out.write_text(json.dumps(document, indent=2) + "\n")
    _out(json.dumps(document))


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="For programs and bug reports.")] = False,
) -> None:
    """Tell what works on this machine, and what to do about the rest."""
    from rtmag.realtime.doctor import as_data, as_text, examine, healthy

    findings = examine()
    _out(json.dumps(as_data(findings), indent=2) if as_json else as_text(findings))
    if not healthy(findings):
        raise typer.Exit(1)
