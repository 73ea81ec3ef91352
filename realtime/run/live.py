"""`rtmag camera` and `rtmag stream`: magnify a live source until the user quits.

`run_live` runs the whole command. `build` opens its parts: view, source, engine, magnifier, guard,
sinks. The frame loop itself is in `rtmag.realtime.run.loop`.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from rtmag.realtime.controls import Controls, LiveViewKind
from rtmag.realtime.engines.engine import Engine
from rtmag.realtime.engines.loading import load_spec
from rtmag.realtime.engines.spec import EngineSpec
from rtmag.realtime.errors import OptionError, SinkError, SourceAbsent, requires_extra
from rtmag.realtime.log import protect, redact
from rtmag.realtime.magnifier import Magnifier
from rtmag.realtime.presets import LIVE_NAME
from rtmag.realtime.run.adaptive import Pace, choose
from rtmag.realtime.run.files import rate_note
from rtmag.realtime.run.guard import Guard
from rtmag.realtime.run.loop import Pipeline, run
from rtmag.realtime.run.provenance import describe, settings_path, write_settings
from rtmag.realtime.run.report import Report, Stats, Tally
from rtmag.realtime.run.startup import UserQuit, open_in_background, wait_with_view
from rtmag.realtime.sinks.background import BackgroundSink, check_space
from rtmag.realtime.sinks.paths import check_free, unused_prefix, with_suffix
from rtmag.realtime.sinks.pipe import PipeSink
from rtmag.realtime.sinks.sink import Sink
from rtmag.realtime.sinks.video_file import VideoSink
from rtmag.realtime.sinks.virtual_camera import FIRST, VirtualCameraSink
from rtmag.realtime.sources.opening import open_source
from rtmag.realtime.sources.playback import PlaybackSource
from rtmag.realtime.sources.retry import RetryPolicy, wait_until_available
from rtmag.realtime.sources.scene.scene import SceneSource
from rtmag.realtime.sources.source import FrameSource, SourceOptions, Status
from rtmag.realtime.view.overlay import layout_size
from rtmag.realtime.view.viewer import View
from rtmag.realtime.view.window import WindowSink

_DEFAULT_RECORDING = Path("rtmag-camera.mp4")

_PIPE_TIMEOUT = 1.0
"""Seconds for the reader of the pipe to take the last frames."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveOptions:
    """Options for magnifying a live source."""

    controls: Controls
    """Initial settings; changed by keys."""
    notice: Callable[[str], None]
    """Prints a message."""
    print_link: Callable[[str], None] = lambda message: None
    """Prints the address of the web page, with its token."""
    source: SourceOptions = field(default_factory=SourceOptions)
    playback: Mapping[str, Any] = field(default_factory=dict)
    """Initial settings of the playback of a file, see `Playback.change`."""
    capture_fps: float | None = None
    """Slow motion: rate in 1/s at which the scene was filmed; None: the rate of the source."""
    record: Path | None = None
    """File to record to from the start; None: the key r records to rtmag-camera.mp4."""
    overwrite: bool = False
    view: LiveViewKind = "window"
    host: str = "127.0.0.1"
    """Address that the web page is served on."""
    port: int | None = None
    """Port of the web page; None: the first free one of a few."""
    max_viewers: int = 16
    """Largest number of browsers that may watch at the same time."""
    token: str | None = field(default=None, repr=False)
    """Secret in the address of the web page; None: a random one."""
    engine: EngineSpec = field(default_factory=EngineSpec)
    limit: int | None = None
    """Number of frames after which the run ends; None: no limit."""
    out: str | None = None
    """`-`: also write the frames to stdout; None: do not."""
    virtual_camera: str | None = None
    """Name of a virtual camera that also shows the frames, or `first`; None: no virtual camera."""
    stats: Stats | None = None
    """Prints statistics during the run."""


def run_live(spec: str, options: LiveOptions) -> Report:
    """Magnify a live source until the user quits, the limit is reached or Ctrl-C is pressed.

    Args:
        spec: the source, see `open_source`; `test` is the built-in scene.
        options: everything else.

    Raises:
        RtmagError: see `build` and `rtmag.realtime.run.loop.run`.
    """
    if options.record is not None:
        check_free(options.record, overwrite=options.overwrite)
    options.controls.recording = options.record is not None
    with ExitStack() as stack:
        try:
            pipeline = build(spec, options, stack)
        except UserQuit:
            return Tally(live=True).report("quit", ())
        report = run(pipeline)
    failures = pipeline.guard.failures if pipeline.guard is not None else 0
    if not failures:
        return report
    error = f"the model failed: {failures} frames were not magnified"
    return replace(report, errors=(*report.errors, error))


