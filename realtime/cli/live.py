"""The live commands: `rtmag camera` and `rtmag stream`."""

from typing import TYPE_CHECKING

import typer

from rtmag.realtime.cli import options
from rtmag.realtime.cli.console import notice, print_link, print_result
from rtmag.realtime.errors import OptionError, RtmagError

if TYPE_CHECKING:
    from rtmag.realtime.run.live import Live
    from rtmag.realtime.run.report import Report
    from rtmag.realtime.sources.source import SourceOptions


@options.grouped
def camera(
    motion: options.MotionOptions,
    camera: options.CameraOptions,
    view: options.ViewOptions,
    output: options.LiveOutputOptions,
    model: options.LiveModelOptions,
    spec: options.CameraSpec = "0",
) -> None:
    """Magnify a camera live. Keys in the window, or the web page, change the settings."""
    _run(spec, motion, camera.source_options(model.motion_scale), view, output, model)


@options.grouped
def stream(
    motion: options.MotionOptions,
    stream: options.StreamOptions,
    view: options.ViewOptions,
    output: options.LiveOutputOptions,
    model: options.LiveModelOptions,
    address: options.Address,
) -> None:
    """Magnify a network stream, standard input or the screen live. Lost streams are reopened."""
    _run(address, motion, stream.source_options(model.motion_scale, notice), view, output, model)


def _run(
    spec: str,
    motion: options.MotionOptions,
    source: "SourceOptions",
    view: options.ViewOptions,
    output: options.LiveOutputOptions,
    model: options.LiveModelOptions,
) -> None:
    """Magnify a source live and print the report.

    Raises:
        typer.Exit: the run was interrupted (code 130) or had errors (code 1).
    """
    controls = motion.controls(view.layout)
    from rtmag.realtime.run.live import Live

    live = Live(
        note=notice,
        invite=print_link,
        controls=controls,
        wanted=source,
        engine=model.spec(),
        **view.arguments(),
        **output.arguments(),
    )
    if output.stats is not None and live.out is not None:
        raise OptionError("--stats json and --out - both use standard output: leave out one")
    report = live.run(spec) if output.stats is None else _run_with_stats(live, spec)
    if output.stats is None:
        (print_result if live.out is None else notice)(report)
    for error in report.errors:
        notice(f"error: {error}")
    if report.ending == "interrupt":
        raise typer.Exit(130)
    if report.errors:
        raise typer.Exit(1)


def _run_with_stats(live: "Live", spec: str) -> "Report":
    """Run with statistics as JSON on standard output."""
    from rtmag.realtime.run.report import Stats

    live.stats = stats = Stats(print_result)
    try:
        report = live.run(spec)
    except RtmagError:
        stats.fail()
        raise
    stats.end(report)
    return report
