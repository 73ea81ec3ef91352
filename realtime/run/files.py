"""`rtmag file`: magnify every frame of files and write an output for each, with its sound.

rtmag.realtime.run.jobs turns arguments into jobs, `FileBatch` runs them.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rtmag.realtime.controls import Controls, ViewKind
from rtmag.realtime.engines.engine import Engine
from rtmag.realtime.engines.loading import load_spec
from rtmag.realtime.engines.spec import EngineSpec
from rtmag.realtime.environment import rtmag_version
from rtmag.realtime.errors import RtmagError, SinkClosed, SinkError, SourceUnavailable
from rtmag.realtime.filters import Filter, Temporal
from rtmag.realtime.magnifier import Magnifier
from rtmag.realtime.media.colour import Matrix
from rtmag.realtime.media.image_size import MAX_PIXELS
from rtmag.realtime.run.jobs import Job
from rtmag.realtime.run.loop import Pipeline, cut_message, run
from rtmag.realtime.run.provenance import describe, write_settings
from rtmag.realtime.run.report import Ending, Progress, Report
from rtmag.realtime.sinks.background import BackgroundSink
from rtmag.realtime.sinks.paths import SIGNATURE, check_free, make_folder
from rtmag.realtime.sinks.pipe import STDOUT, PipeSink
from rtmag.realtime.sinks.sink import Sink
from rtmag.realtime.sinks.video_file import VideoSink
from rtmag.realtime.sources.image_folder import is_stack
from rtmag.realtime.sources.opening import is_pattern, open_source, open_video
from rtmag.realtime.sources.source import FrameSource, SourceOptions
from rtmag.realtime.sources.video_file import VideoSource
from rtmag.realtime.view.overlay import layout_size
from rtmag.realtime.view.window import WindowSink

_TRANSFERS = {16: "PQ", 18: "HLG"}
"""Names of the HDR transfer functions, by their numbers in ITU-T H.273."""

_INTERRUPTED = 130
"""Exit code after Ctrl-C."""


@dataclass(frozen=True, slots=True)
class Input:
    """An open input of a job."""

    source: FrameSource
    video: VideoSource | None = None
    """The source, if it is a video file; None: a folder or a pattern of pictures."""


@dataclass(slots=True, kw_only=True)
class FileBatch:
    """Options and state of a run over files. The model is loaded when the first file is open."""

    controls: Controls
    progress: Progress
    notice: Callable[[str], None]
    """Prints warnings, and errors if there are several files."""
    done: Callable[[Path], None]
    """Called with the path of each finished output."""
    fps: float | None = None
    """Rate in 1/s of pictures in folders and of files without timestamps; None: see `VideoSource`
    and `ImageFolderSource`."""
    capture_fps: float | None = None
    """Rate in 1/s at which slow-motion files were filmed; None: the rate of their timestamps."""
    audio: bool = True
    """True to copy the sound."""
    overwrite: bool = False
    skip_existing: bool = False
    strict: bool = False
    """True: the exit code is 1 if frames were lost because a file is damaged."""
    max_pixels: int = MAX_PIXELS
    """Number of pixels above which a picture is refused before it is decoded."""
    matrix: Matrix | None = None
    """Matrix between RGB and YUV of files that do not state it; None: BT.601."""
    deinterlace: bool = True
    """True to deinterlace frames that are marked as interlaced."""
    model_sha256: str | None = None
    """Hash of the weights of an earlier output; other weights give a warning. None: not checked."""
    engine: EngineSpec = field(default_factory=EngineSpec)
    view: ViewKind = "none"
    _damaged: bool = field(default=False, init=False)
    _engine: Engine | None = field(default=None, init=False)

    def run(self, jobs: Sequence[Job]) -> int:
        """Run the jobs and return the exit code.

        Errors are printed if there are several jobs; the error of a single job is raised. An
        error that is a bug of rtmag does not end the other jobs either.
        """
        if len(jobs) == 1:
            return _INTERRUPTED if self._run_job(jobs[0]) == "interrupt" else self._exit_code()
        failed = 0
        for number, job in enumerate(jobs):
            ending: Ending = "end"
            try:
                ending = self._run_job(job)
            except SinkClosed:
                raise
            except RtmagError as error:
                failed += 1
                self.notice(f"error: {error}")
            except Exception as error:
                failed += 1
                self.notice(
                    f"error: {str(job.source)!r}: {type(error).__name__}: {error} (a bug in rtmag; "
                    "--debug with this file alone prints the traceback)"
                )
            if ending != "end":
                self.notice(f"stopped at file {number + 1} of {len(jobs)}")
                return _INTERRUPTED if ending == "interrupt" else 0
        self.notice(f"{len(jobs) - failed} of {len(jobs)} files done")
        return 1 if failed else self._exit_code()

    def _exit_code(self) -> int:
        return 1 if self.strict and self._damaged else 0

    def _run_job(self, job: Job) -> Ending:
        """Check the input and the output of a job, then magnify the input."""
        if self.skip_existing and os.path.exists(job.output):
            self.notice(f"skipped: {str(job.output)!r} exists")
            return "end"
        options = SourceOptions(
            max_pixels=self.max_pixels,
            fps=self.fps,
            matrix=self.matrix,
            deinterlace=self.deinterlace,
        )
        opened = _open(job.source, options)
        with opened.source as source:
            for note in source.notes:
                self.notice(f"warning: {source.name!r} {note}")
            fps = opened.video.highest_fps if opened.video is not None else source.fps
            controls = self._fitted_controls(self.capture_fps or fps)
            controls.check_regions(source.size)
            if controls.auto_band:
                self._find_band(source, controls)
            if job.folder is not None:
                make_folder(job.folder)
            if str(job.output) != STDOUT:
                check_free(job.output, overwrite=self.overwrite, source=job.source)
            if self._engine is None:
                self._engine = self._load()
            return self._magnify(opened, job.output, self._engine, controls)

    def _find_band(self, source: FrameSource, controls: Controls) -> None:
        """Use the band of what moves in a clip, if something does."""
        from rtmag.realtime.run.finding import find_band

        controls.auto_band = False
        band = find_band(source, self.notice, self.capture_fps, self.engine)
        if band is not None:
            controls.set_filter(Temporal.of_band(*band, controls.order))
        else:
            self.notice(f"magnifying motion {controls.filter.described(controls.unit)}")

    def _fitted_controls(self, fps: float | None) -> Controls:
        """Return a copy of the controls for one file; the band of a preset is cut to its rate.

        Raises:
            OptionError: the rate is too low for a band that was set by hand, or for the whole band
                of a preset.
        """
        controls = replace(self.controls)
        if fps is None:
            return controls
        if controls.preset is None:
            controls.filter.check(fps)
            return controls
        used = controls.filter.fitted(fps)
        if (message := cut_message(controls, used, fps)) is not None:
            self.notice(message)
        controls.filter = used
        return controls

    def _load(self) -> Engine:
        engine = load_spec(self.engine)
        if self.model_sha256 not in (None, engine.metadata.get("rtmag.sha256")):
            self.notice(
                f"warning: model {engine.name!r} has other weights than before: the earlier output "
                "cannot be repeated exactly"
            )
        return engine

    def _magnify(self, opened: Input, output: Path, engine: Engine, controls: Controls) -> Ending:
        source, fps = opened.source, opened.source.fps
        if fps is not None and not controls.filter.fits(fps):
            fps = None  # the band fits a faster part, where the rate is measured
        magnifier = Magnifier(
            engine,
            alpha=controls.alpha,
            filter=controls.filter,
            fps=fps,
            capture_fps=self.capture_fps,
        )
        view = WindowSink(f"rtmag: {source.name}", controls) if self.view == "window" else None
        file, sink = self._open_sink(opened, output, engine, controls)
        for warning in _warnings(opened, controls.filter, self.capture_fps):
            self.notice(f"warning: {source.name!r} {warning}")
        self.progress.begin(source.name, source.frames)
        try:
            report = run(
                Pipeline(
                    source,
                    magnifier,
                    replace(controls),
                    [sink],
                    view=view,
                    on_frame=lambda _, __: self.progress.step(),
                    notice=self.notice,
                )
            )
        finally:
            self.progress.end()
        written = file.path_written if file is not None else None
        if opened.video is not None and opened.video.jumps:
            self.notice(f"warning: {_jumps(opened.video)}")
        self._finish(source, report, written)
        if report.ending == "end" and written is not None:
            self._write_settings(source, written, magnifier, controls)
            self.done(written)
        return report.ending

    def _open_sink(
        self, opened: Input, output: Path, engine: Engine, controls: Controls
    ) -> tuple[VideoSink | None, Sink]:
        """Return the output file, None for stdout, and the sink that frames are written to."""
        source = opened.source
        size = layout_size(source.size, controls.layout)
        if str(output) == STDOUT:
            video = opened.video
            return None, PipeSink(
                fps=(video.even_fps if video else source.fps) or 30.0,
                size=size,
                sample_aspect=source.sample_aspect,
                timed=True,
            )
        comment = f"{SIGNATURE}{rtmag_version()}: alpha {controls.alpha:g}, "
        comment += f"{controls.filter}, model {engine.name}"
        file = VideoSink(
            output,
            like=opened.video,
            fps=source.fps or 30.0,
            size=size,
            audio=self.audio,
            overwrite=self.overwrite,
            comment=comment,
            notice=lambda message: self.notice(f"warning: {message}"),
        )
        return file, BackgroundSink(file, whole=True)

    def _finish(self, source: FrameSource, report: Report, written: Path | None) -> None:
        """Print warnings about a file.

        Raises:
            SourceUnavailable: it has no frames.
        """
        if not report.frames:
            if report.ending == "end":
                raise SourceUnavailable(f"cannot read {source.name!r}: it has no frames")
            return
        for error in report.errors:
            self.notice(f"warning: {error}")
        if source.damaged:
            self.notice(
                f"warning: {source.name!r} is damaged; {source.damaged} parts of it were skipped"
            )
        self._damaged = self._damaged or bool(source.damaged or report.errors)
        if report.ending != "end":
            self.notice(
                f"stopped after {report.frames} frames; they are in {written or 'the pipe'}"
            )

    def _write_settings(
        self, source: FrameSource, output: Path, magnifier: Magnifier, controls: Controls
    ) -> None:
        settings = describe(
            controls,
            magnifier.engine,
            self.engine,
            source=Path(source.name).name,
            size=source.size,
            fps=source.fps,
            capture_fps=self.capture_fps,
            scene_changes=magnifier.scene_changes,
        )
        try:
            write_settings(output, settings)
        except SinkError as error:
            self.notice(f"warning: {error}")


def _open(path: Path, options: SourceOptions) -> Input:
    """Open a file, a folder or a pattern. Other meanings of a name, such as a camera, are ignored.

    Raises:
        SourceUnavailable: there is no such file, or it cannot be read.
    """
    if os.path.isdir(path) or (is_stack(path) and os.path.lexists(path)):
        return Input(open_source(path.absolute(), options=options))
    if os.path.lexists(path):
        video = open_video(path, options)
        return Input(video, video)
    if is_pattern(str(path)):
        return Input(open_source(path, options=options))
    raise SourceUnavailable(
        f"cannot open {str(path)!r}: no such file; cameras: rtmag camera; addresses: rtmag stream"
    )


def _jumps(video: VideoSource) -> str:
    """Return a line about the places where the time of a video was not kept."""
    times = "once" if video.jumps == 1 else f"{video.jumps} times"
    return (
        f"the clock of {video.name!r} jumps {times}, back or by more than half a day; "
        "the frames follow each other without a gap there"
    )


def _warnings(opened: Input, filter: Filter, capture_fps: float | None) -> list[str]:
    """Return each property of an input that affects the quality of the output."""
    source, video = opened.source, opened.video
    warnings = []
    if video is not None and video.colour.hdr:
        curve = _TRANSFERS[video.colour.color_trc]
        warnings.append(f"is HDR ({curve}); the output has the same curve and is not tone-mapped")
    rate = capture_fps or source.fps
    if (note := rate_note(source, filter, capture_fps)) is not None:
        warnings.append(note)
    if source.frames == 1:
        warnings.append("has one frame: there is no motion to magnify")
    elif filter.band is not None and rate and source.frames:
        seconds, slowest = source.frames / rate, filter.band[0]
        if seconds * slowest < 1:
            warnings.append(
                f"lasts {seconds:.2g} s, less than one period at {slowest:g} Hz: motion near "
                f"{slowest:g} Hz needs a clip of at least {1 / slowest:.3g} s"
            )
    return warnings


def rate_note(source: FrameSource, filter: Filter, capture_fps: float | None) -> str | None:
    """Return a note about a file of which only the fastest parts can hold a band, or None."""
    rate = capture_fps or source.fps
    fastest = source.fps if source.stored is None else source.stored.highest_fps
    if not rate or not fastest or fastest <= rate or filter.fits(rate):
        return None
    return (
        f"has {rate:.4g} frames per second, and {fastest:.4g} in some parts: the band is magnified "
        "in these parts only"
    )