def build(spec: str, options: LiveOptions, stack: ExitStack) -> Pipeline:
    """Open everything that the frame loop needs; `stack` closes it.

    Raises:
        UserQuit: the user quit in the view before the source was open.
        SourceUnavailable: the source cannot be opened.
        OptionError: the frequency band does not fit the frame rate of the source.
        SinkUnavailable: the view, a sink or the virtual camera cannot be opened.
        ModelError, ProviderUnavailable: the model cannot be loaded.
    """
    controls, name = options.controls, protect(spec)
    early_view = _open_view(name, options, stack) if _waits(spec, options) else None
    if early_view is not None and early_view.url is not None:
        options.print_link(f"{name}; open {early_view.url}")
    source = stack.enter_context(_open_source(spec, options, early_view))
    if (rate := options.capture_fps or _highest_rate(source)) is not None:
        # The band of a preset is cut to the rate; nothing of it remains at a very low rate.
        (controls.filter.check if controls.preset is None else controls.filter.fitted)(rate)
    controls.check_regions(source.size)
    view = early_view or _open_view(source.name, options, stack)

    fps = source.fps or options.source.fps or 30.0
    engine = choose(options.engine, source.size, fps, options.notice)
    magnifier = Magnifier(engine, alpha=controls.alpha, capture_fps=options.capture_fps)
    guard = stack.enter_context(
        Guard(magnifier, partial(load_spec, options.engine), options.notice)
    )
    controls.fixed_size = engine.size is not None
    if controls.fixed_size and controls.region is not None:
        raise OptionError("a region is not possible: the model works at one size only")
    settings = partial(_settings, options, engine, source)
    looking_for = describe_search(controls)
    options.notice(looking_for)
    _announce(redact(f"{source.name}, {magnifier.described}"), view, early_view, options)

    return Pipeline(
        source,
        magnifier,
        controls,
        _open_sinks(source, fps, options, stack),
        guard=guard,
        view=view,
        open_recording=Recorder(
            options,
            fps,
            settings,
            view,
            sample_aspect=source.sample_aspect,
            whole=not source.live,
        ),
        limit=options.limit,
        stats=options.stats,
        pace=Pace.for_engine(engine, controls, options.engine, live=source.live),
        notice=options.notice,
        greeting=f"{looking_for.partition(';')[0]}; key m: other modes",
    )


def describe_search(controls: Controls) -> str:
    """The motion that is magnified at the start, in one line for the user."""
    filter = controls.filter
    line = f"looking for motion {filter.described(controls.unit)}, shown {controls.alpha:g} times"
    if controls.preset == LIVE_NAME:
        line += "; --mode static magnifies everything since the first frame"
    return line


def _announce(title: str, view: View | None, early_view: View | None, options: LiveOptions) -> None:
    """Print source, model and the address of the web page, unless it was printed before."""
    if view is not None and view.url is None:
        options.notice(f"{title}; press h in the window for the keys")
    elif view is not None and early_view is None:
        options.print_link(f"{title}; open {view.url}")
    else:
        options.notice(title)


# ---- source -----------------------------------------------------------------------------------


def _waits(spec: str, options: LiveOptions) -> bool:
    """True if the run waits for a source that is not available yet; only for network streams."""
    return options.source.wait is not None and "://" in spec


def _open_source(spec: str, options: LiveOptions, view: View | None) -> FrameSource:
    if spec == "test":
        size, fps = options.source.size or (640, 480), options.source.fps or 30.0
        return SceneSource(size, fps, live=True)
    try:
        source = _open_or_wait(spec, options, view)
    except SourceAbsent as error:
        raise SourceAbsent(f"{error} (use --wait to wait for it)") from error
    stored = source.stored
    if stored is not None and (options.view != "none" or options.virtual_camera is not None):
        source = played = PlaybackSource(stored, options.controls, options.notice)
        played.playback.change(options.playback)
        played.playback.seek(played.playback.start or 0.0)
    note = rate_note(source, options.controls.filter, options.capture_fps)
    if note is not None:
        options.notice(f"warning: {source.name!r} {note}")
    announce(source, options.notice)
    return source


def _highest_rate(source: FrameSource) -> float | None:
    """Frames per second of the fastest part of a file, or of a live source; None if unknown."""
    return source.fps if source.stored is None else source.stored.highest_fps


def announce(source: FrameSource, notice: Callable[[str], None]) -> None:
    """Print warnings about a source, and from now on each change of its status."""
    source.on_status = partial(_report_status, notice, source.name)
    for setting in source.refused:
        notice(f"warning: {source.name}: cannot turn off {setting}")
    for note in source.notes:
        notice(f"warning: {source.name!r} {note}")


def _open_or_wait(spec: str, options: LiveOptions, view: View | None) -> FrameSource:
    if options.source.wait is None or not _waits(spec, options):
        return open_source(spec, options=options.source)
    opener = partial(open_source, spec, options=replace(options.source, wait=None))
    wait = wait_with_view(view, options.controls, protect(spec))
    return wait_until_available(
        partial(open_in_background, opener, wait), options.source.wait, RetryPolicy(), wait
    )


def _report_status(notice: Callable[[str], None], name: str, status: Status) -> None:
    """Print a new status; a failure is raised as an error too."""
    if status.state != "FAILED":
        notice(_status_line(name, status))


