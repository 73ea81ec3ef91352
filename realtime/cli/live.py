"""The commands that watch something live: `rtmag camera` and `rtmag stream`."""

from typing import TYPE_CHECKING, Any

import typer

from rtmag.realtime.cli import options
from rtmag.realtime.cli.console import invite, note, tell
from rtmag.realtime.cli.controls import make_controls
from rtmag.realtime.errors import OptionError, RtmagError
from rtmag.realtime.media.image_size import MAX_PIXELS

if TYPE_CHECKING:
    from rtmag.realtime.run.live import Live
    from rtmag.realtime.run.report import Report


def camera(
    spec: options.Camera = "0",
    alpha: options.AlphaOption = None,
    preset: options.PresetOption = None,
    mode: options.ModeOption = None,
    band: options.Band = None,
    fl: options.Fl = None,
    fh: options.Fh = None,
    order: options.Order = None,
    drift: options.Drift = None,
    size: options.Size = None,
    fps: options.Fps = None,
    pixel_format: options.PixelFormat = None,
    lock_exposure: options.LockExposure = False,
    record: options.Record = None,
    view: options.LiveView = "window",
    host: options.Host = "127.0.0.1",
    port: options.Port = None,
    token: options.Token = None,
    max_viewers: options.MaxViewers = 16,
    layout: options.LayoutOption = "magnified",
    frames: options.Limit = None,
    stats: options.StatsOption = None,
    overwrite: options.Overwrite = False,
    model: options.LiveModel = "auto",
    engine: options.EngineOption = "auto",
    motion_scale: options.LiveScale = "auto",
    unsafe: options.Unsafe = False,
    compiled: options.Compile = False,
    out: options.LiveOut = None,
    virtual_camera: options.VirtualCamera = None,
) -> None:
    """Magnify a camera live. Keys change everything, and so does the page of --view web."""
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
    from rtmag.realtime.sources.source import SourceOptions

    _watch(
        spec,
        stats,
        controls=controls,
        wanted=SourceOptions(
            size=options.parse_live_size(size, motion_scale),
            fps=fps,
            pixel_format=pixel_format,
            lock_exposure=lock_exposure,
        ),
        record=record,
        overwrite=overwrite,
        view=view,
        out=out,
        virtual_camera=virtual_camera,
        host=host,
        port=port,
        token=token,
        max_viewers=max_viewers,
        engine=options.engine_spec(model, engine, motion_scale, unsafe, compiled),
        limit=frames,
    )


def stream(
    address: options.Address,
    alpha: options.AlphaOption = None,
    preset: options.PresetOption = None,
    mode: options.ModeOption = None,
    band: options.Band = None,
    fl: options.Fl = None,
    fh: options.Fh = None,
    order: options.Order = None,
    drift: options.Drift = None,
    timeout: options.Timeout = 5.0,
    ca: options.Ca = None,
    wait: options.Wait = False,
    size: options.PipeSize = None,
    fps: options.PipeFps = None,
    pixel_format: options.PipeFormat = "bgr24",
    max_pixels: options.MaxPixels = MAX_PIXELS,
    record: options.Record = None,
    view: options.LiveView = "window",
    host: options.Host = "127.0.0.1",
    port: options.Port = None,
    token: options.Token = None,
    max_viewers: options.MaxViewers = 16,
    layout: options.LayoutOption = "magnified",
    frames: options.Limit = None,
    stats: options.StatsOption = None,
    overwrite: options.Overwrite = False,
    model: options.LiveModel = "auto",
    engine: options.EngineOption = "auto",
    motion_scale: options.LiveScale = "auto",
    unsafe: options.Unsafe = False,
    compiled: options.Compile = False,
    out: options.LiveOut = None,
    virtual_camera: options.VirtualCamera = None,
) -> None:
    """Magnify a network stream live, standard input (-) or the screen; a lost one comes back."""
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
    from rtmag.realtime.sources.source import SourceOptions

    _watch(
        address,
        stats,
        controls=controls,
        wanted=SourceOptions(
            size=options.parse_live_size(size, motion_scale),
            fps=fps,
            pixel_format=pixel_format,
            timeout=timeout,
            ca=ca,
            max_pixels=max_pixels,
            wait=note if wait else None,
        ),
        record=record,
        overwrite=overwrite,
        view=view,
        out=out,
        virtual_camera=virtual_camera,
        host=host,
        port=port,
        token=token,
        max_viewers=max_viewers,
        engine=options.engine_spec(model, engine, motion_scale, unsafe, compiled),
        limit=frames,
    )


def _watch(spec: str, stats: options.StatsKind | None, **how: Any) -> None:
    """Magnify it live, and tell how it went."""
    from rtmag.realtime.run.live import Live

    live = Live(note=note, invite=invite, **how)
    if stats is not None and live.out is not None:
        raise OptionError("--stats json and --out - both want stdout: leave one out")
    report = live.run(spec) if stats is None else _counted(live, spec)
    if stats is None:
        (tell if live.out is None else note)(report)
    for error in report.errors:
        note(f"error: {error}")
    if report.ending == "interrupt":
        raise typer.Exit(130)
    if report.errors:
        raise typer.Exit(1)


def _counted(live: "Live", spec: str) -> "Report":
    """Run it, with its figures as JSON on stdout."""
    from rtmag.realtime.run.report import Stats

    live.stats = stats = Stats(tell)
    try:
        report = live.run(spec)
    except RtmagError:
        stats.fail()
        raise
    stats.end(report)
    return report
