"""Magnifies files: every frame, with its time and its sound, one output beside each input."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rtmag.realtime.controls import Controls, ViewKind
from rtmag.realtime.engines.engine import Engine
from rtmag.realtime.engines.loading import EngineSpec
from rtmag.realtime.environment import rtmag_version
from rtmag.realtime.errors import OptionError, RtmagError, SinkError, SourceUnavailable
from rtmag.realtime.filters import Filter
from rtmag.realtime.magnifier import Magnifier
from rtmag.realtime.media.image_size import MAX_PIXELS
from rtmag.realtime.run.loop import run
from rtmag.realtime.run.provenance import describe, write_note
from rtmag.realtime.run.report import Ending, Progress, Report
from rtmag.realtime.sinks.background import BackgroundSink
from rtmag.realtime.sinks.paths import (
    SIGNATURE,
    check_free,
    made_by_rtmag,
    make_folder,
    output_path,
)
from rtmag.realtime.sinks.pipe import STDOUT, PipeSink
from rtmag.realtime.sinks.video_file import VideoSink
from rtmag.realtime.sources.opening import is_pattern, open_source
from rtmag.realtime.sources.source import FrameSource, SourceOptions
from rtmag.realtime.sources.video_file import VideoSource
from rtmag.realtime.view.window import WindowSink

_TRANSFERS = {16: "PQ", 18: "HLG"}


def caveats(video: VideoSource, filter: Filter, capture_fps: float | None = None) -> list[str]:
    """One line for each thing about a video that costs precision or meaning."""
    found = []
    if video.bits > 8:
        found.append(f"has {video.bits} bits per channel; the output has 8")
    if video.colour.hdr:
        curve = _TRANSFERS[video.colour.color_trc]
        found.append(f"is HDR ({curve}); it is passed on as such, not tone-mapped")
    if video.interlaced:
        found.append("is interlaced: its lines show two moments, which is shown as motion")
    if video.frames == 1:
        found.append("has one frame: there is no motion to magnify")
    elif filter.band is not None:
        rate = capture_fps or video.fps
        seconds = (video.frames or 0) / rate if rate else video.seconds
        if seconds * filter.band[0] < 1:
            found.append(f"lasts {seconds:.2g} s, less than one period at {filter.band[0]:g} Hz")
    return [f"{video.name!r} {words}" for words in found]


_INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Job:
    """One input and the output to make of it."""

    source: Path
    output: Path
    folder: Path | None = None
    """To be made, if it is not there, before the output."""


def plan(paths: Sequence[str], output: str | None, alpha: float) -> list[Job]:
    """Which outputs to make.

    Args:
        paths: inputs; of two, the second is the output if it does not exist, or came from rtmag.
            Any other file may be a recording that was meant as an input too.
        output: a folder, or a file when there is one input.
        alpha: part of the outputs' names.

    Raises:
        OptionError: it cannot be told what is meant, or two inputs would share an output.
    """
    if output is None and len(paths) == 2:
        first, second = paths
        if os.path.isfile(second) and not made_by_rtmag(Path(second)):
            raise OptionError(
                f"{second!r} exists: to magnify both files give -o FOLDER, "
                f"to replace it give -o {second!r} --overwrite"
            )
        paths, output = [first], second
    if output is None:
        return _distinct([Job(Path(path), output_path(Path(path), alpha)) for path in paths])
    target = Path(output)
    if output == STDOUT:
        if len(paths) != 1:
            raise OptionError("-o - passes one video on, got several inputs")
        return [Job(Path(paths[0]), target)]
    if len(paths) == 1 and not target.is_dir() and target.suffix and not output.endswith("/"):
        return [Job(Path(paths[0]), target)]
    if target.exists() and not target.is_dir():
        raise OptionError(f"-o {output!r} is a file: several inputs need a folder")
    return _distinct([Job(Path(p), output_path(Path(p), alpha, target), target) for p in paths])


def _distinct(jobs: list[Job]) -> list[Job]:
    seen: dict[Path, Path] = {}
    for job in jobs:
        if job.output in seen:
            pair = f"{str(seen[job.output])!r} and {str(job.source)!r}"
            raise OptionError(f"{pair} would both become {str(job.output)!r}")
        seen[job.output] = job.source
    return jobs


@dataclass(slots=True, kw_only=True)
class Batch:
    """How files are magnified. The model is loaded once the first file has proved fit for it."""

    controls: Controls
    progress: Progress
    note: Callable[[str], None]
    """Takes warnings, and errors when there are several files."""
    done: Callable[[Path], None]
    """Takes the path of each finished output."""
    capture_fps: float | None = None
    audio: bool = True
    overwrite: bool = False
    skip_existing: bool = False
    strict: bool = False
    """Damage that cost frames makes the exit code 1."""
    max_pixels: int = MAX_PIXELS
    model_sha256: str | None = None
    """Of the model that an earlier output was made with, when that is to be repeated."""
    engine: EngineSpec = field(default_factory=EngineSpec)
    view: ViewKind = "none"
    _damaged: bool = field(default=False, init=False)
    _engine: Engine | None = field(default=None, init=False)

    def run(self, jobs: Sequence[Job]) -> int:
        """Do the jobs one by one and return the exit code. A single job raises its error."""
        if len(jobs) == 1:
            return _INTERRUPTED if self._do(jobs[0]) == "interrupt" else self._code()
        failed = 0
        for number, job in enumerate(jobs):
            ending: Ending = "end"
            try:
                ending = self._do(job)
            except RtmagError as error:
                failed += 1
                self.note(f"error: {error}")
            if ending != "end":
                self.note(f"stopped at file {number + 1} of {len(jobs)}")
                return _INTERRUPTED if ending == "interrupt" else 0
        self.note(f"{len(jobs) - failed} of {len(jobs)} files done")
        return 1 if failed else self._code()

    def _code(self) -> int:
        return 1 if self.strict and self._damaged else 0

    def _do(self, job: Job) -> Ending:
        if self.skip_existing and os.path.exists(job.output):
            self.note(f"skipped: {str(job.output)!r} exists")
            return "end"
        with _open(job.source, self.max_pixels) as source:
            fps = self.capture_fps or source.fps
            if fps is not None:
                self.controls.filter.check(fps)
            if job.folder is not None:
                make_folder(job.folder)
            if str(job.output) != STDOUT:
                check_free(job.output, overwrite=self.overwrite, source=job.source)
            if self._engine is None:
                self._engine = self._load()
            return self._magnify(source, job.output, self._engine)

    def _load(self) -> Engine:
        engine = self.engine.load()
        if self.model_sha256 not in (None, engine.metadata.get("rtmag.sha256")):
            self.note(f"warning: model {engine.name!r} is not of the weights used before")
        return engine

    def _magnify(self, source: FrameSource, output: Path, engine: Engine) -> Ending:
        controls = replace(self.controls)
        magnifier = Magnifier(
            engine,
            alpha=controls.alpha,
            filter=controls.filter,
            fps=source.fps,
            capture_fps=self.capture_fps,
        )
        view = WindowSink(f"rtmag: {source.name}") if self.view == "window" else None
        sink = self._open_sink(source, output, engine)
        if isinstance(source, VideoSource):
            for words in caveats(source, controls.filter, self.capture_fps):
                self.note(f"warning: {words}")
        self.progress.begin(source.name, source.frames)
        written = BackgroundSink(sink, whole=True) if isinstance(sink, VideoSink) else sink
        try:
            report = run(
                source,
                magnifier,
                controls,
                [written],
                view=view,
                on_frame=lambda _, __: self.progress.step(),
            )
        finally:
            self.progress.end()
        self._account(source, report, sink, engine)
        return report.ending

    def _open_sink(self, source: FrameSource, output: Path, engine: Engine) -> VideoSink | PipeSink:
        width, height = source.size
        size = (2 * width, height) if self.controls.layout == "side" else (width, height)
        if str(output) == STDOUT:
            return PipeSink(fps=source.fps or 30.0, size=size)
        comment = f"{SIGNATURE}{rtmag_version()}: alpha {self.controls.alpha:g}, "
        comment += f"{self.controls.filter}, model {engine.name}"
        return VideoSink(
            output,
            like=source if isinstance(source, VideoSource) else None,
            fps=source.fps or 30.0,
            size=size,
            audio=self.audio,
            overwrite=self.overwrite,
            comment=comment,
        )

    def _account(
        self, source: FrameSource, report: Report, sink: VideoSink | PipeSink, engine: Engine
    ) -> None:
        if not report.frames:
            if report.ending == "end":
                raise SourceUnavailable(f"cannot read {source.name!r}: it holds no frames")
            return
        for error in report.errors:
            self.note(f"warning: {error}")
        damaged = source.damaged
        if damaged:
            self.note(f"warning: {source.name!r} is damaged; {damaged} parts of it were skipped")
        self._damaged = self._damaged or bool(damaged or report.errors)
        written = sink.path_written if isinstance(sink, VideoSink) else None
        if report.ending != "end":
            self.note(f"stopped after {report.frames} frames; they are in {written or 'the pipe'}")
        elif written is not None:
            self._note_settings(source, written, engine)
            self.done(written)

    def _note_settings(self, source: FrameSource, output: Path, engine: Engine) -> None:
        settings = describe(
            self.controls,
            engine,
            self.engine,
            source=Path(source.name).name,
            size=source.size,
            fps=source.fps,
            capture_fps=self.capture_fps,
        )
        try:
            write_note(output, settings)
        except SinkError as error:
            self.note(f"warning: {error}")


def _open(path: Path, max_pixels: int) -> FrameSource:
    """A file, a folder or a pattern; names that also mean something else are files here."""
    if os.path.isdir(path):
        return open_source(path.absolute(), options=SourceOptions(max_pixels=max_pixels))
    if os.path.lexists(path):
        return VideoSource(path, max_pixels=max_pixels)
    if is_pattern(str(path)):
        return open_source(path, options=SourceOptions(max_pixels=max_pixels))
    raise SourceUnavailable(f"cannot open {str(path)!r}: no such file; for cameras: rtmag camera")