def _status_line(name: str, status: Status) -> str:
    line = f"{name}: {status.state.lower()}"
    if status.state in ("RUNNING", "ENDED"):
        return line
    return f"warning: {line}; {status.message.removeprefix(name).lstrip()}"


# ---- view -------------------------------------------------------------------------------------


def _open_view(name: str, options: LiveOptions, stack: ExitStack) -> View | None:
    view = _make_view(name, options)
    if view is not None:
        stack.callback(view.close)
    return view


def _make_view(name: str, options: LiveOptions) -> View | None:
    if options.view == "window":
        return WindowSink(f"rtmag: {name}", options.controls)
    if options.view == "none":
        return None
    with requires_extra("--view web", "web"):
        from rtmag.realtime.web.view import WebView
    return WebView(
        options.controls,
        name,
        host=options.host,
        port=options.port,
        max_viewers=options.max_viewers,
        token=options.token,
        capture_fps=options.capture_fps,
    )


# ---- sinks ------------------------------------------------------------------------------------


def _open_sinks(
    source: FrameSource, fps: float, options: LiveOptions, stack: ExitStack
) -> list[Sink]:
    """Open the virtual camera and the pipe, if they are requested."""
    size = layout_size(source.size, options.controls.layout)
    sinks: list[Sink] = []
    if options.virtual_camera is not None:
        name = None if options.virtual_camera == FIRST else options.virtual_camera
        camera = VirtualCameraSink(size, fps, name)
        stack.callback(camera.close)
        options.notice(f"showing the result on the virtual camera {camera.device}")
        sinks.append(camera)
    if options.out is not None:
        sinks.append(
            BackgroundSink(
                PipeSink(fps=fps, size=size, sample_aspect=source.sample_aspect),
                on_end=partial(_report_dropped, options.notice, "the pipe", "its reader"),
                close_timeout=_PIPE_TIMEOUT,
                whole=not source.live,
            )
        )
    return sinks


def _settings(options: LiveOptions, engine: Engine, source: FrameSource) -> dict[str, object]:
    """Return the present settings of the run, for the file next to a recording.

    The band is the part that the frame rate can hold, so that the settings can be repeated.
    """
    controls = options.controls
    fps = options.capture_fps or controls.fps or source.fps
    filter = controls.filter
    if fps is not None:
        with suppress(OptionError):  # nothing is magnified at present
            filter = filter.fitted(fps)
    return describe(
        replace(controls, filter=filter),
        engine,
        options.engine,
        source=source.name,
        size=source.size,
        fps=controls.fps or source.fps,
        capture_fps=options.capture_fps,
    )


class Recorder:
    """Opens the file of each recording. Its settings are kept in a JSON file next to it.

    The first recording has the requested path. All other recordings have numbered names.

    Args:
        options: path, overwriting, and the callback for messages.
        fps: frame rate of the file.
        settings: returns the settings of the run.
        view: offers every finished recording to the user; None: no view.
        sample_aspect: width over height of one pixel; None: square.
        whole: True to drop no frame, for sources that are not live.
    """

    def __init__(
        self,
        options: LiveOptions,
        fps: float,
        settings: Callable[[], dict[str, object]],
        view: View | None = None,
        *,
        sample_aspect: Fraction | None = None,
        whole: bool = False,
    ) -> None:
        self._sample_aspect = sample_aspect
        self._path, self._overwrite = options.record, options.overwrite
        self._notice, self._view = options.notice, view
        self._fps, self._settings, self._whole = fps, settings, whole

    def __call__(self) -> Sink:
        """Open the next file."""
        path, self._path = self._path, None
        overwrite = self._overwrite and path is not None
        if path is None:
            suffix = _DEFAULT_RECORDING.suffix
            path = with_suffix(unused_prefix(_DEFAULT_RECORDING.with_suffix(""), (suffix,)), suffix)
        check_space(path)
        self._notice(f"recording to {path}")
        sink = VideoSink(
            path,
            fps=self._fps,
            sample_aspect=self._sample_aspect,
            overwrite=overwrite,
            notice=lambda message: self._notice(f"warning: {message}"),
        )
        settings = self._settings()
        # Written at the start too, because the process may be killed.
        self._write_settings(sink.partial_path, settings)
        return BackgroundSink(
            sink,
            check=partial(check_space, path),
            on_end=partial(self._finish, sink, settings),
            whole=self._whole,
        )

    def _finish(self, sink: VideoSink, settings: dict[str, object], dropped: int) -> None:
        _report_dropped(self._notice, str(sink.path), "the encoder", dropped)
        if sink.path_written is not None:  # None if there was no frame
            self._write_settings(sink.path, settings)
            if self._view is not None:
                self._view.offer(sink.path)
        with suppress(OSError):
            settings_path(sink.partial_path).unlink()

    def _write_settings(self, path: Path, settings: dict[str, object]) -> None:
        try:
            write_settings(path, settings)
        except SinkError as error:
            self._notice(f"warning: {error}")


def _report_dropped(notice: Callable[[str], None], name: str, cause: str, dropped: int) -> None:
    if dropped:
        notice(f"warning: {name}: {dropped} frames were dropped because {cause} was too slow")
